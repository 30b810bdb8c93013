// One pipeline, whole.

import { lacks } from "./audit.js";
import { chart } from "./chart.js";
import { h } from "./dom.js";
import { eventList } from "./events.js";
import { flow } from "./flow.js";
import { lettersCard } from "./letters.js";
import { age, count, duration, exact, plural, rate } from "./format.js";
import { TROUBLED, address, at, card, changedBox, empty, known, measure, perSecond, records, since, stateBadge, stateIcon, table, unknown, verdict } from "./parts.js";
import { recordsCard } from "./records.js";
import { tile } from "./overview.js";

const RESTING = new Set(["paused", "stopped", "failed"]);

/** The page; `view` has pipeline, who (asks), events, notice, now, elapsed (seconds since the answer), stale, width, logs. */
export function pipelinePage(view) {
  const { pipeline, who, siblings, now, stale, notice, elapsed } = view;
  return [
    head(pipeline, who, now, stale),
    siblings.length > 1 ? otherSinks(pipeline, siblings) : null,
    changedBox(pipeline.config_changed ?? null),
    notice === null ? null : noticeBox(notice),
    tiles(pipeline),
    card("flow", "Flow", `group ${pipeline.source.consumer_group}`, flow(pipeline, view.width, stale)),
    h("div", { class: "columns", "data-key": "columns" },
      h("div", { class: "column", "data-key": "left" },
        history(pipeline), partitions(pipeline), exit(pipeline, now), errors(pipeline, now)),
      h("div", { class: "column", "data-key": "right" },
        probes(pipeline, elapsed), replicas(pipeline, now), eventsCard(view), facts(pipeline, now))),
    lettersCard(view),
    recordsCard(view),
    logCard(view),
    config(pipeline),
  ];
}

/** What stands there before the first answer, or when there is none. */
export function pipelineMissing(name, message) {
  return [back(), h("div", { class: "title", "data-key": "title" }, h("div", { class: "title-text" }, h("h1", { id: "heading", tabindex: "-1" }, name))),
    h("p", { class: "empty", "data-key": "missing" }, message)];
}

function back() {
  return h("nav", { "aria-label": "Breadcrumb", class: "back", "data-key": "back" }, h("a", { href: "#/" }, "All pipelines"));
}

function head(pipeline, who, now, stale) {
  const { state, reason, next_retry: retry, wish } = pipeline;
  const resumes = wish !== "run" || RESTING.has(state);
  const lacking = lacks(who, "operate");
  const button = (key, action, text, { strong, off } = {}) => h("button",
    { type: "button", "data-key": key, "data-action": action, class: strong ? "strong" : null, disabled: stale || off || lacking !== null, title: lacking }, text);
  return [
    back(),
    h("div", { class: "title", "data-key": "title" },
      h("div", { class: "title-text" },
        h("h1", { id: "heading", tabindex: "-1" }, pipeline.name),
        h("div", { class: "title-state" }, stateBadge(state, stale), h("span", { class: "title-since" }, "for ", since(pipeline.since, now))),
        h("p", { class: TROUBLED.has(state) ? "title-reason troubled" : "title-reason" }, reason,
          retry && Date.parse(retry) > now ? h("span", { class: "retry num" }, ` Next try in ${age((Date.parse(retry) - now) / 1000 + 1)}.`) : null)),
      h("div", { class: "buttons", role: "group", "aria-label": `Control ${pipeline.name}`, "data-key": "buttons" },
        button("toggle", resumes ? "resume" : "pause", resumes ? "Resume" : "Pause", { strong: resumes }),
        button("restart", "restart", "Restart"),
        button("drain", "drain", "Drain", { off: state === "stopped" || state === "draining" }),
        button("scale", "scale", "Scale"))),
  ];
}

/** The way to the other sinks of the same pipeline, each of which is run by itself. */
function otherSinks({ name, part_of: whole }, siblings) {
  return h("nav", { class: "siblings", "aria-label": `Sinks of ${whole}`, "data-key": "siblings" },
    h("span", { class: "strong-text" }, `Sinks of ${whole}`),
    siblings.map((each) => h("a", { href: address(each.name), "data-key": each.name, "aria-current": each.name === name ? "page" : null },
      stateIcon(each.state, 14), ` ${each.sink}`)));
}

function noticeBox({ text }) {
  return h("div", { class: "notice", role: "status", "data-key": "notice" }, h("span", null, text),
    h("button", { type: "button", class: "quiet", "data-action": "dismiss" }, "Dismiss"));
}

