// A picture as the model saw it, with boxes or a heat map over it.

import { predict } from "./api.js";
import { alertBox, alertWith, el, field, number } from "./dom.js";
import { boxesOf } from "./model.js";

// Okabe and Ito 2008: told apart with any colour vision; line styles and numbers say the same again.
const COLOURS = 6;
const NARROW_SHARE = 0.2;
// Inferno, dark to bright.
const HEAT = [
  [0, 0, 4],
  [66, 10, 104],
  [147, 38, 103],
  [221, 81, 58],
  [252, 165, 10],
  [252, 255, 164],
];
const CLEAR_BELOW = 0.35;

/** Return a figure of a file with what an answer found in it; `instance` asks for the heat map where there is one. */
export function pictureOf(model, row, file, alt, instance = null) {
  const address = URL.createObjectURL(file);
  const image = el("img", { src: address, alt });
  const frame = el("div", { class: "frame" }, image);
  const figure = el("figure", { class: "picture" }, frame);
  image.addEventListener("load", () => {
    URL.revokeObjectURL(address);
    if (row.boxes) frame.append(boxLayer(boxesOf(model, row), image, model.classNames));
  });
  image.addEventListener("error", () => {
    frame.replaceChildren(
      el("p", { class: "muted frame-text" }, "The browser cannot show this file; the model read it."),
    );
  });
  if (instance && model.explains) figure.append(heatControl(model, frame, instance));
  return figure;
}

/** Return boxes over a picture. Labels are text, so they stay legible at any size. */
function boxLayer(found, image, classNames) {
  const { naturalWidth: width, naturalHeight: height } = image;
  return el(
    "div",
    { class: "boxes", "aria-hidden": "true" },
    found.map(({ box, name, score }, index) => {
      const [left, top, right, bottom] = box;
      const place = {
        left: left / width,
        top: top / height,
        width: (right - left) / width,
        height: (bottom - top) / height,
      };
      const style = Object.fromEntries(Object.entries(place).map(([side, share]) => [side, `${100 * share}%`]));
      const colour =
        Math.max(
          classNames.findIndex((known) => known.replaceAll("_", " ") === name),
          0,
        ) % COLOURS;
      const label = place.width < NARROW_SHARE ? String(index + 1) : `${index + 1} ${name} ${number(score)}`;
      const inside = place.top < 0.08 ? " inside" : "";
      return el("div", { class: `box colour-${colour}${inside}`, style }, el("span", { class: "box-label" }, label));
    }),
  );
}

function heatControl(model, frame, instance) {
  const box = alertBox();
  const place = el("div", {}, box);
  const button = el(
    "button",
    { type: "button", class: "button small", on: { click: show } },
    "Show where the model looked",
  );
  place.append(button);

  async function show() {
    button.disabled = true;
    alertWith(box, "");
    try {
      const [row] = await predict(model, [instance], "explain");
      const layer = heatLayer(row.heat);
      frame.append(layer);
      place.replaceChildren(...heatLegend(layer, row.label));
      place.querySelector("input").focus();
    } catch (fault) {
      button.disabled = false;
      alertWith(box, fault.message);
    }
  }
  return place;
}

function heatLegend(layer, label) {
  const slider = el("input", { type: "range", min: "0", max: "100", value: "60" });
  slider.addEventListener("input", () => {
    layer.style.opacity = slider.value / 100;
  });
  layer.style.opacity = 0.6;
  const what = label ? `What mattered for “${String(label).replaceAll("_", " ")}”` : "What mattered for the answer";
  return [
    field("Heat map opacity", slider),
    el(
      "div",
      { class: "legend" },
      el("span", {}, "little"),
      el("span", { class: "ramp", "aria-hidden": "true" }),
      el("span", {}, "much"),
    ),
    el("figcaption", { class: "hint" }, `${what}. A heat map shows where, not why, and can be wrong.`),
  ];
}

/** Return a canvas of the map's own size, which the browser stretches smoothly over the picture. */
function heatLayer(heat) {
  const canvas = el("canvas", { class: "heat", width: heat[0].length, height: heat.length, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  heat.flat().forEach((value, index) => pixels.data.set(heatColour(value), 4 * index));
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function heatColour(value) {
  const place = Math.min(Math.max(value, 0), 1) * (HEAT.length - 1);
  const below = Math.min(Math.floor(place), HEAT.length - 2);
  const mixed = HEAT[below].map((low, channel) => low + (HEAT[below + 1][channel] - low) * (place - below));
  return [...mixed, 255 * Math.min(value / CLEAR_BELOW, 1)];
}
