// The page: asks the server for its models, shows one of them, and puts together its widget and its panels.

import { Fault, dropToken, getJson, keepToken } from "./api.js";
import { columnsWidget } from "./columns.js";
import { alertWith, announce, el, find } from "./dom.js";
import { imageWidget } from "./image.js";
import { describe } from "./model.js";
import { intro, panels } from "./panels.js";
import { textWidget } from "./text.js";

const WIDGETS = { image: imageWidget, text: textWidget, columns: columnsWidget };
let models = [];
let isRefused = false;

async function load() {
  alertWith(find("alert"), "");
  try {
    ({ models } = await getJson("ui/models"));
    if (!models.length) throw new Fault("The server serves no model at the moment.");
    find("token-form").hidden = true;
    fillModels();
    show();
    isRefused = false;
  } catch (fault) {
    if (fault.status !== 401) alertWith(find("alert"), fault.message);
    else if (isRefused) alertWith(find("alert"), "The server does not accept this token.");
  }
  find("loading").hidden = true;
}

function fillModels() {
  const options = models.map(({ name, display }) => el("option", { value: name }, display?.title || name));
  find("model").replaceChildren(...options);
  find("chooser").hidden = false;
  fillVersions();
}

const chosen = () => models.find(({ name }) => name === find("model").value);

function fillVersions() {
  const numbers = [...chosen().versions].sort((a, b) => b - a);
  find("version").replaceChildren(...numbers.map((number) => el("option", { value: number }, String(number))));
}

function show() {
  const model = describe(chosen(), Number(find("version").value));
  document.title = `${model.title} · fieldnets`;
  find("intro").replaceChildren(...intro(model));
  find("work").replaceChildren(WIDGETS[model.kind](model));
  find("aside").replaceChildren(...panels(model));
  find("content").hidden = false;
  announce(`${model.title}, version ${model.version}.`);
}

/** Show the field for the token; what was shown goes, as nothing can be asked without one. */
function askToken() {
  find("content").hidden = true;
  find("chooser").hidden = true;
  find("token-form").hidden = false;
  find("token").focus();
}

find("model").addEventListener("change", () => {
  fillVersions();
  show();
});
find("version").addEventListener("change", show);
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = find("token").value.trim();
  isRefused = true;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    alertWith(find("alert"), "A token is made of ASCII characters without spaces.");
    return;
  }
  keepToken(token);
  find("token").value = "";
  load();
});
document.addEventListener("token-needed", () => {
  dropToken();
  askToken();
});
load();
