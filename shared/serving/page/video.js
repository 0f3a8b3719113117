// A short clip: frames taken in the browser, each asked like a picture, shown as a strip to step through.

import { Fault, base64, predict } from "./api.js";
import { announce, counted, el, number, plural } from "./dom.js";
import { decisionOf, decisionWords, inputOf } from "./model.js";
import { pictureOf } from "./picture.js";
import { answer } from "./result.js";

const FRAMES_PER_SECOND = 5;
const MOST_SECONDS = 10;
const LOAD_SECONDS = 15;
const JPEG_QUALITY = 0.92;
export const clipLimits = `of a clip the first ${MOST_SECONDS} seconds, ${FRAMES_PER_SECOND} frames a second.`;

/** Ask for each frame of a clip and show them as they come. */
export async function clip(model, file, body) {
  const video = await opened(file);
  const times = timesOf(video.duration);
  const strip = stripOf(model, body, video.duration, times.length);
  for (const time of times) {
    if (strip.isStopped() || !body.isConnected) break;
    const frame = await frameAt(video, time);
    const [row] = await predict(model, [{ [inputOf(model)]: { b64: await base64(frame) } }]);
    strip.add(frame, row, time);
  }
  URL.revokeObjectURL(video.src);
  strip.finish();
}

async function opened(file) {
  const video = el("video", { muted: true, playsinline: true, preload: "auto" });
  video.muted = true;
  video.src = URL.createObjectURL(file);
  await event(video, "loadeddata");
  if (video.duration === Infinity) {
    // A recording that does not say its length says it once its end was looked for.
    video.currentTime = 1e7;
    await event(video, "durationchange");
  }
  return video;
}

function event(video, name) {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Fault("This is not a clip that the browser can play."));
    const late = setTimeout(fail, 1000 * LOAD_SECONDS);
    video.addEventListener(
      name,
      () => {
        clearTimeout(late);
        resolve();
      },
      { once: true },
    );
    video.addEventListener("error", fail, { once: true });
  });
}

function timesOf(duration) {
  const count = Math.max(1, Math.ceil(Math.min(duration, MOST_SECONDS) * FRAMES_PER_SECOND - 1e-6));
  return Array.from({ length: count }, (_, index) => index / FRAMES_PER_SECOND);
}

async function frameAt(video, time) {
  if (video.currentTime !== time) {
    const arrived = event(video, "seeked");
    video.currentTime = time;
    await arrived;
  }
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
}

/** Build the stepper; return how to add a frame and how to end. */
function stripOf(model, body, duration, total) {
  const frames = [];
  let current = -1;
  let stopped = false;
  const view = el("div", { class: "split" });
  const thumbs = el("ul", { class: "strip", "aria-label": "Frames" });
  const progress = el("p", { class: "muted" });
  const previous = el(
    "button",
    { type: "button", class: "button small", on: { click: () => show(current - 1) } },
    "Previous frame",
  );
  const next = el(
    "button",
    { type: "button", class: "button small", on: { click: () => show(current + 1) } },
    "Next frame",
  );
  const stop = el(
    "button",
    {
      type: "button",
      class: "button small",
      on: {
        click: () => {
          stopped = true;
        },
      },
    },
    "Stop",
  );
  const cut =
    duration > MOST_SECONDS
      ? el("p", { class: "hint" }, `The clip is longer: only its first ${MOST_SECONDS} seconds are asked.`)
      : null;
  body.replaceChildren(
    progress,
    ...(cut ? [cut] : []),
    view,
    el("div", { class: "row" }, previous, next, stop),
    thumbs,
  );

  function show(index) {
    if (index < 0 || index >= frames.length) return;
    current = index;
    const { frame, row, time } = frames[index];
    const alt = `Frame ${index + 1} at ${time.toFixed(1)} seconds`;
    const head = el("p", { class: "hint" }, `${alt}, ${index + 1} of ${frames.length}`);
    view.replaceChildren(pictureOf(model, row, frame, alt), el("div", { class: "answer" }, head, answer(model, row)));
    [...thumbs.querySelectorAll("button")].forEach((thumb, place) =>
      thumb.setAttribute("aria-pressed", place === index),
    );
    previous.disabled = index === 0;
    next.disabled = index === frames.length - 1;
  }

  function add(frame, row, time) {
    frames.push({ frame, row, time });
    thumbs.append(thumbOf(frame, row, time, frames.length, show));
    progress.textContent = `Asked ${frames.length} of ${plural(total, "frame")} …`;
    if (current === frames.length - 2) show(frames.length - 1);
    else next.disabled = false;
  }

  function finish() {
    stop.remove();
    const said = counted(frames.map(({ row }) => decisionWords(decisionOf(row))));
    progress.textContent = `${plural(frames.length, "frame")}: ${said}.`;
    announce(progress.textContent);
  }
  return { add, finish, isStopped: () => stopped };
}

function thumbOf(frame, row, time, place, show) {
  const address = URL.createObjectURL(frame);
  const image = el("img", { src: address, alt: "", on: { load: () => URL.revokeObjectURL(address) } });
  const said = decisionWords(decisionOf(row));
  const label = `Frame ${place}, ${number(time)} seconds: ${said}`;
  const press = () => show(place - 1);
  const button = el(
    "button",
    { type: "button", class: "thumb", "aria-label": label, "aria-pressed": "false", on: { click: press } },
    image,
    el("span", {}, `${time.toFixed(1)} s`),
    el("span", { class: "thumb-decision" }, said),
  );
  return el("li", {}, button);
}
