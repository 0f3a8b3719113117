// Pictures and short clips: a place to drop them, one answer after another.

import { Fault, base64, predict, readForeign } from "./api.js";
import { alertBox, alertWith, announce, bytes, el, fileButton } from "./dom.js";
import { inputOf } from "./model.js";
import { pictureOf } from "./picture.js";
import { NOT_AN_IMAGE, answer, spoken } from "./result.js";
import { clip, clipLimits } from "./video.js";

const DICOM =
  "This is DICOM: this model takes JPEG or PNG. The command `predict` reads DICOM files as they are, with their window.";

/** Return the widget of a model that takes image files. */
export function imageWidget(model) {
  const box = alertBox();
  const list = el("ol", { class: "items" });
  const results = el(
    "section",
    { class: "card", "aria-label": "Results", hidden: true },
    el("h2", {}, "Results"),
    list,
  );
  let last = Promise.resolve();

  function take(files) {
    alertWith(box, "");
    results.hidden = false;
    for (const item of files.map((file) => waiting(file, list))) last = last.then(() => treat(model, item));
  }

  return el(
    "div",
    {},
    el(
      "section",
      { class: "card", "aria-label": "Pictures" },
      el("h2", {}, "Ask with a picture"),
      dropZone(model, take),
      box,
    ),
    results,
  );
}

function dropZone(model, take) {
  const zone = el(
    "div",
    { class: "drop" },
    el("p", { class: "drop-text" }, "Drop pictures or a short clip here, or"),
    el(
      "div",
      { class: "row" },
      fileButton("Choose files", accepted(model), take, { multiple: true }),
      exampleButton(model, take),
    ),
    el("p", { class: "hint" }, `Nothing is stored. ${readable(model)}; ${clipLimits}`),
  );
  const over = (isOver) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", isOver);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
  return zone;
}

const readsDicom = (model) => model.reads.includes("dicom");
const accepted = (model) => `image/*,video/*${readsDicom(model) ? ",.dcm,.dicom,application/dicom" : ""}`;
const readable = (model) => (readsDicom(model) ? "JPEG, PNG or DICOM" : "JPEG or PNG");

function exampleButton(model, take) {
  const encoded = model.example?.[inputOf(model)]?.b64;
  if (!encoded) return null;
  const press = () => take([new File([Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0))], "example")]);
  return el("button", { type: "button", class: "button", on: { click: press } }, "Try the example");
}

/** Return a file with its place in the list, newest last. */
function waiting(file, list) {
  const body = el("div", { class: "item-body" }, el("p", { class: "muted" }, "Waiting …"));
  const head = el(
    "h3",
    { class: "item-head" },
    el("span", { class: "file-name" }, file.name),
    " ",
    el("span", { class: "hint" }, bytes(file.size)),
  );
  list.append(el("li", { class: "item" }, head, body));
  return { file, body };
}

async function treat(model, { file, body }) {
  if (!body.isConnected) return;
  body.replaceChildren(el("p", { class: "muted" }, "Asking the model …"));
  try {
    if (file.type.startsWith("video/")) await clip(model, file, body);
    else await still(model, file, body);
  } catch (fault) {
    body.replaceChildren(el("p", { class: "alert", role: "alert" }, `${file.name}: ${fault.message}`));
  }
}

/** Tell DICOM by the four letters behind its 128 bytes of preamble. */
async function isDicom(file) {
  return (await file.slice(128, 132).text()) === "DICM";
}

async function still(model, file, body) {
  const dicom = await isDicom(file);
  if (dicom && !readsDicom(model)) throw new Fault(DICOM);
  const { content, shown } = dicom ? await readForeign(model, file) : { content: await base64(file), shown: file };
  const instance = { [inputOf(model)]: { b64: content } };
  const [row] = await predict(model, [instance]);
  if (row.decision === "invalid") throw new Fault(NOT_AN_IMAGE);
  const picture = pictureOf(model, row, shown, `Your picture ${file.name}`, instance);
  if (dicom) picture.append(el("figcaption", { class: "hint" }, "The DICOM file as the model reads it, with its window."));
  body.replaceChildren(el("div", { class: "split" }, picture, el("div", { class: "answer" }, answer(model, row))));
  announce(`${file.name}: ${spoken(model, row)}`);
}
