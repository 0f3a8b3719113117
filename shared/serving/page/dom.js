// Elements, words and numbers: what every widget is made of.

let made = 0;

/** Return an element. `on` holds listeners; `style` goes through the CSSOM, which a strict CSP allows. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") {
    for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
  } else if (name === "style") {
    for (const [property, given] of Object.entries(value)) element.style.setProperty(property, given);
  } else {
    element.setAttribute(name, value === true ? "" : value);
  }
}

export const find = (id) => document.getElementById(id);

/** Return an id that no other element has, to bind a label to its field. */
export function nextId() {
  made += 1;
  return `field-${made}`;
}

/** Return a labelled field: any control with its label above and a hint below. */
export function field(label, control, hint = null) {
  control.id ||= nextId();
  const said = hint && el("p", { class: "hint", id: `${control.id}-hint` }, hint);
  if (said) control.setAttribute("aria-describedby", said.id);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, said);
}

/** Return a button that looks like one and opens a file dialogue; `chosen` gets the files. */
export function fileButton(label, accept, chosen, { multiple = false } = {}) {
  const input = el("input", { type: "file", class: "file-input", id: nextId(), accept, multiple });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) chosen(files);
  });
  return el("span", { class: "file" }, input, el("label", { for: input.id, class: "button" }, label));
}

/** `customer_count_1d` -> `customer count 1d` */
export const words = (name) => String(name).replaceAll("_", " ").trim();

/** `obstacle_ahead` -> `Obstacle ahead` */
export function title(name) {
  const text = words(name);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Return a number as people read it: three places, more where it is small. */
export function number(value) {
  if (value === null || value === undefined) return "missing";
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.01 ? value.toPrecision(2) : value.toFixed(3);
}

export function bytes(size) {
  if (size < 1e6) return `${Math.max(1, Math.round(size / 1e3))} kB`;
  return `${(size / 1e6).toFixed(1)} MB`;
}

export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** `3 clear, 2 obstacle ahead`, the most frequent first. */
export function counted(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${count} ${name.charAt(0).toLowerCase()}${name.slice(1)}`)
    .join(", ");
}

/** Say something to who does not see the page change. */
export function announce(text) {
  find("status").textContent = text;
}

/** Return the place of a widget's errors; it is there from the beginning, so that screen readers watch it. */
export const alertBox = () => el("div", { role: "alert", class: "alert" });

/** Show one sentence in an alert box; nothing clears it. */
export function alertWith(box, sentence) {
  box.replaceChildren(...(sentence ? [el("p", {}, sentence)] : []));
}