function tiles({ rates, totals, lag, restarts, dead_letters: dead }) {
  return h("dl", { class: "tiles", "data-key": "tiles" },
    tile("Read", perSecond(rates.read), `${count(totals.read)} in all`),
    tile("Written", perSecond(rates.written), `${count(totals.written)} in all`),
    tile("Dead letters", known(dead, (value) => measure(`${count(value.open)} open`)),
      rates.dead > 0 ? `${rate(rates.dead)}/s now` : `${count(totals.dead)} since the start`),
    tile("Lag", known(lag, (value) => records(value.records)), lag === null ? null : lag.records === 1 ? "record" : "records"),
    tile("Oldest waiting", known(lag, (value) => measure(duration(value.seconds)))),
    tile("Restarts", records(restarts), totals.duplicates > 0 ? `${plural(totals.duplicates, "redelivery", "redeliveries")} skipped` : null));
}

function history({ history: { step, rate: rates, dead, lag } }) {
  return card("history", "The last minutes", null,
    h("h3", null, "Written per second"), chart(rates, step, "records per second", (value) => `${rate(value)}/s`),
    h("h3", null, "Dead letters per second"), chart(dead, step, "dead letters per second", (value) => `${rate(value)}/s`),
    h("h3", null, "Lag"), chart(lag, step, "lag in records", count));
}

