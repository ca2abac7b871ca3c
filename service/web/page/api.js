// Requests to the service, and what went wrong with them.

const key = { get: () => sessionStorage.getItem("key"), set: (value) => sessionStorage.setItem("key", value) };

// Why a request was not met. `status` is 0 where nothing answered; `after` are the seconds until it may be tried again.
export class Problem extends Error {
  constructor(status, detail, after = 0) {
    super(detail);
    Object.assign(this, { status, after });
  }

  // Whether the same request may be met later.
  get passes() { return [0, 429, 503].includes(this.status); }
}

// A key is kept for this tab alone, and forgotten with it.
export function unlock(secret) {
  key.set(secret);
}

export function headers(more = {}) {
  return key.get() ? { Authorization: `Bearer ${key.get()}`, ...more } : more;
}

// Return what a request answers; `body` makes it a POST. Addresses are relative to the page's own.
export async function call(path, { body, signal } = {}) {
  const asked = body === undefined ? { headers: headers() } : {
    method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, { ...asked, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  const told = await answer.text();
  return outcome(answer.status, told, answer.headers.get("Retry-After"));
}

// Send bytes and tell how far that is, 0..1: fetch does not.
export function send(path, bytes, { signal, sent }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers({ "Content-Type": "application/octet-stream" }))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && sent(event.loaded / event.total));
    request.addEventListener("load", () => {
      try { resolve(outcome(request.status, request.responseText, request.getResponseHeader("Retry-After"))); } catch (error) { reject(error); }
    });
    request.addEventListener("error", () => reject(new Problem(0, "")));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(bytes);
  });
}

function outcome(status, body, after) {
  let told = {};
  try { told = JSON.parse(body); } catch { /* a proxy may answer with what is no JSON */ }
  if (status >= 200 && status < 300) return told;
  if (status === 401 || status === 403) document.dispatchEvent(new CustomEvent("locked", { detail: { status, told: told.detail } }));
  throw new Problem(status, told.detail || told.title || "", Number(after) || 0);
}
