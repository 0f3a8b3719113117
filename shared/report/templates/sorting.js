// Tables that sort by the heading that is clicked: down, up, as they were.
"use strict";

const number = (text) => {
  const plain = text.trim().replaceAll("\u2212", "-").replace(/[,%+\s]/g, "");
  return plain === "" || Number.isNaN(Number(plain)) ? null : Number(plain);
};

// What the cell says of its own order; else only the value counts, not the interval behind it.
const shown = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.order ?? (cell.firstChild?.textContent ?? "").trim();
};

const compare = (one, other, sign) => {
  const [left, right] = [number(one), number(other)];
  if (left !== null && right !== null) return sign * (left - right);
  if (left === null && right === null) {
    if ((one === "") !== (other === "")) return one === "" ? 1 : -1;
    return sign * one.localeCompare(other, "en", { numeric: true });
  }
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
