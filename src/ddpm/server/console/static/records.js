// The newest records of a pipeline: as they lie in their topics, and what becomes of each.

import { lacks } from "./audit.js";
import { h } from "./dom.js";
import { clock, plural } from "./format.js";
import { bytes, harmless, headers, pretty } from "./letters.js";
import { card, empty } from "./parts.js";

const SHOWN = 20;
const LINE = 400;
const OUTCOMES = { written: "written", filtered: "filtered: nothing is written", dead_letter: "dead letter" };

/** How to ask for them. */
export function recordsPath(name) {
  return `v1/pipelines/${encodeURIComponent(name)}/records?count=${SHOWN}`;
}

/** The card; `looked` is {records, failure, asking, live, at} or null while nobody has asked. */
export function recordsCard({ pipeline, who, looked, now, stale }) {
  const lacking = lacks(who, "operate");
  const button = (action, text, pressed) => h("button", { type: "button", "data-action": action, "data-key": action,
    disabled: stale || lacking !== null, title: lacking, "aria-pressed": pressed === undefined ? null : String(pressed) }, text);
  const { records = null, failure = null, asking = false, live = false, at = "source" } = looked ?? {};
  const controls = h("div", { class: "buttons record-buttons", role: "group", "aria-label": `Records of ${pipeline.name}`, "data-key": "controls" },
    button("look", records === null ? "Show the newest" : "Show again"),
    records === null ? null : [button("look-source", "At the source", at === "source"), button("look-sink", "As written", at === "sink")],
    button("look-live", "Live", live));
  return card("records", "Records", records === null ? null : `the newest ${records.length}, without the pipeline's group`,
    controls, failure === null ? null : h("p", { class: "card-text troubled", role: "status", "data-key": "failure" }, failure),
    records === null ? (asking ? empty("Asking for the records…") : null) :
      records.length === 0 ? empty("There is none in its topics.") :
        h("ol", { class: "records", "data-key": "records" }, records.map((record) => item(record, at, now))));
}

function item(record, at, now) {
  const place = `${record.topic}:${record.partition}:${record.offset}`;
  return h("li", { "data-key": `record-${place}` },
    h("details", { class: "record" },
      h("summary", null,
        h("span", { class: "num strong-text" }, place),
        record.timestamp_ms === null ? null : h("span", { class: "num at" }, clock(new Date(record.timestamp_ms).toISOString(), now)),
        record.key === null || record.key.size === 0 ? null : h("span", { class: "record-key" }, harmless(record.key.text ?? "(bytes)")),
        h("span", { class: "record-line" }, at === "source" ? sourceLine(record) : sinkLine(record))),
      headers(record), bytes("Key", record.key, false, "none"), bytes("Value", record.value, false, "null: a tombstone"),
      record.documents === null ? empty("What becomes of it is not known: there is no engine on this machine.") :
        record.documents.length === 0 ? empty("No documents: it is consumed, and nothing is written.") : record.documents.map(steps),
      record.left_out > 0 ? empty(`and ${plural(record.left_out, "document")} more`) : null));
}

function sourceLine({ value }) {
  return value === null ? "null" : short(value.text === null ? plural(value.size, "byte") : value.text);
}

function sinkLine({ documents }) {
  if (documents === null) {
    return "not known";
  }
  const [first] = documents;
  if (first === undefined) {
    return "nothing is written";
  }
  const more = documents.length > 1 ? ` and ${documents.length - 1} more` : "";
  if (first.outcome !== "written") {
    return short(first.reason === null ? OUTCOMES[first.outcome] : `${OUTCOMES[first.outcome]}: ${first.reason.stage}/${first.reason.code}: ${first.reason.message}`) + more;
  }
  return short(first.columns.length === 0 ? first.document ?? "written" : first.columns.map(({ column, value }) => `${column}=${value ?? "NULL"}`).join("  ")) + more;
}

function short(text) {
  const line = harmless(text.replace(/\s+/gu, " "));
  return line.length > LINE ? `${line.slice(0, LINE)}…` : line;
}

function steps({ outcome, index, parsed, document, columns, reason }) {
  return [
    index === null ? null : h("h3", null, `Document ${index}`),
    step("Parsed", parsed), document === parsed ? null : step("Processed", document),
    columns.length === 0 ? null : [h("h3", null, "Columns"), h("dl", { class: "facts" }, columns.map(({ column, type, value }) =>
      h("div", { class: "fact" }, h("dt", null, harmless(column), h("span", { class: "unit" }, ` ${type}`)), h("dd", null, value === null ? h("span", { class: "unknown" }, "NULL") : harmless(value)))))],
    h("p", { class: outcome === "dead_letter" ? "card-text troubled" : "card-text" },
      reason === null ? OUTCOMES[outcome] : `${OUTCOMES[outcome]}: ${reason.stage}/${reason.code}: ${harmless(reason.message)}`)];
}

function step(title, text) {
  return text === null ? null : [h("h3", null, title), h("pre", { class: "bytes", tabindex: "0", role: "region", "aria-label": title }, pretty(text))];
}
