// Requests to this server, and nowhere else. A key, if the server wants one, is kept for this tab only.

const KEY = "api-key";
export const key = () => sessionStorage.getItem(KEY) ?? "";
export const setKey = (value) => sessionStorage.setItem(KEY, value);

export class ApiError extends Error {
  constructor(status, message, code = null) { super(message); this.status = status; this.code = code; }
}

async function checked(response) {
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`, code = null;
  try {
    const body = await response.json();
    code = body.error?.code ?? null;
    const detail = body.error?.message ?? body.detail;
    message = Array.isArray(detail) ? detail.map((one) => `${one.loc?.at(-1)}: ${one.msg}`).join("; ") : detail ?? message;
  } catch { /* no JSON: the status says it */ }
  if (response.status === 401) message = `${message} Give the server's API key under “Key”.`;
  throw new ApiError(response.status, message, code);
}

function headers(more) {
  return key() ? { ...more, Authorization: `Bearer ${key()}` } : more;
}

export async function get(path, query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = new URLSearchParams(known).toString();
  return (await checked(await fetch(search ? `${path}?${search}` : path, { headers: headers({}) }))).json();
}

export async function post(path, body, signal) {
  const response = await fetch(path, {
    method: "POST", signal, headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body),
  });
  return (await checked(response)).json();
}

// Server-sent events of a POST, one parsed JSON value after another.
export async function* stream(path, body, signal) {
  const response = await checked(await fetch(path, {
    method: "POST", signal, headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body),
  }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value.replaceAll("\r\n", "\n");
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data === "[DONE]") return;
      if (!data) continue;
      const one = JSON.parse(data);
      if (one.error) throw new ApiError(500, one.error.message);
      yield one;
    }
  }
}
