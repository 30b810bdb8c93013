// The dead letters of a pipeline: why records failed, single letters, and what is being done with them.

import { lacks, may } from "./audit.js";
import { h, render } from "./dom.js";
import { clock, count, full, plural } from "./format.js";
import { at, card, empty, records, table } from "./parts.js";

const HEX_ROW = 16;
const SHOWN = 20;
const NEEDED = { replay: "operate", discard: "admin" };

/** How to ask for the newest letters with a reason. */
export function lettersQuery(reason) {
  const query = new URLSearchParams({ letters: SHOWN, reason: `${reason.stage}/${reason.code}`, message: reason.message });
  return `?${query}`;
}

/** What names a reason among the others. */
export function reasonKey({ stage, code, message }) {
  return `${stage}/${code}/${message}`;
}

/** The card; `letters` is ddpm's answer, {failure} if there is none, or null before it; `opened` {key, lines} or null. */
export function lettersCard({ pipeline, who, letters, opened, now, stale }) {
  const title = "Dead letters";
  if (letters === null) {
    return card("letters", title, null, empty("Asking for the dead letters…"));
  }
  if (letters.failure) {
    return card("letters", title, null, empty(`Not known: ${letters.failure}`));
  }
  const busy = letters.replay?.state === "running";
  const body = letters.reasons.length === 0 ? empty(letters.complete ? "None is open." : "They are being counted.") : [
    reasons(letters, opened, { who, now, stale, busy }),
    h("div", { class: "buttons letter-buttons", role: "group", "aria-label": `All open dead letters of ${pipeline.name}` },
      button(who, "replay", "Replay all", stale || busy), button(who, "discard", "Discard all", stale))];
  return card("letters", title, summary(letters), replayLine(letters.replay, now), body);
}

function summary(letters) {
  const done = [["replayed", letters.replayed], ["failed again", letters.failed_again], ["discarded", letters.discarded]];
  const parts = done.filter(([, number]) => number > 0).map(([word, number]) => `${count(number)} ${word}`);
  return [`${count(letters.open)} open`, ...parts].join(" · ") + ` · in ${letters.topic}`;
}

function replayLine(replay, now) {
  if (replay === null) {
    return null;
  }
  if (replay.state === "running") {
    const waits = replay.waiting ? `; the engine waits: ${replay.waiting}` : "";
    const label = `Replaying: ${count(replay.done)} of ${plural(replay.total, "letter")}${waits}`;
    return h("div", { class: "replay", "data-key": "replay" }, h("span", { class: "num" }, label),
      h("progress", { max: Math.max(1, replay.total), value: replay.done, "aria-label": label }));
  }
  return h("p", { class: replay.state === "failed" ? "card-text troubled" : "card-text", "data-key": "replay" },
    `The replay of ${clock(replay.started, now)} ${replay.state === "failed" ? "failed" : "is done"}: ${replay.message}`);
}

function reasons(letters, opened, { who, now, stale, busy }) {
  const columns = [{ title: "Reason" }, { title: "Letters", number: true }, { title: "First" }, { title: "Last" }, { title: "What to do" }];
  const rows = letters.reasons.map((reason, index) => {
    const key = reasonKey(reason);
    const open = opened !== null && opened.key === key;
    return { key: `reason-${key}`, cells: [
      [h("button", { type: "button", class: "reason-toggle", "data-action": "open-reason", "data-reason": index, "aria-expanded": open ? "true" : "false" },
        h("span", { class: "reason-code" }, `${reason.stage}/${reason.code}`), h("span", { class: "reason-message" }, reason.message)),
      open ? lines(opened.lines, reason, now) : null],
      records(reason.count), at(reason.first, now), at(reason.last, now),
      h("div", { class: "row-buttons" }, button(who, "replay", "Replay", stale || busy, index, reason), button(who, "discard", "Discard", stale, index, reason))] };
  });
  return table("Reasons of dead letters", columns, rows);
}

function button(who, action, text, off, index = "", reason = null) {
  const lacking = lacks(who, NEEDED[action]);
  return h("button", { type: "button", "data-action": `letters-${action}`, "data-reason": index, disabled: off || lacking !== null, title: lacking,
    "aria-label": reason === null ? null : `${text} ${reason.stage}/${reason.code}: ${reason.message}` }, text);
}

function lines(all, reason, now) {
  if (all === null) {
    return empty("Asking for the letters…");
  }
  if (all.length === 0) {
    return empty("There is none any more.");
  }
  const rest = reason.count - all.length;
  return h("ol", { class: "letters" }, all.map((line) => h("li", { "data-key": `letter-${line.id}` },
    h("button", { type: "button", class: "letter", "data-action": "letter", "data-id": line.id, "aria-label": `Dead letter ${line.id}` },
      h("span", { class: "num strong-text" }, line.id), h("span", { class: "letter-origin" }, originOf(line)),
      h("span", { class: "num at" }, clock(line.failed_at, now)),
      line.attempt > 1 ? h("span", { class: "letter-attempt" }, `attempt ${line.attempt}`) : null,
      h("span", { class: "letter-message" }, harmless(line.message))))),
  rest > 0 ? h("li", { class: "faint-text", "data-key": "rest" }, `and ${plural(rest, "older one")}; ddpm dlq list --letters shows all`) : null);
}

