// Whether what is asked still looks like what the model was judged on.

import { getJson } from "./api.js";
import { alertBox, alertWith, announce, el, number, plural } from "./dom.js";

/** Return the drift panel of a model. */
export function driftPanel(model) {
  const body = el("div", { class: "stack" });
  const box = alertBox();
  const panel = el(
    "section",
    { class: "card", "aria-labelledby": "drift-heading" },
    el("div", { class: "panel-head" }, el("h2", { id: "drift-heading" }, "Drift"), refreshButton(model, body, box)),
    box,
    body,
  );
  if (model.drift) refresh(model, body, box, false);
  else body.append(el("p", { class: "hint" }, "This bundle brings nothing to compare requests with."));
  return panel;
}

function refreshButton(model, body, box) {
  if (!model.drift) return null;
  const press = () => refresh(model, body, box, true);
  return el(
    "button",
    { type: "button", class: "button small", "aria-label": "Refresh drift", on: { click: press } },
    "Refresh",
  );
}

async function refresh(model, body, box, aloud) {
  try {
    const found = await getJson(`ui/models/${encodeURIComponent(model.name)}/drift`);
    alertWith(box, "");
    const sentence = driftSentence(found);
    body.replaceChildren(el("p", { class: found.drift ? "sentence warn" : "sentence" }, sentence), ...tableOf(found));
    if (aloud) announce(sentence);
  } catch (fault) {
    alertWith(box, fault.message);
  }
}

function driftSentence({ n, needed, drift, columns }) {
  if (drift === null) return `Too few rows yet: ${n} of ${needed}.`;
  if (!drift) return `No drift in ${plural(n, "row")}.`;
  const count = columns.filter((column) => column.drift).length;
  return `Drift in ${count} of ${plural(columns.length, "column")}, seen in ${plural(n, "row")}.`;
}

function tableOf({ columns, served }) {
  const total = el("p", { class: "hint" }, `${plural(served, "row")} answered since the start.`);
  if (!columns.length) return [total];
  const head = ["Column", "PSI", "Limit", "State"].map((name) => el("th", { scope: "col" }, name));
  const rows = [...columns].sort((a, b) => b.drift - a.drift || b.psi - a.psi).map(columnRow);
  return [
    el(
      "div",
      { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Drift by column" },
      el(
        "table",
        {},
        el("caption", { class: "hidden-text" }, "Drift by column, the strongest first"),
        el("thead", {}, el("tr", {}, head)),
        el("tbody", {}, rows),
      ),
    ),
    el(
      "p",
      { class: "hint" },
      "PSI: population stability index; above its limit a column is too far from the reference.",
    ),
    total,
  ];
}

function columnRow({ name, words, psi, threshold, drift }) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, words ?? name),
    el("td", { class: "number" }, number(psi)),
    el("td", { class: "number" }, number(threshold)),
    el("td", {}, el("span", { class: drift ? "tag bad" : "tag" }, drift ? "▲ drift" : "steady")),
  );
}
