// Requests to the service with the token, and errors that a person can act on.

const KEY = "vireid-token";
const PATIENCE = 120_000; // milliseconds

/** `kind` is "token", "busy" (`wait` seconds), "away", "stopped" or "refused". */
export class ServiceError extends Error {
  constructor(kind, message, wait = 0) {
    super(message);
    this.kind = kind;
    this.wait = wait;
  }
}

let token = stored(() => sessionStorage.getItem(KEY)) ?? "";

/** Move a token from the address (`/#token=...`) into this tab's storage, so that it is not in the history. */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return false;
  history.replaceState(null, "", location.pathname + location.search);
  keepToken(found);
  return true;
}

export function keepToken(given) {
  token = given.trim();
  stored(() => sessionStorage.setItem(KEY, token));
}

export function dropToken() {
  token = "";
  stored(() => sessionStorage.removeItem(KEY));
}

export const hasToken = () => Boolean(token);

function stored(act) {
  try {
    return act();
  } catch {
    return null; // storage may be forbidden: then the token lasts until the page is closed
  }
}

export const gallery = () => send("gallery", (response) => response.json());
export const heatmap = (id) => send(`images/${encodeURIComponent(id)}/heatmap`, (response) => response.blob());

export function search(files, query, signal) {
  const body = new FormData();
  body.set("query", JSON.stringify(query));
  for (const file of files) body.append("images", file, file.name);
  return send("search", (response) => response.json(), { method: "POST", body, signal });
}

async function send(path, read, { signal, ...options } = {}) {
  const headers = /^[\x21-\x7e]+$/.test(token) ? { Authorization: `Bearer ${token}` } : {};
  const limit = AbortSignal.timeout(PATIENCE);
  try {
    const response = await fetch(new URL(`api/v1/${path}`, document.baseURI), {
      ...options,
      headers,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    if (!response.ok) throw await refusal(response);
    return await read(response);
  } catch (error) {
    throw explained(error);
  }
}

function explained(error) {
  if (error instanceof ServiceError) return error;
  if (error.name === "AbortError") return new ServiceError("stopped", "Stopped.");
  if (error.name === "TimeoutError") return new ServiceError("away", "The service took longer than two minutes.");
  if (error.name === "SyntaxError") return new ServiceError("refused", "The service's answer cannot be read: reload the page.");
  return new ServiceError("away", "The service does not answer: it was stopped, or this computer cannot reach it.");
}

async function refusal(response) {
  const said = await response.json().then((body) => body.error, () => null);
  const message = typeof said === "string" && said ? said : `The service answered with status ${response.status}.`;
  if (response.status === 401) return new ServiceError("token", message);
  if (response.status === 429 || response.status === 503) {
    const wait = Number(response.headers.get("Retry-After"));
    return new ServiceError("busy", message, Number.isFinite(wait) && wait > 0 ? Math.min(wait, 600) : 5);
  }
  return new ServiceError("refused", message);
}
