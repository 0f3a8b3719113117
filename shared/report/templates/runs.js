for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, place = head.cellIndex, body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) { other.removeAttribute("aria-sort"); }
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[place].dataset.order ?? row.cells[place].textContent.trim();
    const compare = (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
    const number = (text) => text !== "" && !Number.isNaN(Number(text));
    const rows = [...body.rows].sort((a, b) => {
      if ((key(a) === "") !== (key(b) === "")) { return key(a) === "" ? 1 : -1; }
      const both = number(key(a)) && number(key(b));
      return (up ? 1 : -1) * (both ? Number(key(a)) - Number(key(b)) : compare(a, b));
    });
    body.append(...rows);
  });
}
