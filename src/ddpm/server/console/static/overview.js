// All pipelines on one page.

import { auditCard, may } from "./audit.js";
import { h, unseen } from "./dom.js";
import { count, duration, plural, rate } from "./format.js";
import { sparkline } from "./chart.js";
import { eventList } from "./events.js";
import { STATES, TROUBLED, address, card, changedBox, empty, known, measure, perSecond, records, since, stateBadge, stateIcon } from "./parts.js";

const NEWEST_EVENTS = 12;
const NAMED_CULPRITS = 3;

/** How things are, in one sentence. */
export function sentence(pipelines) {
  const troubled = pipelines.filter((pipeline) => TROUBLED.has(pipeline.state));
  if (pipelines.length === 0) {
    return "No pipeline is configured.";
  }
  if (troubled.length > 0) {
    const named = troubled.slice(0, NAMED_CULPRITS).map((pipeline) => `${pipeline.name} is ${pipeline.state}`);
    const others = troubled.length - named.length;
    const needs = pipelines.length === 1 ? "The pipeline needs a look" :
      `${troubled.length} of ${pipelines.length} pipelines ${troubled.length === 1 ? "needs" : "need"} a look`;
    return `${needs}: ${named.join(", ")}${others > 0 ? ` and ${plural(others, "other")}` : ""}.`;
  }
  const resting = pipelines.filter((pipeline) => pipeline.state !== "running");
  const running = pipelines.length - resting.length;
  const flow = ` ${rate(sum(pipelines, (each) => each.rates.written))} records/s are written and ${waiting(pipelines)}.`;
  if (resting.length === 0) {
    return (pipelines.length === 1 ? "The pipeline runs." : `All ${pipelines.length} pipelines run.`) + flow;
  }
  const others = tally(resting).map(([state, number]) => `${number} ${number === 1 ? "is" : "are"} ${state}`).join(", ");
  return `${running} of ${pipelines.length} ${pipelines.length === 1 ? "pipeline runs" : "pipelines run"}, ${others}.${running > 0 ? flow : ""}`;
}

function waiting(pipelines) {
  const lags = pipelines.map((each) => each.lag).filter((lag) => lag !== null);
  if (lags.length === 0) {
    return "the lag is not known";
  }
  const total = lags.reduce((all, lag) => all + lag.records, 0);
  return total === 0 ? "none waits" : `${count(total)} ${total === 1 ? "waits" : "wait"}`;
}

function sum(pipelines, value) {
  return pipelines.reduce((total, pipeline) => total + value(pipeline), 0);
}

function tally(pipelines) {
  return STATES.map((state) => [state, pipelines.filter((each) => each.state === state).length]).filter(([, number]) => number > 0);
}

/** The page; `view` has pipelines, who (asks), audit, changed (what ddpm says of its files, or null), events, filter (a state or null), now, stale. */
export function overview({ pipelines, who, audit, changed, events, filter, now, stale }) {
  const shown = filter === null ? pipelines : pipelines.filter((each) => each.state === filter);
  const sign = signOf(pipelines);
  return [
    h("div", { class: "headline", "data-key": "headline" },
      h("span", { class: `headline-sign state-${sign}` }, stateIcon(sign, 26)),
      h("h1", { id: "heading", tabindex: "-1" }, stale ? h("span", { class: "stale-word" }, "last known") : null, sentence(pipelines))),
    changedBox(changed),
    tiles(pipelines),
    pipelines.length > 1 ? chips(pipelines, filter) : null,
    card("pipelines", "Pipelines", filter === null ? null : `${shown.length} of ${pipelines.length} shown`,
      pipelines.length === 0 ? empty("The configuration names no pipeline.") : shown.length === 0 ? empty(`No pipeline is ${filter} now.`) : list(shown, now, stale)),
    card("latest", "Latest events", null, eventList(events.slice(0, NEWEST_EVENTS), now, true)),
    may(who, "admin") ? auditCard(audit, now) : null,
  ];
}

/** The state that says most about how things are. */
function signOf(pipelines) {
  const there = new Set(pipelines.map((each) => each.state));
  return ["failed", "degraded", "recovering", "running"].find((state) => there.has(state)) ?? pipelines[0]?.state ?? "stopped";
}