function originOf({ origin }) {
  return origin === null ? "unknown origin" : `${origin.topic}:${origin.partition}:${origin.offset}${origin.index === null ? "" : ` document ${origin.index}`}`;
}

/** Shows a letter in a dialog, with what `who` may do; gives "replay" or "discard" when that was asked for, else null. */
export function showLetter(letter, now, who) {
  const close = h("button", { type: "button" }, "Close");
  const mode = h("button", { type: "button", "aria-pressed": "false" }, "Hexadecimal");
  const box = h("div");
  const deeds = letter.handled !== null ? [] : ["replay", "discard"].filter((deed) => may(who, NEEDED[deed])).map((deed) =>
    h("button", { type: "button", "data-deed": deed }, deed === "replay" ? "Replay" : "Discard"));
  const dialog = h("dialog", { class: "wide", "aria-labelledby": "dialog-title", "data-of-page": true },
    h("h2", { id: "dialog-title", tabindex: "-1" }, `Dead letter ${letter.id}`), facts(letter, now), box,
    h("div", { class: "dialog-buttons" }, mode, h("span", { class: "bar-space" }), deeds, close));
  let hex = false;
  const show = () => {
    render(box, headers(letter), bytes("Key", letter.key, hex, "none"), bytes("Value", letter.value, hex, "null: a tombstone"));
    mode.setAttribute("aria-pressed", String(hex));
  };
  show();
  mode.addEventListener("click", () => {
    hex = !hex;
    show();
  });
  document.body.append(dialog);
  return new Promise((resolve) => {
    let answer = null;
    close.addEventListener("click", () => dialog.close());
    deeds.forEach((each) => each.addEventListener("click", () => {
      answer = each.dataset.deed;
      dialog.close();
    }));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.showModal();
  });
}

function facts(letter, now) {
  const fact = (title, value) => value === null ? null : h("div", { class: "fact" }, h("dt", null, title), h("dd", null, value));
  const handled = letter.handled === null ? "open" : `${letter.handled.deed.replace("_", " ")}, ${clock(letter.handled.at, now)}`;
  return h("dl", { class: "facts" },
    fact("Reason", h("span", { class: "troubled" }, `${letter.stage}/${letter.code}: ${harmless(letter.message)}`)),
    fact("SQLSTATE", letter.sqlstate), fact("Column", letter.column), fact("Origin", originOf(letter)),
    fact("Failed", full(letter.failed_at)), fact("Attempt", letter.attempt > 1 ? String(letter.attempt) : null),
    fact("Configuration", letter.config_hash === null ? null : h("code", null, letter.config_hash)), fact("State", handled));
}

/** The headers of a record. */
export function headers({ headers: all }) {
  return all.length === 0 ? null : [h("h3", null, "Headers"), h("dl", { class: "facts" }, all.map(({ name, value }) => h("div", { class: "fact" },
    h("dt", null, harmless(name)), h("dd", null, value === null ? "null" : value.text === null ? hexdump(value) : harmless(value.text)))))];
}

/** Bytes with their title, as text or in hexadecimal. */
export function bytes(title, value, hex, absent) {
  if (value === null || (title === "Key" && value.size === 0)) {
    return h("h3", { class: "bytes-title" }, `${title}: ${absent}`);
  }
  const asText = value.text !== null && !hex;
  const note = value.cut ? ", the beginning of it" : "";
  return [h("h3", { class: "bytes-title" }, `${title}, ${plural(value.size, "byte")}${note}`),
    h("pre", { class: "bytes", tabindex: "0", role: "region", "aria-label": title }, asText ? pretty(value.text) : hexdump(value))];
}

function hexdump(value) {
  const all = Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0));
  const rows = [];
  for (let start = 0; start < all.length; start += HEX_ROW) {
    const row = [...all.slice(start, start + HEX_ROW)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(HEX_ROW * 3 - 1);
    const text = row.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    rows.push(`${start.toString(16).padStart(8, "0")}  ${digits}  ${text}`);
  }
  return rows.join("\n");
}

/** JSON set out in lines, every digit as it was written; any other text as it is. */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return harmless(text);
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return harmless(tokens.map((token, index) => {
    if (token === "{" || token === "[") {
      depth += 1;
      return "]}".includes(tokens[index + 1]) ? token : token + line();
    }
    if (token === "}" || token === "]") {
      depth -= 1;
      return "[{".includes(tokens[index - 1]) ? token : line() + token;
    }
    return token === "," ? token + line() : token === ":" ? ": " : token;
  }).join(""));
}

/** Text without characters that hide or reorder what is read: they are shown as escapes. */
export function harmless(text) {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => character === "\n" || character === "\t" ? character :
    `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`);
}
