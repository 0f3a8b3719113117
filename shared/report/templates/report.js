// Behind sorting.js: tables that filter, and values shown at once on hover or tap. The page is complete without it.

const filtered = (figure, table) => {
  const field = document.createElement("input");
  Object.assign(field, { type: "search", placeholder: "Filter rows", ariaLabel: "Filter rows" });
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  figure.querySelector(".scroll").before(field);
};

for (const figure of document.querySelectorAll("figure.table")) {
  const table = figure.querySelector("table");
  if (table.tHead && table.tBodies[0].rows.length > 2) sortable(table);
  if (table.tHead && table.tBodies[0].rows.length > 9) filtered(figure, table);
}

const box = document.createElement("div");
box.className = "hover";
box.hidden = true;
document.body.append(box);
for (const title of document.querySelectorAll(".drawing svg title")) {
  const mark = title.parentElement;
  mark.dataset.value = title.textContent;
  title.remove(); // the browser's own box would come second
}
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest?.("[data-value]");
  box.hidden = !mark;
  if (!mark) return;
  box.textContent = mark.dataset.value;
  const place = mark.getBoundingClientRect();
  const left = Math.min(place.left + place.width / 2 + 10, document.documentElement.clientWidth - box.offsetWidth - 8);
  box.style.left = `${Math.max(left, 8) + scrollX}px`;
  box.style.top = `${place.top + scrollY - box.offsetHeight - 6}px`;
});
