// Tables as files: reading CSV, TSV and JSON lines, writing CSV.

import { Fault } from "./api.js";
import { el } from "./dom.js";

/** Return a file's text; what is no text in UTF-8 is refused. */
export async function textOf(file) {
  const text = await file.text();
  if (/[\u0000\uFFFD]/.test(text)) throw new Fault(`${file.name} is not a text file in UTF-8.`);
  if (!text.trim()) throw new Fault(`${file.name} is empty.`);
  return text;
}

/** Return a CSV file's rows as lists of strings (RFC 4180); the delimiter is the most frequent of its first line. */
export function parseCsv(text) {
  const first = text.slice(0, text.search(/[\r\n]|$/));
  const delimiter = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const rows = [];
  let row = [];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^${delimiter}\\r\\n]*))(${delimiter}|\\r\\n|\\n|\\r|$)`, "gy");
  while (cell.lastIndex < text.length) {
    const at = cell.lastIndex;
    const found = cell.exec(text);
    if (!found) throw new Fault(`Row ${rows.length + 1}: expected a quote to end before the next column.`);
    row.push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] !== delimiter) {
      rows.push(row);
      row = [];
    } else if (cell.lastIndex === text.length) {
      rows.push([...row, ""]);
    }
    if (cell.lastIndex === at) break;
  }
  return rows.filter((cells) => cells.length > 1 || cells[0] !== "");
}

/** Return the rows of a CSV file with a head, or of JSON lines, as objects. */
export function parseTable(name, text) {
  if (text.trimStart().startsWith("{")) {
    return text
      .split(/\r?\n/)
      .filter((line) => line.trim())
      .map((line, index) => parseLine(name, line, index));
  }
  const [head, ...rows] = parseCsv(text);
  return rows.map((cells, index) => {
    if (cells.length !== head.length) {
      throw new Fault(`${name}, row ${index + 1}: expected ${head.length} columns. Received: ${cells.length}.`);
    }
    return Object.fromEntries(head.map((column, place) => [column.trim(), cells[place]]));
  });
}

function parseLine(name, line, index) {
  try {
    return JSON.parse(line);
  } catch {
    throw new Fault(`${name}, line ${index + 1}: expected a JSON object.`);
  }
}

export function writeCsv(rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
