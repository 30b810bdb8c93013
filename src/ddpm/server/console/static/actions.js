// Asking before doing: the dialogs behind the buttons, and the one for the token.

import { Away, Refused, post } from "./api.js";
import { h, render } from "./dom.js";

const QUESTIONS = {
  pause: ["Pause", "It finishes what is in flight, commits, and stays paused until someone resumes it, also when ddpm is restarted. Records wait in the topic."],
  resume: ["Resume", "Its engines are started and go on where they stopped."],
  restart: ["Restart", "Its engines finish what is in flight and are started again. Nothing is lost or written twice."],
  drain: ["Drain", "It finishes what is in flight, commits and stops. It runs again when it is resumed, or when ddpm is started again."],
};

/** Asks whether to do `action` to a pipeline and does it; gives what ddpm said to it, or null when it was not done. */
export function confirm(action, pipeline) {
  const scaling = action === "scale";
  const [verb, text] = scaling ? ["Scale", "Replicas share the partitions of the topics. More than there are partitions would idle."] : QUESTIONS[action];
  const error = h("div", { class: "dialog-error", role: "alert" });
  const submit = h("button", { type: "submit", class: "strong" }, verb);
  const cancel = h("button", { type: "button" }, "Cancel");
  const form = h("form", { novalidate: true },
    h("h2", { id: "dialog-title" }, `${verb} ${pipeline.name}?`), h("p", { id: "dialog-text" }, text),
    scaling ? replicaChoice(pipeline) : null, error, h("div", { class: "dialog-buttons" }, cancel, submit));
  return ask(form, cancel, () => attempt(error, submit, verb, () => {
    const body = scaling ? { replicas: chosenReplicas(form) } : {};
    return post(`v1/pipelines/${encodeURIComponent(pipeline.name)}/${action}`, body);
  }));
}

const DEEDS = {
  replay: ["Replay", "Their records are read again as they were, with the present configuration. What lands is a row with its original identity; what fails again is a new dead letter. Letters that failed three times are left out."],
  discard: ["Discard", "They count as dealt with and are no longer shown as open. Their records stay in the topic; nothing is written anywhere else."],
};

/** Asks whether to replay or discard what `wanted` selects, `what` in words; gives ddpm's answer, or null. */
export function confirmDeed(deed, pipeline, wanted, what) {
  const [verb, text] = DEEDS[deed];
  return question(`${verb} ${what}?`, text, verb, () =>
    post(`v1/pipelines/${encodeURIComponent(pipeline.name)}/dead-letters/${deed}`, wanted, true));
}

function question(title, text, verb, act) {
  const error = h("div", { class: "dialog-error", role: "alert" });
  const submit = h("button", { type: "submit", class: "strong" }, verb);
  const cancel = h("button", { type: "button" }, "Cancel");
  const form = h("form", { novalidate: true }, h("h2", { id: "dialog-title" }, title), h("p", { id: "dialog-text" }, text),
    error, h("div", { class: "dialog-buttons" }, cancel, submit));
  return ask(form, cancel, () => attempt(error, submit, verb, act));
}

async function attempt(error, submit, verb, act) {
  render(error);
  submit.disabled = true;
  render(submit, "Asking…");
  try {
    return await act();
  } catch (failure) {
    render(error, ...explain(failure));
    return null;
  } finally {
    submit.disabled = false;
    render(submit, verb);
  }
}

function replicaChoice({ scaling }) {
  const manual = scaling.mode === "manual";
  const option = (value, checked, ...label) => h("label", { class: "option" },
    h("input", { type: "radio", name: "mode", value, checked }), h("span", null, label));
  const number = h("input", { type: "number", name: "replicas", min: 1, max: 64, step: 1, value: scaling.desired, "aria-label": "Number of replicas", inputmode: "numeric" });
  const fixed = option("manual", manual, "This many");
  number.addEventListener("focus", () => number.select());
  number.addEventListener("input", () => {
    fixed.querySelector("input").checked = true;
  });
  const range = scaling.minimum === scaling.maximum ? "" : ` (between ${scaling.minimum} and ${scaling.maximum}, by lag)`;
  return h("fieldset", null, h("legend", null, `Replicas, now ${scaling.desired}`),
    option("configured", !manual, `As configured${range}`), h("div", { class: "option-row" }, fixed, number));
}

function chosenReplicas(form) {
  if (form.elements.mode.value === "configured") {
    return null;
  }
  const number = Number(form.elements.replicas.value);
  if (!Number.isInteger(number) || number < 1) {
    throw new Refused(422, "A whole number from 1 on is needed.", null);
  }
  return number;
}

/** Asks for the token; `refused` says that the last one was wrong. Gives the token. */
export function askToken(refused) {
  const field = h("input", { type: "password", name: "token", id: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "dialog-text" });
  const error = h("div", { class: "dialog-error", role: "alert" }, refused ? h("p", null, "ddpm does not accept this token.") : null);
  const form = h("form", { novalidate: true }, h("h2", { id: "dialog-title" }, "This ddpm asks for a token"),
    h("p", { id: "dialog-text" }, "It is what app.server.token is set to, or one of app.server.tokens. This browser tab keeps it until it is closed."),
    h("label", { for: "token", class: "field-label" }, "Token"), field, error,
    h("div", { class: "dialog-buttons" }, h("button", { type: "submit", class: "strong" }, "Open")));
  return ask(form, null, async () => {
    const given = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(given)) {
      render(error, h("p", null, given === "" ? "Please type the token." : "A token has no spaces and only ASCII characters."));
      field.focus();
      return null;
    }
    return given;
  });
}

/** Shows `form` in a dialog until `act` gives something, or the dialog is left. */
function ask(form, cancel, act) {
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text", "data-of-page": cancel !== null }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      answer = await act();
      if (answer !== null) {
        dialog.close();
      }
    });
    cancel?.addEventListener("click", () => dialog.close());
    dialog.addEventListener("cancel", (event) => {
      if (cancel === null) {
        event.preventDefault();
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.showModal();
  });
}

function explain(failure) {
  if (failure instanceof Refused) {
    return [h("p", null, failure.message), failure.hint ? h("p", { class: "hint" }, failure.hint) : null];
  }
  if (failure instanceof Away) {
    return [h("p", null, `${failure.message}: whether it was done is not known.`), h("p", { class: "hint" }, "Look at the state before you try again.")];
  }
  throw failure;
}
