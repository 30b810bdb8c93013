// The console: asks ddpm how things are, follows its events, and shows both.

import { askToken, confirm, confirmDeed } from "./actions.js";
import { Away, Refused, follow, get, token } from "./api.js";
import { may } from "./audit.js";
import { h, render } from "./dom.js";
import { age, clock, plural } from "./format.js";
import { lettersQuery, reasonKey, showLetter } from "./letters.js";
import { overview } from "./overview.js";
import { empty, stateIcon } from "./parts.js";
import { pipelineMissing, pipelinePage } from "./pipeline.js";
import { recordsPath } from "./records.js";
import { themeButton } from "./theme.js";

const POLL_MS = 2_000;
const SOON_MS = 150;
const TICK_MS = 1_000;
const NOTICE_MS = 20_000;
const KEPT_EVENTS = 1_000;
const PAGE_EVENTS = 50;
const LOG_LINES = 200;
const AUDIT_LINES = 12;
// The server gives its time in whole seconds.
const IGNORED_SKEW_MS = 2_000;

const place = (id) => document.getElementById(id);

const known = {
  list: null, // the last answer of /v1/pipelines
  detail: null, // the last answer of /v1/pipelines/NAME
  missing: null, // why there is no detail
  logs: null,
  letters: null, // the last answer about its dead letters, or {failure}
  looked: null, // the newest records: {name, records, failure, asking, live, at}
  opened: null, // the reason whose letters are shown: {key, lines}
  who: null, // the last answer of /v1/whoami
  audit: null, // the newest records of the audit log
  events: new Map(),
  receivedAt: null,
  failure: null, // why the last question was not answered
  skew: 0,
  filter: null,
  notice: null,
};
let timer = null;
let asking = false;
let again = false;
let locked = false;
let stream = null;

// ---- asking

async function poll() {
  clearTimeout(timer);
  if (asking || locked) {
    again = true;
    return;
  }
  asking = true;
  again = false;
  try {
    await askAll();
    known.failure = null;
    openStream();
  } catch (failure) {
    await failed(failure);
  } finally {
    asking = false;
    clearTimeout(timer);
    timer = document.hidden ? null : setTimeout(poll, again ? 0 : POLL_MS);
  }
  show();
  if (known.looked?.live && !document.hidden && known.failure === null) {
    look();
  }
}

async function askAll() {
  const name = route();
  const [list, who, detail, logs, letters] = await Promise.all([get("v1/pipelines"), get("v1/whoami"), askDetail(name), askLogs(name), askLetters(name)]);
  known.who = who.body;
  known.audit = name === null && may(known.who, "admin") ? (await get(`v1/audit?lines=${AUDIT_LINES}`)).body : null;
  announce(known.list?.pipelines ?? [], list.body.pipelines);
  known.list = list.body;
  known.receivedAt = Date.now();
  const skew = list.clock === null ? 0 : Date.now() - list.clock;
  known.skew = Math.abs(skew) < IGNORED_SKEW_MS ? 0 : skew;
  if (name === route()) {
    known.detail = detail.body;
    known.missing = detail.missing;
    known.logs = logs;
    known.letters = letters;
    (detail.body?.events ?? []).forEach(keep);
  }
}

async function askDetail(name) {
  if (name === null) {
    return { body: null, missing: null };
  }
  try {
    const { body } = await get(`v1/pipelines/${encodeURIComponent(name)}`);
    return { body, missing: null };
  } catch (failure) {
    if (failure instanceof Refused && failure.status === 404) {
      return { body: null, missing: [failure.message, failure.hint].filter(Boolean).join("; ") };
    }
    throw failure;
  }
}

async function askLogs(name) {
  if (name === null || !place("log")?.open) {
    return name === known.detail?.name ? known.logs : null;
  }
  const { body } = await get(`v1/logs?lines=${LOG_LINES}&pipeline=${encodeURIComponent(name)}`);
  return body.lines;
}

async function askLetters(name) {
  if (name === null) {
    return null;
  }
  try {
    return (await get(lettersPath(name))).body;
  } catch (failure) {
    if (failure instanceof Refused && failure.status !== 401) {
      return { failure: [failure.message, failure.hint].filter(Boolean).join("; ") };
    }
    throw failure;
  }
}

function lettersPath(name, more = "") {
  return `v1/pipelines/${encodeURIComponent(name)}/dead-letters${more}`;
}

async function failed(failure) {
  if (failure instanceof Refused && failure.status === 401) {
    locked = true;
    closeStream();
    const refused = token.get() !== null;
    token.forget();
    known.who = null;
    known.failure = null;
    show();
    token.set(await askToken(refused));
    locked = false;
    again = true;
  } else if (failure instanceof Refused || failure instanceof Away) {
    known.failure = failure;
    closeStream();
  } else {
    throw failure;
  }
}

