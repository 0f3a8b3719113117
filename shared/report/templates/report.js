// Tables that sort and filter, and values shown at once on hover or tap. The page is complete without it.
"use strict";

const number = (text) => {
  const plain = text.trim().replaceAll("\u2212", "-").replace(/[,%+\s]/g, "");
  return plain === "" || Number.isNaN(Number(plain)) ? null : Number(plain);
};

// Only the value counts, not the interval behind it.
const shown = (row, column) => (row.cells[column].firstChild?.textContent ?? "").trim();

const compare = (one, other, sign) => {
  const [left, right] = [number(one), number(other)];
  if (left !== null && right !== null) return sign * (left - right);
  if (left === null && right === null) return sign * one.localeCompare(other);
  return left === null ? 1 : -1; // what has no number stays last, whichever way
};

const sortable = (table) => {
  const body = table.tBodies[0];
  const original = [...body.rows];
  for (const head of table.tHead.rows[0].cells) {
    if (!head.textContent.trim()) continue;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const state = { descending: "ascending", ascending: "none" }[head.ariaSort] ?? "descending";
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      if (state !== "none") head.ariaSort = state;
      const sign = state === "ascending" ? 1 : -1;
      const order = [...original];
      if (state !== "none") order.sort((a, b) => compare(shown(a, head.cellIndex), shown(b, head.cellIndex), sign));
      body.append(...order);
    });
  }
};

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
