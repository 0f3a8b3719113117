// The operations of /openapi.json, readable: what each does, takes and answers, as curl, and to be tried here.

import { getJson, request } from "./api.js";
import { alertBox, alertWith, el, field, find } from "./dom.js";

const LONGEST = 4000;

/** Return the path with its placeholders filled from the fields. */
const filled = (path, inputs) =>
  path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(inputs.get(name)?.value ?? ""));

/** Return a body to begin with: the example row of the model chosen, in the words of the operation. */
function bodyOf(path, models, name) {
  const model = models.find((each) => each.name === name) ?? models[0];
  if (!model?.example) return "{}";
  if (path.endsWith(":predict")) return JSON.stringify({ instances: [model.example] }, null, 1);
  if (path.endsWith(":classify")) return JSON.stringify({ examples: [model.example] }, null, 1);
  return "{}";
}

function curl(method, address, body, secured) {
  const token = secured ? " -H 'Authorization: Bearer TOKEN'" : "";
  const data = body === null ? "" : ` -H 'Content-Type: application/json' -d '${body.replaceAll("'", "'\\''")}'`;
  return `curl${method === "GET" ? "" : ` -X ${method}`} ${address}${token}${data}`;
}

const shortened = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text);

function parameterFields(parameters, models) {
  const inputs = new Map();
  const nodes = parameters
    .filter(({ in: place }) => place === "path")
    .map(({ name, schema }) => {
      const input = schema?.enum
        ? el("select", {}, schema.enum.map((value) => el("option", { value }, value)))
        : el("input", { value: name === "version" ? String(models[0]?.version ?? 1) : "" });
      inputs.set(name, input);
      return field(name, input);
    });
  return { inputs, nodes };
}

function operation(path, method, about, models) {
  const { inputs, nodes } = parameterFields(about.parameters ?? [], models);
  const takes = about.requestBody ? el("textarea", { rows: "6", spellcheck: "false" }, bodyOf(path, models, inputs.get("name")?.value)) : null;
  const example = el("pre", {});
  const shown = el("pre", { hidden: true, tabindex: "0", "aria-label": "Answer" });
  const box = alertBox();
  const address = () => new URL(filled(path, inputs).slice(1), document.baseURI).href;
  const renew = () => {
    example.textContent = shortened(curl(method, address(), takes?.value ?? null, Boolean(about.security)));
  };
  const submit = async (event) => {
    event.preventDefault();
    alertWith(box, "");
    shown.hidden = true;
    try {
      const headers = takes ? { "Content-Type": "application/json" } : {};
      const reply = await request(address(), { method, headers, ...(takes && { body: takes.value }) });
      shown.textContent = shortened(`${reply.status} ${reply.statusText}\n${await reply.text()}`);
      shown.hidden = false;
    } catch (fault) {
      alertWith(box, fault.message);
    }
  };
  inputs.get("name")?.addEventListener("change", () => {
    if (takes) takes.value = bodyOf(path, models, inputs.get("name").value);
    renew();
  });
  const form = el(
    "form",
    { novalidate: true, on: { submit, input: renew } },
    nodes,
    takes ? field("Body", takes) : null,
    el("button", { class: "primary" }, "Try it"),
  );
  renew();
  const statuses = Object.entries(about.responses).map(([status, { description }]) => [
    el("dt", {}, status),
    el("dd", {}, description),
  ]);
  return el(
    "details",
    { class: "card operation" },
    el("summary", {}, el("span", { class: "method" }, method), el("code", {}, path), ` ${about.summary ?? ""}`),
    el("p", {}, about.description ?? ""),
    el("h3", {}, "With curl"),
    example,
    form,
    box,
    shown,
    el("h3", {}, "Answers"),
    el("dl", { class: "facts" }, statuses.flat()),
  );
}

async function load() {
  try {
    const described = await getJson("openapi.json");
    const { models } = await getJson("ui/models");
    const groups = new Map();
    for (const [path, methods] of Object.entries(described.paths)) {
      for (const [method, about] of Object.entries(methods)) {
        const tag = about.tags?.[0] ?? "operations";
        groups.set(tag, [...(groups.get(tag) ?? []), operation(path, method.toUpperCase(), about, models)]);
      }
    }
    find("operations").replaceChildren(
      el("h1", {}, described.info.title),
      el("p", { class: "muted" }, "Made of openapi.json, as the server is now."),
      ...[...groups].map(([tag, nodes]) => el("section", {}, el("h2", {}, tag), nodes)),
    );
  } catch (fault) {
    find("operations").replaceChildren();
    const hint = fault.status === 401 ? " Give the token on the server's first page, in this tab." : "";
    alertWith(find("alert"), fault.message + hint);
  }
}

load();
