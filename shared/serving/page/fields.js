// One field of the form per column, by its type: number, text, or a sequence as JSON.

import { Fault } from "./api.js";
import { el, field, title } from "./dom.js";

/** Return a column's field: `node` to show, `read` its value, `parse` a value of a file. */
export function columnField(name, spec, example) {
  const isSequence = spec.shape.length > 1;
  const kind = isSequence ? sequence : spec.dtype === "string" ? text : numeric;
  const { control, parse, hint } = kind(spec, example);
  control.name = name;
  const read = () => {
    control.removeAttribute("aria-invalid");
    try {
      return parse(control.value, control.validity.badInput ? "another text" : null);
    } catch (fault) {
      control.setAttribute("aria-invalid", "true");
      control.closest("details")?.setAttribute("open", "");
      throw Object.assign(new Fault(`${title(name)}: ${fault.message}`), { field: control });
    }
  };
  const fromFile = (value, where) => {
    try {
      return parse(value, null);
    } catch (fault) {
      throw new Fault(`${where}, ${name}: ${fault.message}`);
    }
  };
  return { name, isSequence, node: field(title(name), control, hint), read, parse: fromFile };
}

function numeric(spec, example) {
  const isWhole = /^u?int/.test(spec.dtype);
  const parse = (value, bad) => {
    if (!bad && (value === null || value === undefined || String(value).trim() === "")) return null;
    const found = Number(value);
    if (bad || !Number.isFinite(found) || (isWhole && !Number.isInteger(found))) {
      throw new Fault(
        `expected a ${isWhole ? "whole " : ""}number, or nothing where it is missing. Received: ${bad ?? value}.`,
      );
    }
    return found;
  };
  const control = el("input", {
    type: "number",
    step: isWhole ? "1" : "any",
    value: shortest(spec, example),
    placeholder: "missing",
  });
  return { control, parse, hint: null };
}

/** Return a number as short as its type can hold it: 41.55, not 41.54999923706055. */
function shortest({ dtype }, value) {
  if (dtype !== "float32" || typeof value !== "number") return value ?? "";
  const candidates = [6, 7, 8].map((digits) => Number(value.toPrecision(digits)));
  return candidates.find((each) => Math.fround(each) === Math.fround(value)) ?? value;
}

function text(spec, example) {
  return {
    control: el("input", { type: "text", value: example ?? "" }),
    parse: (value) => String(value ?? ""),
    hint: null,
  };
}

function sequence(spec, example) {
  const wanted = spec.shape
    .slice(1)
    .map((size) => (size < 0 ? "any" : size))
    .join(" × ");
  const parse = (value) => {
    if (Array.isArray(value)) return value;
    try {
      const found = JSON.parse(value);
      if (Array.isArray(found)) return found;
    } catch {
      // Said below, as for any other value that is no list.
    }
    throw new Fault("expected a list in JSON, such as [[0, 1], [2, 3]].");
  };
  const control = el("textarea", { rows: "6", class: "code", spellcheck: "false" });
  control.defaultValue = example === undefined ? "" : JSON.stringify(example).replaceAll("],[", "],\n [");
  return { control, parse, hint: `A list of ${wanted} ${spec.dtype === "string" ? "texts" : "numbers"} in JSON.` };
}
