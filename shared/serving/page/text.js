// Texts: one with its words marked, or many as a table.

import { Fault, predict } from "./api.js";
import { askMany } from "./batch.js";
import { parseCsv, textOf } from "./csv.js";
import { alertBox, alertWith, announce, el, field, fileButton, plural } from "./dom.js";
import { inputOf } from "./model.js";
import { answer, spoken } from "./result.js";
import { markedWords } from "./words.js";

/** Return the widget of a model that takes texts. */
export function textWidget(model) {
  const box = alertBox();
  const place = el("div", { class: "stack" });
  const results = el("section", { class: "card", "aria-label": "Result", hidden: true }, el("h2", {}, "Result"), place);
  const area = el("textarea", { rows: "5", required: true });
  const lines = el("input", { type: "checkbox", id: "each-line" });
  const linesLabel = el("label", { for: "each-line" });
  const choice = el("div", { class: "check", hidden: true }, lines, linesLabel);
  const upload = el("div", {});

  area.addEventListener("input", () => {
    const count = linesOf(area.value).length;
    if (choice.hidden && count > 1) lines.checked = true;
    choice.hidden = count < 2;
    linesLabel.textContent = `Each of the ${count} lines is a text of its own`;
  });

  /** What is shown belongs to the last question: it goes before the next is asked, or refused. */
  function clear() {
    place.replaceChildren();
    results.hidden = true;
  }

  function ask(texts) {
    alertWith(box, "");
    results.hidden = false;
    return guarded(box, () => (texts.length === 1 ? askOne(model, texts[0], place) : askTexts(model, texts, place)));
  }

  async function submit(event) {
    event.preventDefault();
    if (!area.value.trim()) {
      const file = upload.querySelector("form");
      if (file) {
        file.requestSubmit();
        return;
      }
      clear();
      alertWith(box, "Write a text first.");
      area.focus();
      return;
    }
    await ask(!choice.hidden && lines.checked ? linesOf(area.value) : [area.value]);
  }

  const open = ([file]) => {
    clear();
    return guarded(box, async () => openFile(model, file, upload, ask));
  };
  const form = el(
    "form",
    { novalidate: true, on: { submit } },
    field("Text, or several texts, one on each line", area),
    choice,
    el(
      "div",
      { class: "row" },
      el("button", { class: "primary" }, "Ask"),
      exampleButton(model, area),
      fileButton("Open .txt or .csv", ".txt,.csv,.tsv,text/plain,text/csv", open),
    ),
  );
  return el(
    "div",
    {},
    el("section", { class: "card", "aria-label": "Texts" }, el("h2", {}, "Ask with a text"), form, upload, box),
    results,
  );
}

const linesOf = (text) => text.split(/\r?\n/).filter((line) => line.trim());

async function guarded(box, work) {
  try {
    alertWith(box, "");
    await work();
  } catch (fault) {
    alertWith(box, fault.message);
  }
}

function exampleButton(model, area) {
  const example = model.example?.[inputOf(model)];
  if (typeof example !== "string" || !example) return null;
  const press = () => {
    area.value = example;
    area.dispatchEvent(new Event("input"));
    area.focus();
  };
  return el("button", { type: "button", class: "button", on: { click: press } }, "Use the example");
}

/** Ask with every line of a text file, or with a column of a CSV file that the user chooses. */
async function openFile(model, file, upload, ask) {
  upload.replaceChildren();
  const text = await textOf(file);
  if (!/\.(csv|tsv)$/i.test(file.name)) return ask(linesOf(text));
  const [head, ...rows] = parseCsv(text);
  if (!rows.length) throw new Fault(`${file.name}: expected a row of column names and at least one row below it.`);
  upload.append(columnChooser(model, file.name, head, rows, ask));
  return upload.querySelector("select").focus();
}

function columnChooser(model, name, head, rows, ask) {
  const select = el(
    "select",
    {},
    head.map((column, index) => el("option", { value: index }, column)),
  );
  select.value = String(likelyColumn(model, head, rows));
  const submit = (event) => {
    event.preventDefault();
    ask(rows.map((row) => row[select.value] ?? "").filter((text) => text.trim()));
  };
  return el(
    "form",
    { class: "inset", on: { submit } },
    field(`Column of ${name} that holds the texts`, select, `${plural(rows.length, "row")} in the file.`),
    el("button", { class: "primary" }, "Ask for the file"),
  );
}

/** Return the column named as the input, else the one with the longest texts. */
function likelyColumn(model, head, rows) {
  const named = head.findIndex((column) => column.toLowerCase() === inputOf(model).toLowerCase());
  if (named >= 0) return named;
  const lengths = head.map((_, index) => rows.slice(0, 100).reduce((sum, row) => sum + (row[index] ?? "").length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

function askTexts(model, texts, place) {
  if (!texts.length) throw new Fault("This column holds no text.");
  const instances = texts.map((text) => ({ [inputOf(model)]: text }));
  return askMany(model, instances, { column: "text", labels: texts, place });
}

async function askOne(model, text, place) {
  place.replaceChildren(el("p", { class: "muted" }, "Asking the model …"));
  const instance = { [inputOf(model)]: text };
  try {
    const [row] = await predict(model, [instance]);
    place.replaceChildren(el("div", { class: "answer" }, answer(model, row)));
    announce(spoken(model, row));
  } catch (fault) {
    place.replaceChildren();
    throw fault;
  }
  if (model.explains) place.append(await marked(model, instance));
}

async function marked(model, instance) {
  try {
    const [{ tokens, attributions, label }] = await predict(model, [instance], "explain");
    return markedWords(tokens, attributions, label);
  } catch (fault) {
    return el("p", { class: "alert", role: "alert" }, `The words could not be explained. ${fault.message}`);
  }
}
