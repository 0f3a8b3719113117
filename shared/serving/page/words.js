// Which words spoke for the answer and which against it: by colour, by underline, by number.

import { el, number, words } from "./dom.js";

const LEAST_SHARE = 0.05;
const MOST_LISTED = 10;

/** Return a text with its words marked by their attributions. */
export function markedWords(tokens, attributions, label = null) {
  const found = tokens
    .map((token, index) => ({ token, value: attributions[index] }))
    .filter(({ token }) => token !== "");
  if (!found.length) return el("p", { class: "sentence" }, "The model read no word in this text.");
  const most = Math.max(...found.map(({ value }) => Math.abs(value))) || 1;
  const what = label ? `“${words(label)}”` : "the answer";
  const text = el("p", { class: "tokens" });
  for (const { token, value } of found) text.append(wordOf(token, value, most), " ");
  return el(
    "section",
    { class: "why", "aria-label": "Words" },
    el("h3", {}, "Which words mattered"),
    legend(what),
    text,
    strongest(found),
  );
}

function wordOf(token, value, most) {
  const share = Math.abs(value) / most;
  if (share < LEAST_SHARE) return token;
  const kind = value > 0 ? "for" : "against";
  return el("span", { class: `word ${kind}`, title: signed(value), style: { "--tint": share.toFixed(2) } }, token);
}

function legend(what) {
  const tint = { "--tint": "0.7" };
  return el(
    "p",
    { class: "legend" },
    el("span", { class: "word for", style: tint }, `speaks for ${what}`),
    el("span", { class: "word against", style: tint }, "speaks against it"),
  );
}

function strongest(found) {
  const listed = [...found].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, MOST_LISTED);
  const head = ["Word", "Adds"].map((name) => el("th", { scope: "col" }, name));
  const rows = listed.map(({ token, value }) =>
    el("tr", {}, el("th", { scope: "row" }, token), el("td", { class: "number" }, signed(value))),
  );
  return el(
    "details",
    {},
    el("summary", {}, "The strongest words as numbers"),
    el(
      "table",
      {},
      el("caption", { class: "hidden-text" }, "The strongest words"),
      el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, rows),
    ),
  );
}

const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;
