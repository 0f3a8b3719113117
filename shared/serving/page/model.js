// What a bundle says of itself, in the form that the widgets read. Nothing here knows an app.

import { words, title } from "./dom.js";

/** Return a model's description from what `ui/models` says, asked in one of its versions. */
export function describe(about, version) {
  const { display = {}, decision = {} } = about;
  return {
    ...about,
    version,
    isNewest: version === about.version,
    predictPath: predictPath(about, version),
    title: display.title || title(about.name),
    kind: kindOf(about),
    classNames: display.class_names ?? decision.class_names ?? [],
    reasonNames: display.reason_names ?? decision.reasons ?? [],
    threshold: display.threshold ?? decision.threshold ?? null,
    thresholds: decision.thresholds ?? null,
    rule: display.threshold_rule ?? decision.rule ?? "",
    missRate: decision.alpha ?? null,
    headline: display.headline ?? null,
    notFor: display.not_for ?? "",
    synthetic: display.synthetic ?? false,
    smoke: about.smoke ?? false,
    reads: about.reads ?? [],
    explains: about.signatures.includes("explain"),
  };
}

function predictPath(about, version) {
  const own = version === about.version ? "" : `/versions/${version}`;
  return `v1/models/${encodeURIComponent(about.name)}${own}:predict`;
}

function kindOf({ inputs, display = {} }) {
  if (display.input) return display.input;
  const names = Object.keys(inputs);
  if (names.length !== 1) return "columns";
  if (names[0].endsWith("_bytes")) return "image";
  return inputs[names[0]].dtype === "string" && inputs[names[0]].shape.length === 1 ? "text" : "columns";
}

/** Return the only input's name of a model of images or texts. */
export const inputOf = (model) =>
  Object.keys(model.inputs).find((name) => name.endsWith("_bytes")) ?? Object.keys(model.inputs)[0];

/** Return the score from which a class is answered, or null: one for two classes belongs to the last. */
export function thresholdOf(model, index) {
  if (model.thresholds) return model.thresholds[index];
  const last = index === model.classNames.length - 1;
  return last && model.classNames.length <= 2 ? model.threshold : null;
}

/** Return the boxes of an answer: `{name, score, box}`, the surest first. */
export function boxesOf(model, row) {
  const count = Math.min(row.count ?? row.boxes.length, row.boxes.length);
  return row.boxes
    .slice(0, count)
    .map((box, index) => ({ box, score: row.scores[index], name: nameOf(model, row, index) }));
}

function nameOf(model, row, index) {
  const named = Array.isArray(row.labels) ? row.labels[index] : "";
  const found = row.classes?.[index];
  return words(named || (typeof found === "string" ? found : (model.classNames[found] ?? `class ${found}`)));
}

/** Return what an answer decides, as it came. */
export const decisionOf = (row) => row.decision ?? (Array.isArray(row.labels) ? null : row.labels) ?? null;

/** `Effusion|Edema` -> `Effusion, Edema`; `obstacle_ahead` -> `Obstacle ahead`. */
export function decisionWords(decision) {
  if (decision === null) return "Answer";
  if (decision === "abstain") return "No decision";
  if (decision === "invalid") return "Not readable";
  return decision.split("|").map(title).join(", ");
}
