// Graphs that the user loads: JSON and JSON Lines of an export, records of the topic, canonical YAML, an exported page.

import { byKey, callOf } from "./calls.js";
import { Graph } from "./graph.js";

/** Read the calls in a file's text. Throws an Error that says what was expected. */
export function readCalls(text) {
  const start = text.trimStart();
  if (start.startsWith("<")) return readPage(start);
  if (!start.startsWith("{")) return byKey(readYaml(text));
  try {
    const document = JSON.parse(start);
    if (document.calls || document.external)
      return byKey([...(document.calls ?? []), ...(document.external ?? [])].map(fromJson));
    if (document.schema === "page-graph.v1") return byKey([...new Graph(document).arrows.values()].map(callOf));
    return byKey([fromJson(document)]);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return byKey(
    start
      .split("\n")
      .filter((line) => line.trim())
      .map((line) => fromJson(JSON.parse(line))),
  );
}

function readPage(text) {
  const block = new DOMParser().parseFromString(text, "text/html").getElementById("data");
  const data = block ? JSON.parse(block.textContent) : {};
  if (!data.graph) throw new Error("the HTML file holds no graph (expected one of `whocalls export html`)");
  return byKey([...new Graph(data.graph).arrows.values()].map(callOf));
}

function fromJson(arrow) {
  if (!arrow.client?.name || !arrow.server?.name) throw new Error("expected calls with a client and a server");
  const port =
    arrow.server_port === undefined ? [] : [`${arrow.server_port}/${(arrow.network_transport ?? "").toUpperCase()}`];
  return {
    client: arrow.client,
    server: arrow.server,
    ports: arrow.ports ?? port,
    via: arrow.via ?? arrow.evidence ?? [],
    manual: arrow.manual ?? false,
    first: null,
    last: null,
  };
}

/** Read canonical YAML: only what `whocalls export yaml` writes, line by line. */
function readYaml(text) {
  const calls = [];
  let home = {};
  let client = null;
  let section = "";
  for (const line of text.split("\n")) {
    const match = /^( *)(- )?(\w+):(?: (.*))?$/.exec(line);
    if (!match) continue;
    const [, indent, dash, key, value] = match;
    const depth = indent.length;
    if (depth === 0 && key === "metadata") home = {};
    else if (depth === 2 && !dash) home[key] = scalar(value);
    else if (depth === 2) client = { cluster: home.cluster, namespace: home.namespace, kind: "", name: scalar(value) };
    else if (depth === 4 && value === undefined) section = key;
    else if (depth === 4) client[key] = scalar(value);
    else if (depth === 6 && dash) calls.push(yamlCall(client, home, section, scalar(value)));
    else if (depth === 8 && calls.length) setField(calls.at(-1), key, value);
  }
  if (calls.length === 0 && text.trim())
    throw new Error("expected an export of whocalls: JSON, JSON Lines, YAML or HTML");
  return calls;
}

function yamlCall(client, home, section, name) {
  const outside = section === "external";
  const server = {
    cluster: home.cluster,
    namespace: outside ? "" : home.namespace,
    kind: outside ? "External" : "",
    name,
  };
  return { client, server, ports: [], via: [], manual: false, first: null, last: null };
}

function setField(call, key, value) {
  if (key === "via" || key === "ports") {
    call[key] = value
      .replace(/^\[|\]$/g, "")
      .split(", ")
      .filter(Boolean)
      .map(scalar);
  } else if (key === "source") call.manual = true;
  else call.server[key] = scalar(value);
}

function scalar(text = "") {
  if (!text.startsWith('"')) return text;
  const escaped = text
    .replace(/\\x([0-9a-f]{2})/g, "\\u00$1")
    .replace(/\\U([0-9a-f]{8})/g, (_, code) => String.fromCodePoint(parseInt(code, 16)));
  return JSON.parse(escaped);
}
