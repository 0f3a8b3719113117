// Rows of a table: a form made of the model's inputs, or a file with those columns.

import { Fault, predict } from "./api.js";
import { askMany } from "./batch.js";
import { parseTable, textOf } from "./csv.js";
import { alertBox, alertWith, announce, el, fileButton, title, words } from "./dom.js";
import { columnField } from "./fields.js";
import { answer, spoken } from "./result.js";

// As many columns with one first word make a group of their own.
const GROUP = 4;

/** Return the widget of a model that takes columns. */
export function columnsWidget(model) {
  const box = alertBox();
  const place = el("div", { class: "stack" });
  const results = el("section", { class: "card", "aria-label": "Result", hidden: true }, el("h2", {}, "Result"), place);
  const fields = Object.entries(model.inputs).map(([name, spec]) => columnField(name, spec, model.example?.[name]));

  async function guarded(work) {
    alertWith(box, "");
    // What is shown belongs to the last question.
    place.replaceChildren();
    results.hidden = true;
    try {
      await work();
    } catch (fault) {
      alertWith(box, fault.message);
      fault.field?.focus();
    }
  }

  const submit = (event) => {
    event.preventDefault();
    guarded(async () => {
      const instance = Object.fromEntries(fields.map((each) => [each.name, each.read()]));
      const [row] = await predict(model, [instance]);
      results.hidden = false;
      place.replaceChildren(el("div", { class: "answer" }, answer(model, row)));
      announce(spoken(model, row));
    });
  };
  const open = ([file]) =>
    guarded(async () => {
      const rows = parseTable(file.name, await textOf(file));
      const instances = rows.map((row, index) => instanceOf(fields, row, `${file.name}, row ${index + 1}`));
      if (!instances.length) throw new Fault(`${file.name}: expected at least one row.`);
      results.hidden = false;
      await askMany(model, instances, { column: "row", labels: instances.map((_, index) => index + 1), place });
    });
  const form = el(
    "form",
    { novalidate: true, on: { submit } },
    groupsOf(fields),
    el(
      "div",
      { class: "row" },
      el("button", { class: "primary" }, "Ask"),
      el("button", { type: "reset", class: "button" }, "Back to the example"),
      fileButton("Open .csv or .jsonl", ".csv,.tsv,.jsonl,.ndjson,.json", open),
    ),
    el("p", { class: "hint" }, "A file needs these columns by name; an empty cell is a missing number."),
  );
  return el(
    "div",
    {},
    el("section", { class: "card", "aria-label": "Columns" }, el("h2", {}, "Ask with a row"), form, box),
    results,
  );
}

/** Return the fields: single ones open, groups with one first word and sequences folded. */
function groupsOf(fields) {
  const first = ({ name }) => words(name).split(" ")[0];
  const counts = new Map();
  for (const each of fields) counts.set(first(each), (counts.get(first(each)) ?? 0) + 1);
  const single = fields.filter((each) => !each.isSequence && counts.get(first(each)) < GROUP);
  const grouped = [...counts]
    .filter(([, count]) => count >= GROUP)
    .map(([word]) => [title(word), fields.filter((each) => !each.isSequence && first(each) === word)]);
  const sequences = fields.filter((each) => each.isSequence);
  const folded = [...grouped, ["History", sequences]].filter(([, members]) => members.length);
  return [
    single.length
      ? el(
          "div",
          { class: "grid" },
          single.map(({ node }) => node),
        )
      : null,
    ...folded.map(([name, members]) =>
      el(
        "details",
        { class: "fold", open: !single.length && members === folded[0][1] },
        el("summary", {}, `${name} (${members.length})`),
        el(
          "div",
          { class: "grid" },
          members.map(({ node }) => node),
        ),
      ),
    ),
  ];
}

/** Return a row of a file as the model takes it; columns may be named as in the data or as the signature does. */
function instanceOf(fields, row, where) {
  const given = new Map(
    Object.entries(row).flatMap(([name, value]) => [
      [name.replace(/\W/g, "_"), value],
      [name, value],
    ]),
  );
  const missing = fields.filter(({ name }) => !given.has(name)).map(({ name }) => name);
  if (missing.length) {
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
    throw new Fault(`${where}: expected the columns of the form. Missing: ${missing.slice(0, 5).join(", ")}${more}.`);
  }
  return Object.fromEntries(fields.map((each) => [each.name, each.parse(given.get(each.name), where)]));
}
