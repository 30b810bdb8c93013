// Who one is, what that one may do, and who changed what.

import { h } from "./dom.js";
import { address, at, card, empty, stateIcon } from "./parts.js";

const ROLES = ["read", "operate", "admin"];
const ICONS = { ok: "running", refused: "paused", failed: "failed" };

/** Whether the one who asks, as /v1/whoami says, may do what needs a role; nobody may before that is known. */
export function may(who, role) {
  return who !== null && ROLES.indexOf(who.role) >= ROLES.indexOf(role);
}

/** What a button says that the one who asks may not press; null when that one may. */
export function lacks(who, role) {
  return who === null || may(who, role) ? null : `needs the role ${role}; ${who.name} has ${who.role}`;
}

/** The newest records; `audit` is ddpm's answer, or null before it. */
export function auditCard(audit, now) {
  const newestFirst = [...(audit?.records ?? [])].reverse();
  return card("audit", "Audit log", "ddpm audit shows more",
    audit?.trouble ? h("p", { class: "card-text troubled" }, audit.trouble) : null,
    audit === null ? empty("Asking for the audit log…") : newestFirst.length === 0 ? empty("Nobody has changed anything yet.") :
      h("ol", { class: "events" }, newestFirst.map((record) => h("li", { "data-key": `audit-${record.id}`, class: "event" },
        at(record.at, now),
        h("span", { class: `event-kind state-${ICONS[record.outcome] ?? "unknown"}` },
          stateIcon(ICONS[record.outcome], 13), h("span", { class: "state-word" }, record.outcome)),
        h("span", { class: "event-text" }, text(record))))));
}

function text({ who, kind, address: from, action, pipeline, parameters, reason, omitted }) {
  const more = Object.entries(parameters).map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [h("span", { class: "strong-text" }, who), ` (${kind}${from === null ? "" : ` from ${from}`}) ${action}`,
    pipeline === null ? null : [" ", h("a", { href: address(pipeline) }, pipeline)], more,
    reason === null ? null : h("span", { class: "audit-reason" }, ` ${reason}`),
    omitted > 0 ? ` and ${omitted} more before it` : null];
}