function partitions({ partitions: all, unseen, source }) {
  const title = source.topics.length > 1 ? "Partitions by topic" : "Partitions";
  if (all === null) {
    return card("partitions", title, null, empty("The broker has not reported the offsets yet."));
  }
  const columns = [{ title: "Partition" }, { title: "Committed", number: true }, { title: "End", number: true },
    { title: "Lag", number: true }, { title: "Behind", number: true }];
  const rows = all.map((each) => ({ key: `${each.topic}/${each.partition}`, attributes: { class: each.lag > 0 ? "waiting" : null },
    cells: [[h("span", { class: "topic" }, each.topic), h("span", { class: "num strong-text" }, ` ${each.partition}`)],
      known(each.committed, (value) => measure(exact(value))), measure(exact(each.end)), records(each.lag), measure(duration(each.seconds))] }));
  const without = (unseen ?? []).map((each) => h("li", { "data-key": `unseen-${each.topic}/${each.partition}` }, each.reason));
  return card("partitions", title, plural(all.length, "partition"), without.length === 0 ? null : h("ul", { class: "list troubled", "data-key": "unseen" }, without), all.length === 0 ? empty("The topics have no partitions.") : h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Partitions" }, table("Partitions", columns, rows)));
}

function probes({ probes: all }, elapsed) {
  if (all.length === 0) {
    return card("probes", "Probes", null, empty("Nothing is probed while no engine runs."));
  }
  return card("probes", "Probes", null, h("ul", { class: "list" }, all.map((probe) => h("li", { "data-key": `probe-${probe.name}` },
    h("div", { class: "list-line" }, h("span", { class: "strong-text" }, probe.name), h("span", { class: "list-space" }),
      verdict(probe.ok, probe.age_seconds !== null),
      h("span", { class: "num age" }, known(probe.age_seconds, (value) => `${age(value + elapsed)} ago`))),
    probe.message ? h("div", { class: probe.ok ? "list-text" : "list-text troubled" }, probe.message) : null))));
}

function replicas({ replicas: all, scaling }, now) {
  const by = { fixed: "as configured", manual: "set by hand", lag: "by lag" }[scaling.mode] ?? scaling.mode;
  const range = scaling.minimum === scaling.maximum ? "" : `, between ${scaling.minimum} and ${scaling.maximum}`;
  const rows = all.map((each) => h("li", { "data-key": `replica-${each.index}` },
    h("div", { class: "list-line" }, h("span", { class: "strong-text num" }, `Replica ${each.index}`), stateBadge(each.state),
      h("span", { class: "list-space" }), h("span", { class: "age" }, since(each.since, now))),
    h("div", { class: "list-text" }, each.reason),
    h("div", { class: "list-text num faint-text" }, each.ready ? "ready" : "not ready", " · ",
      each.container ?? (each.pid === null ? "no process" : `pid ${each.pid}`), " · ", plural(each.restarts, "restart"),
      each.next_retry && Date.parse(each.next_retry) > now ? ` · next try in ${age((Date.parse(each.next_retry) - now) / 1000 + 1)}` : null)));
  return card("replicas", "Replicas", `${scaling.desired} ${by}${range}`,
    scaling.reason ? h("p", { class: "card-text" }, scaling.reason) : null,
    all.length === 0 ? empty("No engine runs.") : h("ul", { class: "list" }, rows));
}

function exit({ last_exit: last }, now) {
  if (last === null) {
    return card("exit", "Last exit", null, empty("No engine has ended yet."));
  }
  const how = last.signal ? `signal ${last.signal}` : last.code === null ? "in an unknown way" : `code ${last.code}`;
  return card("exit", "Last exit", at(last.at, now),
    h("p", { class: "card-text" }, h("span", { class: "strong-text" }, `Replica ${last.replica} ended with ${how}`), last.reason ? `: ${last.reason}` : ""),
    last.log.length === 0 ? null : [h("h3", null, "Its last lines"), lines("exit-log", "Last lines of the engine that ended", last.log)],
    h("p", { class: "card-text faint-text" }, "Configuration ", h("code", null, last.config_hash)));
}

function lines(key, label, texts) {
  return h("pre", { class: "log", tabindex: "0", role: "region", "aria-label": label, "data-key": key },
    texts.map((text) => h("span", { class: "log-line" }, `${text}\n`)));
}

function errors({ errors: all }, now) {
  return card("errors", "Last errors", null, all.length === 0 ? empty("None.") : h("ol", { class: "list" }, all.map((error) =>
    h("li", { "data-key": `error-${error.at}-${error.message}` },
      h("div", { class: "list-line" }, at(error.at, now), h("span", { class: "list-space" }), error.count > 1 ? h("span", { class: "num times" }, `${count(error.count)} times`) : null),
      h("div", { class: "list-text message" }, error.message)))));
}

function eventsCard({ events, now }) {
  return card("events", "Events", "live", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events" }, eventList(events, now, false)));
}

function facts({ source, config_hash: hash, config_since: since, dead_letter: dead }, now) {
  const fact = (title, value) => h("div", { class: "fact" }, h("dt", null, title), h("dd", null, value));
  return card("facts", "Where from and to", null, h("dl", { class: "facts" },
    fact("Brokers", source.brokers.join(", ")), fact("Topics", source.topics.join(", ")), fact("Consumer group", source.consumer_group),
    fact("Dead letters", dead.topic),
    fact("Configuration", hash ? [h("code", null, hash), since ? [" since ", at(since, now)] : null] : unknown())));
}

function logCard({ logs, now }) {
  const body = logs === null ? empty("Asking for the log…") : logs.length === 0 ? empty("Nothing has been logged about this pipeline.") :
    h("ol", { class: "log log-lines", tabindex: "0", role: "region", "aria-label": "Log", "data-key": "log" }, logs.map((line) =>
      h("li", { class: "log-line", "data-key": `line-${line.id}` }, at(line.at, now), " ",
        h("span", { class: `level level-${line.level}` }, line.level), " ", line.replica === null ? null : h("span", { class: "faint-text" }, `[${line.replica}] `), line.message, fieldsOf(line.fields))));
  return h("details", { class: "card fold", id: "log", "data-key": "log" }, h("summary", null, h("h2", null, "Log"), h("span", { class: "card-aside" }, "the newest lines")), body);
}

function fieldsOf(fields) {
  return Object.entries(fields ?? {}).map(([name, value]) =>
    h("span", { class: "field" }, ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`));
}

function config({ config: text, config_hash: hash }) {
  return h("details", { class: "card fold", id: "config", "data-key": "config" },
    h("summary", null, h("h2", null, "Rendered configuration"), h("span", { class: "card-aside" }, "secrets masked")),
    h("div", { class: "config-box" },
      h("button", { type: "button", class: "copy", "data-action": "copy" }, "Copy"),
      h("pre", { class: "yaml", tabindex: "0", role: "region", "aria-label": `Rendered configuration ${hash}` }, text.split("\n").map(yamlLine))));
}

const YAML = /^(\s*(?:- )*)(?:([^\s#:'"][^#:'"]*)(:)(?=\s|$))?(.*)$/;

function yamlLine(line) {
  if (/^\s*#/.test(line)) {
    return h("span", { class: "yaml-comment" }, `${line}\n`);
  }
  const [, indent, key, colon, rest] = YAML.exec(line);
  return h("span", null, indent, key === undefined ? null : [h("span", { class: "yaml-key" }, key), colon], `${rest}\n`);
}