function openStream() {
  if (stream !== null || document.hidden) {
    return;
  }
  const mine = new AbortController();
  stream = mine;
  const ended = () => {
    if (stream === mine) {
      stream = null;
    }
  };
  const received = (event) => {
    if (keep(event)) {
      clearTimeout(timer);
      timer = setTimeout(poll, SOON_MS);
    }
  };
  // The next poll finds out why it ended, and opens another one. The past is asked for each time: after a restart of
  // ddpm the numbers of its events start again.
  follow("v1/events", received, mine.signal).then(ended, ended);
}

function closeStream() {
  stream?.abort();
  stream = null;
}

function keep(event) {
  const key = `${event.id} ${event.at}`;
  if (known.events.has(key)) {
    return false;
  }
  known.events.set(key, event);
  if (known.events.size > KEPT_EVENTS) {
    known.events.delete(known.events.keys().next().value);
  }
  return true;
}

function newestEvents(name) {
  const all = [...known.events.values()].filter((event) => name === null || event.pipeline === name);
  return all.sort((a, b) => (a.at === b.at ? b.id - a.id : a.at < b.at ? 1 : -1)).slice(0, PAGE_EVENTS);
}

// ---- showing

function route() {
  const [, name] = /^#\/pipelines\/(.+)$/.exec(location.hash) ?? [];
  if (name === undefined) {
    return null;
  }
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function show() {
  const name = route();
  const now = Date.now() - known.skew;
  const stale = known.failure !== null;
  document.body.classList.toggle("stale", stale);
  showBar();
  showAway(now);
  render(place("main"), known.list === null ? waiting() : name === null ? overviewPage(now, stale) : detailPage(name, now, stale));
  document.title = titleOf(name);
}

function waiting() {
  return [h("h1", { class: "visually-hidden", id: "heading", tabindex: "-1" }, "ddpm"), empty(locked ? "Waiting for the token." : known.failure === null ? "Asking ddpm…" : "ddpm has not answered yet.")];
}

function overviewPage(now, stale) {
  return overview({ pipelines: known.list.pipelines, changed: known.list.config_changed ?? null, events: newestEvents(null), who: known.who, audit: known.audit, filter: known.filter, now, stale });
}

function detailPage(name, now, stale) {
  if (known.detail?.name !== name) {
    return pipelineMissing(name, known.missing ?? "Asking ddpm…");
  }
  if (known.notice !== null && Date.now() > known.notice.until) {
    known.notice = null;
  }
  const width = widthWithin(place("main").querySelector(".card-flow") ?? place("main"));
  const elapsed = (Date.now() - known.receivedAt) / 1000;
  const whole = known.detail.part_of;
  const siblings = whole === null ? [] : known.list.pipelines.filter((each) => each.part_of === whole);
  return pipelinePage({ pipeline: known.detail, who: known.who, siblings, events: newestEvents(name), notice: known.notice, logs: known.logs, letters: known.letters, looked: known.looked, opened: known.opened, now, stale, elapsed, width });
}

function widthWithin(element) {
  const style = getComputedStyle(element);
  return Math.floor(element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
}

function titleOf(name) {
  if (name === null) {
    return "ddpm";
  }
  const state = known.detail?.name === name ? `, ${known.detail.state}` : "";
  return `${name}${state} · ddpm`;
}

function showBar() {
  render(place("version"), known.list === null ? "" : known.list.version);
  render(place("who"), known.who === null || locked ? "" : `${known.who.name} · ${known.who.role}`);
  place("forget-token").hidden = token.get() === null;
  const [state, word] = locked ? ["stopped", "locked"] : known.failure !== null ? ["failed", "not answering"] :
    known.list === null ? ["starting", "asking"] : ["running", "live"];
  place("link-state").className = `link-state state-${state}`;
  render(place("link-state"), stateIcon(state, 14), h("span", null, word));
}

function showAway(now) {
  const { failure, receivedAt } = known;
  if (failure === null) {
    render(place("away"));
    return;
  }
  const seen = receivedAt === null ? "" : ` What you see is from ${clock(receivedAt - known.skew, now)}, `;
  // The age ticks; it is kept from screen readers, which would read the alert again every second.
  render(place("away"), h("p", { class: "away-text" }, stateIcon("degraded", 18),
    h("span", null, h("strong", null, `${failure.message}.`), failure.hint ? ` ${failure.hint}.` : "", seen,
      receivedAt === null ? "" : h("span", { "aria-hidden": "true", class: "num" }, `${age((Date.now() - receivedAt) / 1000)} old.`), " Trying again by itself.")));
}

function announce(before, after) {
  const states = new Map(before.map((pipeline) => [pipeline.name, pipeline.state]));
  const changed = after.filter((each) => states.has(each.name) && states.get(each.name) !== each.state);
  if (changed.length > 0) {
    render(place("announcer"), changed.map((each) => `${each.name} is ${each.state}: ${each.reason}. `).join(""));
  }
}

// ---- doing

async function act(action, element) {
  if (action === "filter") {
    known.filter = element.dataset.state === "" || known.filter === element.dataset.state ? null : element.dataset.state;
  } else if (action === "dismiss") {
    known.notice = null;
    place("heading").focus();
  } else if (action === "copy") {
    await copy(known.detail.config, element);
  } else if (action === "look") {
    look();
  } else if (action === "look-live") {
    known.looked = { ...known.looked, live: !known.looked?.live };
    if (known.looked.live) {
      look();
    }
  } else if (action === "look-source" || action === "look-sink") {
    known.looked = { ...known.looked, at: action.replace("look-", "") };
  } else if (action === "open-reason") {
    await openReason(known.letters.reasons[element.dataset.reason]);
  } else if (action === "letter") {
    await openLetter(element.dataset.id);
  } else if (action === "letters-replay" || action === "letters-discard") {
    await actOnReason(action.replace("letters-", ""), known.letters.reasons[element.dataset.reason]);
  } else {
    const answer = await confirm(action, known.detail);
    if (answer !== null) {
      notify(`${answer.pipeline}: ${answer.accepted} accepted, ${answer.message}.`);
      poll();
    }
  }
  show();
}

/** Asks for the newest records, unless it does already; what was seen before stays until there is an answer. */
async function look() {
  const name = route();
  if (known.looked?.asking) {
    return;
  }
  known.looked = { ...known.looked, asking: true };
  show();
  const answer = { failure: null };
  try {
    answer.records = (await get(recordsPath(name), true)).body.records;
  } catch (failure) {
    if (!(failure instanceof Refused || failure instanceof Away)) {
      throw failure;
    }
    answer.failure = [failure.message, failure.hint].filter(Boolean).join("; ");
  }
  if (name === route()) {
    known.looked = { ...known.looked, ...answer, asking: false };
    show();
  }
}

async function openReason(reason) {
  const key = reasonKey(reason);
  if (known.opened?.key === key) {
    known.opened = null;
    return;
  }
  const mine = { key, lines: null };
  known.opened = mine;
  show();
  const lines = await quietly(async () => (await get(lettersPath(known.detail.name, lettersQuery(reason)))).body.letters);
  if (known.opened === mine) {
    known.opened = lines === null ? null : { key, lines };
  }
}

async function openLetter(id) {
  const { name } = known.detail;
  const letter = await quietly(async () => (await get(lettersPath(name, `/${id}`))).body);
  const deed = letter === null || route() !== name ? null : await showLetter(letter, Date.now() - known.skew, known.who);
  if (deed !== null) {
    await carryOut(deed, { ids: [id] }, `dead letter ${id}`);
  }
}

function actOnReason(deed, reason) {
  return reason === undefined ? carryOut(deed, {}, `all ${plural(known.letters.open, "open dead letter")}`) :
    carryOut(deed, { reasons: [`${reason.stage}/${reason.code}`], message: reason.message }, plural(reason.count, "dead letter"));
}

async function carryOut(deed, wanted, what) {
  const answer = await confirmDeed(deed, known.detail, wanted, what);
  if (answer !== null) {
    known.opened = null;
    notify(`${answer.pipeline}: ${answer.message}.`);
    poll();
  }
}

/** What `ask` gives, or null with a notice that says why not. */
async function quietly(ask) {
  try {
    return await ask();
  } catch (failure) {
    if (failure instanceof Refused || failure instanceof Away) {
      notify(`${failure.message}.`);
      return null;
    }
    throw failure;
  }
}

function notify(text) {
  known.notice = { text, until: Date.now() + NOTICE_MS };
}

async function copy(text, button) {
  const done = await copied(text);
  render(place("announcer"), done ? "The configuration is copied." : "The browser did not allow copying.");
  button.dataset.said = done ? "Copied" : "Not allowed";
  setTimeout(() => delete button.dataset.said, 2_000);
}

async function copied(text) {
  // The clipboard is closed to pages that come over plain HTTP from another machine.
  if (navigator.clipboard === undefined) {
    const area = h("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
  return navigator.clipboard.writeText(text).then(() => true, () => false);
}

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-action]");
  if (element !== null) {
    act(element.dataset.action, element);
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  place("main").focus();
});
place("forget-token").addEventListener("click", () => {
  token.forget();
  location.reload();
});
window.addEventListener("hashchange", () => {
  // What a dialog asks is about the page that was left; the one for the token is about all of them.
  for (const dialog of document.querySelectorAll("dialog[data-of-page]")) {
    dialog.close();
  }
  known.notice = null;
  known.missing = null;
  known.letters = null;
  known.opened = null;
  known.looked = null;
  show();
  scrollTo(0, 0);
  place("heading").focus({ preventScroll: true });
  poll();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    closeStream();
  } else {
    poll();
  }
});
document.addEventListener("toggle", (event) => event.target.id === "log" && event.target.open && poll(), true);
window.addEventListener("resize", show);
setInterval(() => document.hidden || show(), TICK_MS);
themeButton(place("theme"));
poll();
