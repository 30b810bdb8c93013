// The page of `ddpm parse`: sends a record, and shows what becomes of it. Text enters the page only as text.

import { h } from "../console/dom.js";
import { themeButton } from "../console/theme.js";

const HEX_ROW = 16;
const HEX_SHOWN = 64;
const CHUNK = 0x8000;
// The key under which a number's text stands, while it is one.
const NUMBER = "\u0000number";

const place = (id) => document.getElementById(id);
const form = place("form");
const record = place("record");
const file = place("file");
let asked = 0;

themeButton(place("theme"));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
record.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    ask();
  }
});
file.addEventListener("change", () => chosen());
place("forget").addEventListener("click", () => {
  file.value = "";
  chosen();
  record.focus();
});
introduce();

function chosen() {
  const has = file.files.length > 0;
  record.disabled = has;
  place("forget").hidden = !has;
}

async function introduce() {
  try {
    const about = JSON.parse((await answered("v1/parse")).text);
    place("about").textContent = about.pipeline === about.parser ? about.parser : `${about.pipeline}, parser ${about.parser}`;
    place("about").dataset.table = about.table ?? "";
  } catch (error) {
    showError(error);
  }
}

async function ask() {
  const mine = ++asked;
  place("parse").disabled = true;
  try {
    const payload = base64(await bytes());
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ payload }) };
    const { ok, text } = await answered("v1/parse", options);
    if (mine !== asked) {
      return;
    }
    if (ok) {
      show(exact(text));
    } else {
      const { error } = JSON.parse(text);
      fail(error.message, error.hint);
    }
  } catch (error) {
    showError(error);
  } finally {
    place("parse").disabled = false;
  }
}

/** What can be shown to a person as it is. */
class Shown extends Error {
  constructor(message, hint = null) {
    super(message);
    this.hint = hint;
  }
}

async function answered(path, options) {
  try {
    const response = await fetch(path, options);
    return { ok: response.ok, text: await response.text() };
  } catch {
    throw new Shown("ddpm does not answer", "is `ddpm parse --serve` still running?");
  }
}

function showError(error) {
  const known = error instanceof Shown;
  fail(known ? error.message : `this cannot be shown: ${error}`, known ? error.hint : null);
}

async function bytes() {
  if (file.files.length > 0) {
    return new Uint8Array(await file.files[0].arrayBuffer());
  }
  const kind = new FormData(form).get("kind");
  const compact = record.value.replace(/\s+/g, "");
  if (kind === "hex") {
    if (!/^([0-9a-f]{2})*$/i.test(compact)) {
      throw new Shown("this is not hexadecimal: an even number of the digits 0-9 and a-f");
    }
    return Uint8Array.from(compact.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  }
  if (kind === "base64") {
    try {
      return Uint8Array.from(atob(compact), (char) => char.charCodeAt(0));
    } catch {
      throw new Shown("this is not base64");
    }
  }
  return new TextEncoder().encode(record.value);
}

function base64(data) {
  let text = "";
  for (let at = 0; at < data.length; at += CHUNK) {
    text += String.fromCharCode(...data.subarray(at, at + CHUNK));
  }
  return btoa(text);
}

/** Reads JSON without losing digits: each number becomes an object that holds its text. */
function exact(text) {
  const key = JSON.stringify(NUMBER);
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (found) =>
    found.startsWith('"') ? found : `{${key}:"${found}"}`));
}

function isNumber(value) {
  return value !== null && typeof value === "object" && Object.hasOwn(value, NUMBER);
}

function pretty(value, indent = "") {
  const inner = `${indent}  `;
  if (isNumber(value)) {
    return value[NUMBER];
  }
  if (Array.isArray(value) && value.length > 0) {
    return `[\n${value.map((one) => inner + pretty(one, inner)).join(",\n")}\n${indent}]`;
  }
  if (value !== null && typeof value === "object" && Object.keys(value).length > 0) {
    const items = Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${pretty(one, inner)}`);
    return `{\n${items.join(",\n")}\n${indent}}`;
  }
  return JSON.stringify(value);
}

function show(answer) {
  const size = Number(pretty(answer.size));
  const head = Uint8Array.from(atob(answer.head ?? ""), (char) => char.charCodeAt(0));
  const documents = answer.documents;
  const left = answer.left_out === undefined ? 0 : Number(pretty(answer.left_out));
  place("answer").replaceChildren(
    h("p", { class: "summary" }, summary(documents, left)),
    h("article", { class: "card steps" }, step("bytes", `${size} bytes`), h("pre", { class: "hex" }, hexdump(head, size))),
    ...documents.map(part),
    left > 0 ? h("p", { class: "empty" }, `… and ${left} documents more, none of them a dead letter`) : "",
  );
}

function summary(documents, left) {
  const count = (outcome) => documents.filter((each) => each.outcome === outcome).length;
  const letters = count("dead_letter");
  const written = count("written") + left;
  return `${written} written, ${count("filtered")} filtered, ${letters} dead letter${letters === 1 ? "" : "s"}`;
}

function part(each) {
  const parsed = content(each, "parsed");
  const processed = content(each, "document");
  return h(
    "article",
    { class: "card steps" },
    each.index === undefined ? null : h("h2", { class: "step" }, `Document ${pretty(each.index)}`),
    verdict(each),
    parsed === null ? null : [step("parsed"), h("pre", {}, parsed)],
    processed === null || processed === parsed ? null : [step("processed"), h("pre", {}, processed)],
    each.columns === undefined ? null : [step(columnsTitle()), columns(each)],
  );
}

function content(each, name) {
  if (each[name] !== undefined) {
    return pretty(each[name]);
  }
  const raw = each[`${name}_bytes`];
  return raw === undefined ? null : `(bytes in base64) ${raw}`;
}

function columnsTitle() {
  const table = place("about").dataset.table;
  return table ? `columns of ${table}` : "columns";
}

function columns(each) {
  const row = (cell) => h(
    "tr",
    { class: each.reason?.column === cell.column ? "refused" : null },
    h("td", {}, cell.column),
    h("td", {}, cell.type),
    h("td", { class: cell.value === null ? "unknown" : null }, cell.value ?? "NULL"),
  );
  const head = h("tr", {}, h("th", {}, "column"), h("th", {}, "type"), h("th", {}, "value"));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, each.columns.map(row)));
}

function verdict(each) {
  const reason = each.reason;
  const words = {
    written: () => "written",
    filtered: () => "filtered: nothing is written",
    dead_letter: () => {
      const column = reason.column ? `, column ${reason.column}` : "";
      return `dead letter: ${reason.stage}, ${reason.code}${column}: ${reason.message}`;
    },
  };
  return h("p", { class: `verdict verdict-${each.outcome}` }, words[each.outcome]());
}

function step(name, aside = null) {
  return h("h3", { class: "step" }, name, aside === null ? null : h("span", { class: "card-aside" }, ` ${aside}`));
}

function hexdump(head, size) {
  const lines = [];
  for (let at = 0; at < Math.min(head.length, HEX_SHOWN); at += HEX_ROW) {
    const row = [...head.subarray(at, Math.min(at + HEX_ROW, HEX_SHOWN))];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(HEX_ROW * 3 - 1);
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex}  ${text}`);
  }
  return lines.join("\n") + (size > HEX_SHOWN ? "\n…" : "");
}

function fail(message, hint) {
  place("answer").replaceChildren(
    h("p", { class: "verdict verdict-dead_letter", role: "alert" }, message, hint ? h("span", { class: "note" }, ` ${hint}`) : null),
  );
}
