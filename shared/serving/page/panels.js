// What stands beside the question: what the model is, how good, what it is not for; its card; its drift.

import { getText } from "./api.js";
import { alertBox, alertWith, el, number, title, words } from "./dom.js";
import { driftPanel } from "./drift.js";

/** Return the heading of a model with its banners. */
export function intro(model) {
  const engine = `version ${model.version} · engine ${model.engine}`;
  return [
    el("h1", {}, model.title),
    el("p", { class: "muted" }, `${model.name} · ${engine}`),
    model.smoke
      ? el(
          "p",
          { class: "notice" },
          el("strong", {}, "Smoke: not for use. "),
          "This model was trained for seconds on a handful of rows, to test the program: its answers mean nothing.",
        )
      : null,
    model.synthetic
      ? el(
          "p",
          { class: "notice" },
          el("strong", {}, "Synthetic data. "),
          "This model was trained on generated data: it shows how things work and says nothing about the real world.",
        )
      : null,
    model.notFor ? el("p", { class: "notice quiet" }, el("strong", {}, "Not for: "), model.notFor) : null,
  ].filter(Boolean);
}

/** Return the panels beside the widget. */
export function panels(model) {
  return [facts(model), driftPanel(model), cardPanel(model)].filter(Boolean);
}

function facts(model) {
  const rows = [
    ...(model.headline ? [headline(model.headline)] : []),
    ...(model.threshold !== null ? [fact("Threshold", number(model.threshold), words(model.rule))] : []),
    ...(model.threshold === null && model.rule ? [fact("Answer", title(model.rule), "")] : []),
    ...(model.classNames.length ? [fact("Classes", model.classNames.map(words).join(", "), "")] : []),
  ];
  if (!rows.length) return null;
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "How it decides"),
    el("dl", { class: "facts" }, rows.flat()),
    model.isNewest ? null : el("p", { class: "hint" }, "These panels describe the newest version."),
  );
}

function headline({ metric, value, low, high, n }) {
  const rows = n ? `, on ${Number(n).toLocaleString("en")} test rows` : "";
  const interval = typeof low === "number" ? `interval ${number(low)} to ${number(high)}` : "no interval";
  return [
    el("dt", {}, metricWords(metric)),
    el(
      "dd",
      {},
      el("strong", { class: "headline" }, number(value)),
      el("span", { class: "hint" }, `${interval}${rows}`),
    ),
  ];
}

const metricWords = (metric) =>
  /^(auroc|map|ece)(?![a-z])/.test(metric) ? words(metric).replace(/^\w+/, (word) => word.toUpperCase()) : title(metric);

const fact = (name, value, note) => [
  el("dt", {}, name),
  el("dd", {}, value, note ? el("span", { class: "hint" }, note) : null),
];

function cardPanel(model) {
  const body = el("div", { class: "model-card", tabindex: "0", role: "region", "aria-label": "Model card" });
  const box = alertBox();
  const details = el("details", { class: "card" }, el("summary", {}, el("h2", {}, "Model card")), box, body);
  details.addEventListener("toggle", () => {
    if (details.open && !body.childNodes.length) showCard(model, body, box);
  });
  return details;
}

async function showCard(model, body, box) {
  alertWith(box, "");
  try {
    const fragment = await getText(`ui/models/${encodeURIComponent(model.name)}/card`);
    body.replaceChildren(...lowered(fragment));
  } catch (fault) {
    alertWith(box, fault.message);
  }
}

/** Return a card's elements with its headings two levels lower: the page has a first heading already. */
function lowered(fragment) {
  const parsed = new DOMParser().parseFromString(fragment, "text/html");
  for (const heading of parsed.querySelectorAll("h1, h2, h3, h4")) {
    const lower = parsed.createElement(`h${Number(heading.tagName[1]) + 2}`);
    lower.append(...heading.childNodes);
    heading.replaceWith(lower);
  }
  for (const table of parsed.querySelectorAll("table")) {
    const scroll = el("div", {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": "Table of the model card",
    });
    table.replaceWith(scroll);
    scroll.append(table);
  }
  return [...parsed.body.childNodes];
}
