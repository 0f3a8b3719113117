// Many rows: asked part by part, shown as a table that grows, to be downloaded as CSV.

import { predictAll } from "./api.js";
import { download, writeCsv } from "./csv.js";
import { alertBox, alertWith, announce, counted, el, number, plural, title, words } from "./dom.js";
import { decisionOf, decisionWords } from "./model.js";

const MOST_SHOWN = 200;

/** Ask for all instances; `column` names what `labels` holds of each. What was answered stays, whatever happens. */
export async function askMany(model, instances, { column, labels, place }) {
  const parts = tableParts(model, column);
  let rows = [];
  let stopped = false;
  const box = alertBox();
  const progress = el("p", { class: "sentence" }, `Asking for ${plural(instances.length, "row")} …`);
  const stop = el(
    "button",
    {
      type: "button",
      class: "button small",
      on: {
        click: () => {
          stopped = true;
        },
      },
    },
    "Stop",
  );
  const tools = el("div", { class: "row" }, stop);
  place.replaceChildren(progress, box, tools, parts.region);
  const grow = (found) => {
    parts.add(found.slice(rows.length), labels, rows.length);
    rows = [...found];
    progress.textContent = `Answered ${rows.length} of ${plural(instances.length, "row")} …`;
    return !stopped && place.isConnected;
  };
  try {
    await predictAll(model, instances, grow);
  } catch (fault) {
    alertWith(box, fault.message);
  }
  finish(model, { rows, labels, column, progress, stop, tools });
}

function finish(model, { rows, labels, column, progress, stop, tools }) {
  stop.remove();
  const shown = rows.length > MOST_SHOWN ? ` The first ${MOST_SHOWN} are shown; the download holds all.` : "";
  const said = rows.length ? counted(rows.map((row) => decisionWords(decisionOf(row)))) : "no answer";
  progress.textContent = `${plural(rows.length, "row")}: ${said}.${shown}`;
  announce(progress.textContent);
  if (!rows.length) return;
  const save = () => download(`${model.name}.csv`, csvOf(model, rows, labels, column));
  tools.append(el("button", { type: "button", class: "button small", on: { click: save } }, "Download as CSV"));
}

function csvOf(model, rows, labels, column) {
  const names = scoreNames(model, rows[0]);
  const reasons = rows[0].reasons ? ["reasons"] : [];
  const head = [column, "decision", ...names.map((name) => (name === "score" ? name : `score_${name}`)), ...reasons];
  const lines = rows.map((row, index) => [
    labels[index],
    decisionOf(row),
    ...scoresOf(row),
    ...(row.reasons ? [reasonWords(model, row)] : []),
  ]);
  return writeCsv([head, ...lines]);
}

function scoreNames(model, row) {
  if (typeof row.score === "number") return ["score"];
  return Array.isArray(row.scores) ? row.scores.map((_, index) => model.classNames[index] ?? String(index)) : [];
}

const scoresOf = (row) => (typeof row.score === "number" ? [row.score] : Array.isArray(row.scores) ? row.scores : []);

const reasonWords = (model, row) =>
  row.reasons
    .filter((index) => index >= 0)
    .map((index) => words(model.reasonNames[index] ?? `reason ${index}`))
    .join(", ");

/** Return a table that takes rows as they come. */
function tableParts(model, column) {
  const head = el("tr", {});
  const body = el("tbody", {});
  const table = el("table", {}, el("caption", { class: "hidden-text" }, "Answers"), el("thead", {}, head), body);
  const region = el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Answers" }, table);
  const add = (rows, labels, from) => {
    if (!head.childNodes.length) head.append(...headOf(model, rows[0], column));
    rows
      .slice(0, Math.max(0, MOST_SHOWN - from))
      .forEach((row, index) => body.append(lineOf(model, row, labels[from + index])));
  };
  return { region, add };
}

function headOf(model, row, column) {
  const names = [column, "Decision", ...scoreNames(model, row).map(title), ...(row.reasons ? ["Reasons"] : [])];
  return names.map((name) => el("th", { scope: "col" }, title(name)));
}

function lineOf(model, row, label) {
  const scores = scoresOf(row).map((value) => el("td", { class: "number" }, number(value)));
  const reasons = row.reasons ? [el("td", {}, reasonWords(model, row))] : [];
  return el(
    "tr",
    {},
    el("th", { scope: "row", class: "cut", title: String(label) }, String(label)),
    el("td", { class: "strong" }, decisionWords(decisionOf(row))),
    scores,
    reasons,
  );
}
