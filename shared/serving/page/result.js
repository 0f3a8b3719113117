// One answer: the decision, why there may be none, a bar per class, reasons in words.

import { el, number, plural, title, words } from "./dom.js";
import { boxesOf, decisionOf, decisionWords, thresholdOf } from "./model.js";

export const NOT_AN_IMAGE = "This is not an image that can be read.";
const SHOWN = new Set(["scores", "score", "labels", "decision", "reasons", "boxes", "classes", "count", "valid"]);

/** Return the elements that show one row of outputs. */
export function answer(model, row) {
  const decision = decisionOf(row);
  if (decision === "invalid") return [el("p", { class: "alert", role: "alert" }, NOT_AN_IMAGE)];
  return [
    el("p", { class: "decision", "data-decision": decision }, decisionWords(decision)),
    decision === "abstain" ? el("p", { class: "sentence" }, abstention(model, row)) : null,
    row.boxes ? boxTable(model, row) : scoreBars(model, row),
    row.reasons ? reasonList(model, row) : null,
    others(row),
  ].filter(Boolean);
}

/** Return one sentence that says an answer aloud. */
export function spoken(model, row) {
  const decision = decisionOf(row);
  if (decision === "invalid") return NOT_AN_IMAGE;
  if (decision === "abstain") return `No decision. ${abstention(model, row)}`;
  const found = row.boxes ? `, ${plural(boxesOf(model, row).length, "object")} found` : "";
  return `Decision: ${decisionWords(decision)}${found}.`;
}

function abstention(model, row) {
  const rate = model.missRate === null ? "" : ` at the accepted miss rate of ${number(100 * model.missRate)}\u00a0%`;
  const likely = typeof row.labels === "string" ? ` ${leaning(model, row)}` : "";
  return `The scores do not point to exactly one answer${rate}, so the model leaves this one to a person.${likely}`;
}

/** Say which answer is nearest: with a threshold, that need not be the class of the highest score. */
function leaning(model, row) {
  const last = Array.isArray(row.scores) ? row.scores.length - 1 : -1;
  const threshold = last === 1 ? thresholdOf(model, last) : null;
  if (threshold === null || threshold === undefined) {
    return `Most probable: ${row.labels.split("|").map(words).join(", ")}.`;
  }
  const side = row.scores[last] < threshold ? "below" : "at or above";
  return `${title(model.classNames[last])} scores ${number(row.scores[last])}, ${side} the threshold ${number(threshold)}.`;
}

function scoreBars(model, row) {
  if (typeof row.score === "number") {
    const name = model.classNames.at(-1) ?? "score";
    return bars([{ name, value: row.score, threshold: model.threshold, chosen: row.decision === name }]);
  }
  if (!Array.isArray(row.scores)) return null;
  const chosen = new Set(String(row.labels ?? row.decision).split("|"));
  return bars(
    row.scores.map((value, index) => {
      const name = model.classNames[index] ?? `class ${index}`;
      return { name, value, threshold: thresholdOf(model, index), chosen: chosen.has(name) };
    }),
  );
}

/** Return one bar per class, with the threshold drawn on the bar that it belongs to. */
function bars(rows) {
  return el("ul", { class: "bars", "aria-label": "Scores" }, rows.map(bar));
}

function bar({ name, value, threshold, chosen }) {
  const marked = threshold !== null && threshold !== undefined;
  const share = (part) => `${100 * Math.min(Math.max(part, 0), 1)}%`;
  return el(
    "li",
    { class: chosen ? "bar chosen" : "bar" },
    el("span", { class: "bar-name" }, title(name)),
    el("span", { class: "bar-value" }, number(value)),
    el(
      "span",
      { class: "bar-track", "aria-hidden": "true" },
      el("span", { class: "bar-fill", style: { width: share(value) } }),
      marked ? el("span", { class: "bar-mark", style: { left: share(threshold) } }) : null,
    ),
    marked ? el("span", { class: "bar-note" }, `answered from ${number(threshold)}`) : null,
  );
}

function reasonList(model, row) {
  const names = row.reasons
    .filter((index) => index >= 0)
    .map((index) => title(model.reasonNames[index] ?? `Reason ${index}`));
  if (!names.length) return el("p", { class: "sentence" }, "Nothing in it raises the score above the usual.");
  return el(
    "div",
    { class: "reasons" },
    el("h3", {}, "What raises the score, the strongest first"),
    el(
      "ol",
      {},
      names.map((name) => el("li", {}, name)),
    ),
  );
}

function boxTable(model, row) {
  const found = boxesOf(model, row);
  if (!found.length) return el("p", { class: "sentence" }, `No object scores ${number(model.threshold ?? 0)} or more.`);
  const head = el(
    "thead",
    {},
    el(
      "tr",
      {},
      ["Number", "Object", "Score"].map((name) => el("th", { scope: "col" }, name)),
    ),
  );
  const lines = found.map(({ name, score }, index) =>
    el(
      "tr",
      {},
      el("td", {}, String(index + 1)),
      el("td", {}, title(name)),
      el("td", { class: "number" }, number(score)),
    ),
  );
  const note = model.threshold === null ? "" : `, answered from a score of ${number(model.threshold)}`;
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Objects" },
    el("table", {}, el("caption", {}, `${plural(found.length, "object")}${note}`), head, el("tbody", {}, lines)),
  );
}

/** Return what this page has no picture for: numbers and names as they are. */
function others(row) {
  const rest = Object.entries(row).filter(([name]) => !SHOWN.has(name));
  if (!rest.length) return null;
  const shown = (value) =>
    typeof value === "number" ? number(value) : typeof value === "string" ? value : JSON.stringify(value);
  return el(
    "dl",
    { class: "others" },
    rest.map(([name, value]) => [el("dt", {}, title(name)), el("dd", {}, shown(value))]).flat(),
  );
}
