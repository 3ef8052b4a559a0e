// The service: requests with the token, and errors that a person can act on.

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

/** Move a token from the address (`/#token=...`) into this tab's storage, where no history keeps it. */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return false;
  history.replaceState(null, "", location.pathname + location.search);
  keepToken(found);
  return true;
}

export const keepToken = (token) => sessionStorage.setItem(KEY, token.trim());
export const dropToken = () => sessionStorage.removeItem(KEY);
export const hasToken = () => Boolean(sessionStorage.getItem(KEY));

export const gallery = async () => (await send("gallery")).json();
export const heatmap = async (id) => (await send(`images/${encodeURIComponent(id)}/heatmap`)).blob();

export async function search(files, query, signal) {
  const body = new FormData();
  body.set("query", JSON.stringify(query));
  for (const file of files) body.append("images", file, file.name);
  return (await send("search", { method: "POST", body, signal })).json();
}

async function send(path, { signal, ...options } = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token && /^[\x21-\x7e]+$/.test(token) ? { Authorization: `Bearer ${token}` } : {};
  const limit = AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch(new URL(`api/v1/${path}`, document.baseURI), {
      ...options,
      headers,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw new ServiceError("stopped", "Stopped.");
    if (error.name === "TimeoutError") throw new ServiceError("away", "The service took longer than two minutes.");
    throw new ServiceError("away", "The service does not answer: it was stopped, or this computer has lost the way to it.");
  }
  if (!response.ok) throw await refusal(response);
  return response;
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
