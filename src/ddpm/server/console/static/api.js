// Talking to ddpm: JSON requests and the stream of events, with the bearer token when one is needed.

const TOKEN = "ddpm.token";
const TIMEOUT_MS = 5_000;
// Some requests are answered only when they were carried out.
const PATIENT_MS = 60_000;

/** An answer that is not the wanted one, with what the server says about it. */
export class Refused extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/** No answer came. */
export class Away extends Error {}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** GETs JSON; gives the body and the server's clock in milliseconds (null if it does not say). A `patient` one may take a minute. */
export async function get(path, patient = false) {
  const response = await ask(path, {}, AbortSignal.timeout(patient ? PATIENT_MS : TIMEOUT_MS));
  const date = Date.parse(response.headers.get("date") ?? "");
  return { body: await json(response), clock: Number.isNaN(date) ? null : date };
}

/** POSTs JSON and gives the answer's body; a `patient` one may take a minute. */
export async function post(path, body, patient = false) {
  const options = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return json(await ask(path, options, AbortSignal.timeout(patient ? PATIENT_MS : TIMEOUT_MS)));
}

/** Follows a stream of server-sent events until it ends; `received` gets every data, parsed. */
export async function follow(path, received, signal) {
  const response = await ask(path, { headers: { Accept: "text/event-stream" } }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length > 0) {
        received(JSON.parse(data.join("\n")));
      }
    }
  }
}

async function ask(path, options, signal) {
  const headers = { ...options.headers };
  if (token.get() !== null) {
    headers.Authorization = `Bearer ${token.get()}`;
  }
  let response;
  try {
    response = await fetch(path, { ...options, headers, signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    throw new Away("ddpm does not answer", { cause: error });
  }
  if (!response.ok) {
    throw await refusal(response);
  }
  return response;
}

async function refusal(response) {
  try {
    const { error } = await response.json();
    return new Refused(response.status, error.message, error.hint);
  } catch {
    return new Refused(response.status, `ddpm answered with status ${response.status}`, null);
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    throw new Away("ddpm's answer broke off", { cause: error });
  }
}
