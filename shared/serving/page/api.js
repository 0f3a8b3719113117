// Asking the server; whatever goes wrong becomes one sentence.

const TOKEN = "fieldnets-token";
const ROWS_AT_ONCE = 64;
const LARGE_BYTES = 8e6;

/** What a person can read of a request that was not answered. */
export class Fault extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
  }
}

export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);
export const dropToken = () => sessionStorage.removeItem(TOKEN);

export const getJson = async (path) => (await ask(path)).json();
export const getText = async (path) => (await ask(path)).text();

/** Answer instances with a signature; return one object of outputs per row. */
export async function predict(model, instances, signature = null) {
  const body = JSON.stringify({ instances, ...(signature && { signature_name: signature }) });
  const headers = { "Content-Type": "application/json" };
  const reply = await ask(model.predictPath, { method: "POST", headers, body });
  const { predictions } = await reply.json();
  return predictions.map((row) => (isObject(row) ? row : { [Object.keys(model.outputs)[0]]: row }));
}

/** Let the server read a file that a browser and the model cannot; return it for both. */
export async function readForeign(model, file) {
  const path = `ui/models/${encodeURIComponent(model.name)}/read`;
  const headers = { "Content-Type": "application/octet-stream" };
  const read = await (await ask(path, { method: "POST", headers, body: file })).json();
  return { content: read.file, shown: blobOf(read.preview) };
}

function blobOf(encoded) {
  return new Blob([Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0))], { type: "image/png" });
}

/** Answer many instances in several requests; `onRows` gets the answers so far, and stops with false. */
export async function predictAll(model, instances, onRows) {
  const rows = [];
  for (let start = 0; start < instances.length; start += ROWS_AT_ONCE) {
    rows.push(...(await predict(model, instances.slice(start, start + ROWS_AT_ONCE))));
    if (onRows(rows) === false) break;
  }
}

/** Return a blob's content as base64. */
export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Fault("This file cannot be read."));
    reader.readAsDataURL(blob);
  });
}

const isObject = (row) => typeof row === "object" && row !== null && !Array.isArray(row);

/** Send a request with the token of this tab; return the reply, whatever its status. */
export async function request(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  try {
    return await fetch(path, { ...options, headers });
  } catch {
    throw new Fault(unreachable(options.body));
  }
}

async function ask(path, options = {}) {
  const reply = await request(path, options);
  if (!reply.ok) throw await faultOf(reply);
  return reply;
}

/** A server that refuses a large body may close the connection before the browser reads why. */
function unreachable(body) {
  const size = body?.length ?? body?.size ?? 0;
  if (size < LARGE_BYTES) return "The server cannot be reached. Check the connection, then try again.";
  return `The server cannot be reached, or it does not accept ${Math.round(size / 1e6)} MB at once.`;
}

async function faultOf(reply) {
  const content = await reply.json().catch(() => ({}));
  if (reply.status === 401) document.dispatchEvent(new CustomEvent("token-needed"));
  return new Fault(sentenceOf(reply, content.error ?? reply.statusText), reply.status);
}

function sentenceOf(reply, said) {
  const seconds = reply.headers.get("Retry-After");
  const again = seconds ? `Try again in ${seconds} s.` : "Try again in a moment.";
  const known = {
    401: "The server does not accept this token.",
    404: `The server does not know this model or version: ${said}`,
    413: `This is larger than the server accepts: ${said}`,
    422: `This is more than the server accepts: ${said}`,
    429: `The server has too much to do at the moment. ${again}`,
    503: `The model cannot answer at the moment. ${again}`,
    504: `The answer took too long. ${again}`,
  };
  return known[reply.status] ?? `The server could not answer this: ${said}`;
}