function tiles(pipelines) {
  const lags = pipelines.map((each) => each.lag).filter((lag) => lag !== null);
  const oldest = lags.length === 0 ? null : Math.max(...lags.map((lag) => lag.seconds));
  const behind = lags.length === 0 ? null : lags.reduce((all, lag) => all + lag.records, 0);
  return h("dl", { class: "tiles", "data-key": "tiles" },
    tile("Read", perSecond(sum(pipelines, (each) => each.rates.read))),
    tile("Written", perSecond(sum(pipelines, (each) => each.rates.written))),
    tile("Lag", known(behind, records)),
    tile("Oldest waiting", known(oldest, (value) => measure(duration(value)))),
    tile("Dead letters", records(sum(pipelines, (each) => each.dead_letters?.open ?? 0)), "open"));
}

/** A figure with its name. */
export function tile(title, value, note = null) {
  return h("div", { class: "tile" }, h("dt", null, title), h("dd", null, value, note ? h("span", { class: "note" }, ` ${note}`) : null));
}

function chips(pipelines, filter) {
  const states = new Set(tally(pipelines).map(([state]) => state));
  if (filter !== null) {
    states.add(filter);
  }
  const chip = (state, number) => h("button",
    { type: "button", class: `chip state-${state ?? "all"}`, "data-action": "filter", "data-state": state ?? "", "data-key": `chip-${state}`, "aria-pressed": filter === state ? "true" : "false" },
    state === null ? null : stateIcon(state, 14), h("span", null, state ?? "all"), h("span", { class: "num" }, ` ${number}`));
  return h("div", { class: "chips", role: "group", "aria-label": "Show only pipelines that are", "data-key": "chips" },
    chip(null, pipelines.length),
    STATES.filter((state) => states.has(state)).map((state) => chip(state, pipelines.filter((each) => each.state === state).length)));
}

const COLUMNS = ["Pipeline", "State", "Written", "Lag", "Dead letters", "Replicas"];

function list(pipelines, now, stale) {
  const heads = COLUMNS.map((title, index) => h("th", { role: "columnheader", scope: "col", class: index > 1 ? "number" : null }, title));
  return h("table", { role: "table", class: "pipelines", "aria-label": "Pipelines" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    h("tbody", { role: "rowgroup" }, pipelines.map((each, index) => [
      startsWhole(pipelines, index) ? whole(pipelines, each.part_of) : null, row(each, now, stale)])));
}

/** Whether the pipeline at this place is the first shown one of those that are run for the sinks of one. */
function startsWhole(pipelines, index) {
  const { part_of: whole } = pipelines[index];
  return whole !== null && pipelines[index - 1]?.part_of !== whole;
}

function whole(pipelines, name) {
  const sinks = pipelines.filter((each) => each.part_of === name).length;
  return h("tr", { role: "row", class: "whole", "data-key": `whole-${name}` },
    h("th", { role: "rowheader", scope: "rowgroup", colspan: COLUMNS.length }, name, h("span", { class: "note" }, ` ${plural(sinks, "sink")}`)));
}

function row(pipeline, now, stale) {
  const ready = pipeline.replicas.filter((replica) => replica.ready).length;
  const { history, rates } = pipeline;
  return h("tr", { role: "row", class: pipeline.part_of === null ? "pipeline" : "pipeline part", "data-key": `pipeline-${pipeline.name}`, "data-state": pipeline.state },
    h("td", { role: "cell", class: "cell-name" },
      h("a", { href: address(pipeline.name), class: "row-link" }, pipeline.name),
      h("div", { class: "reason", title: pipeline.reason }, pipeline.reason)),
    h("td", { role: "cell", class: "cell-state" }, stateBadge(pipeline.state, stale),
      h("div", { class: "under" }, unseen("for "), since(pipeline.since, now))),
    h("td", { role: "cell", class: "number cell-rate", "data-title": "Written" },
      h("div", { class: "figure" }, sparkline(history.rate, "records per second"), h("div", null, perSecond(rates.written),
        h("div", { class: "under" }, "read ", perSecond(rates.read))))),
    h("td", { role: "cell", class: "number cell-lag", "data-title": "Lag" },
      h("div", { class: "figure" }, sparkline(history.lag, "lag in records"), h("div", null, known(pipeline.lag, (lag) => records(lag.records)),
        h("div", { class: "under" }, known(pipeline.lag, (lag) => measure(duration(lag.seconds))))))),
    h("td", { role: "cell", class: "number cell-dead", "data-title": "Dead letters" }, known(pipeline.dead_letters, (letters) => records(letters.open)),
      h("div", { class: "under" }, rates.dead > 0 ? ["now ", perSecond(rates.dead)] : "open")),
    h("td", { role: "cell", class: "number cell-replicas", "data-title": "Replicas" },
      measure(`${count(ready)} of ${count(pipeline.scaling.desired)}`), h("div", { class: "under" }, "ready")));
}
