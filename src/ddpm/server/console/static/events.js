// What happened, newest first.

import { h } from "./dom.js";
import { address, at, empty, stateIcon } from "./parts.js";

// An engine that ended as it was asked to is no trouble.
function kindClass({ kind, message }) {
  return kind === "exit" && /^engine \d+ exited with code 0\b/.test(message) ? "kind-ended" : `kind-${kind}`;
}

/** A list of events; with `named`, each says which pipeline it is about. */
export function eventList(events, now, named) {
  if (events.length === 0) {
    return empty("Nothing has happened yet.");
  }
  return h("ol", { class: "events" }, events.map((event) => h("li", { "data-key": `event-${event.id}-${event.at}`, class: "event" },
    at(event.at, now),
    h("span", { class: `event-kind ${event.state ? `state-${event.state}` : kindClass(event)}` },
      event.state ? stateIcon(event.state, 13) : null,
      h("span", { class: "state-word" }, event.state ?? event.kind)),
    h("span", { class: "event-text" }, named ? [h("a", { href: address(event.pipeline) }, event.pipeline), " "] : null, event.message))));
}
