// The live graph: read once, then followed by server-sent events over fetch, which can carry a token.

const RETRY_MS = [500, 1000, 2000, 4000];
const SILENCE_MS = 40_000; // the server says something every 15 s

/**
 * Follow the server. `on` has graphArrived(payload), change(change) → whether it fits, coverageArrived(coverage),
 * setStatus(name), needToken(). */
export function follow(on, token) {
  const state = { version: "", failures: 0, token };
  run(state, on);
  return state;
}

/** Read a document of the API, with the token if there is one. */
export async function readApi(path, token, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  return fetch(`api/v1/${path}`, { ...options, headers, cache: "no-store" });
}

async function run(state, on) {
  for (;;) {
    try {
      if (!state.version) await readGraph(state, on);
      await readEvents(state, on);
    } catch (error) {
      if (error.needsToken) {
        state.token = await on.needToken();
        continue;
      }
      if (error.isFatal) throw error;
    }
    on.setStatus("lost");
    await pause(RETRY_MS[Math.min(state.failures, RETRY_MS.length - 1)]);
    state.failures += 1;
  }
}

async function readGraph(state, on) {
  const response = await readApi("graph", state.token);
  check(response);
  const payload = await response.json();
  await on.graphArrived(payload);
  state.version = payload.version;
}

async function readEvents(state, on) {
  const silence = new AbortController();
  const headers = { "Last-Event-ID": state.version, Accept: "text/event-stream" };
  const response = await readApi("events", state.token, { headers, signal: silence.signal });
  check(response);
  on.setStatus("live");
  state.failures = 0;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) await takeEvent(parseEvent(event), state, on);
  }
}

async function takeEvent(event, state, on) {
  if (event.name === "coverage") on.coverageArrived(event.data);
  else if (event.name === "change" && on.change(event.data)) state.version = event.data.version;
  else if (event.name === "change" || (event.name === "version" && event.data.version !== state.version)) {
    await readGraph(state, on); // the server started anew, or we were away for too long
  }
}

function parseEvent(text) {
  const event = { name: "", data: null };
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) event.name = line.slice(7);
    else if (line.startsWith("data: ")) event.data = JSON.parse(line.slice(6));
  }
  return event;
}

function check(response) {
  if (response.ok) return;
  const error = new Error(`the server answered ${response.status}`);
  error.needsToken = response.status === 401;
  throw error;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
