// The small things that several parts of the page are made of.

import { h, s, unseen } from "./dom.js";
import { age, clock, count, full, rate } from "./format.js";

// Every state has a shape of its own, so that none is known by its colour alone.
const SHAPES = {
  starting: ["M8 1.5a6.5 6.5 0 1 1-6.5 6.5", "M8 5v3.2l2.2 1.6"],
  running: ["M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z", "m5 8.2 2.1 2.1L11 6.2"],
  degraded: ["M8 1.8 15 14H1L8 1.8Z", "M8 6.4v3.4M8 11.9v.1"],
  recovering: ["M13.8 6.2A6.2 6.2 0 0 0 2.6 5.4M2.2 9.8a6.2 6.2 0 0 0 11.2.8", "M2.4 2.2v3.4h3.4M13.6 13.8v-3.4h-3.4"],
  paused: ["M5.2 2.8v10.4M10.8 2.8v10.4"],
  draining: ["M8 1.8v8.4M4.4 6.8 8 10.4l3.6-3.6", "M2.2 14h11.6"],
  stopped: ["M3 3h10v10H3Z"],
  failed: ["M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2Z", "m5.6 5.6 4.8 4.8M10.4 5.6l-4.8 4.8"],
};

export const STATES = Object.keys(SHAPES);
/** The states in which someone should look. */
export const TROUBLED = new Set(["degraded", "recovering", "failed"]);

/** The address of a pipeline's page. */
export function address(name) {
  return `#/pipelines/${encodeURIComponent(name)}`;
}

/** The shape of a state, without its word. */
export function stateIcon(state, size = 16) {
  const shapes = (SHAPES[state] ?? ["M2 8h12"]).map((d) => s("path", { d }));
  return s("svg", { class: "state-icon", viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" }, shapes);
}

/** A state as shape and word; `stale` says that it is only the last that was known. */
export function stateBadge(state, stale = false) {
  const known = STATES.includes(state) ? state : "unknown";
  return h("span", { class: `state state-${known}` }, stateIcon(state), h("span", { class: "state-word" }, state),
    stale ? h("span", { class: "stale-word" }, "last known") : null);
}

/** Whether a probe's last answer was good, as shape and word. */
export function verdict(ok, known = true) {
  if (!known) {
    return h("span", { class: "state state-stopped" }, stateIcon("unknown", 14), h("span", { class: "state-word" }, "no answer yet"));
  }
  return h("span", { class: ok ? "state state-running" : "state state-failed" },
    stateIcon(ok ? "running" : "failed", 14), h("span", { class: "state-word" }, ok ? "ok" : "failing"));
}

/** What is not known. */
export function unknown() {
  return h("span", { class: "unknown", title: "not known" }, h("span", { "aria-hidden": "true" }, "–"), unseen("not known"));
}

/** A value, or the sign for what is not known. */
export function known(value, shown) {
  return value === null || value === undefined ? unknown() : shown(value);
}

/** A number with a unit that stands back. */
export function measure(text, unit) {
  return h("span", { class: "num" }, text, unit ? h("span", { class: "unit" }, ` ${unit}`) : null);
}

/** Records per second. */
export function perSecond(value) {
  return measure(rate(value), "/s");
}

/** Records. */
export function records(value) {
  return measure(count(value));
}

/** How long ago something happened; the exact time on hover. */
export function since(time, now, { suffix = "" } = {}) {
  return h("time", { class: "num", datetime: time, title: full(time) }, age((now - Date.parse(time)) / 1000), suffix);
}

/** When something happened; the whole date on hover. */
export function at(time, now) {
  return h("time", { class: "num at", datetime: time, title: full(time) }, clock(time, now));
}

/** A box with a heading. */
export function card(id, title, aside, ...content) {
  return h("section", { class: `card card-${id}`, "data-key": `card-${id}`, "aria-labelledby": `title-${id}` },
    h("header", { class: "card-head" }, h("h2", { id: `title-${id}` }, title), aside ? h("div", { class: "card-aside" }, aside) : null),
    content);
}

/** Says that ddpm runs with other files than there are now; nothing while it does not. */
export function changedBox(changed) {
  return changed === null ? null : h("div", { class: "notice", role: "status", "data-key": "changed" },
    h("span", null, stateIcon("degraded", 16), ` ${changed}.`));
}

/** What a box says when there is nothing to show. */
export function empty(text) {
  return h("p", { class: "empty" }, text);
}

/**
 * A table that becomes a list of cards on narrow screens (its roles are spelled out, as changing the display of a table
 * takes them away). `columns`: {title, number, hidden}; `rows`: {key, cells}.
 */
export function table(label, columns, rows) {
  const heads = columns.map((column) =>
    h("th", { role: "columnheader", scope: "col", class: column.number ? "number" : null }, column.title));
  const body = rows.map(({ key, cells, attributes }) => h("tr", { role: "row", "data-key": key, ...attributes },
    cells.map((cell, index) => h("td",
      { role: "cell", class: columns[index].number ? "number" : null, "data-title": columns[index].title }, cell))));
  return h("table", { role: "table", class: "table", "aria-label": label },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), h("tbody", { role: "rowgroup" }, body));
}
