// What is shown, written as the files that `whocalls` itself writes and reads (sink_exporter/render_*.py).

import { inOrder, isOutside } from "./calls.js";

const FORMULA = /^[=+\-@]/;
const PLAIN = /^([A-Za-z][A-Za-z0-9._/-]*|[0-9]+\/[A-Z]+)$/;
const OTHER_MEANING = /^(y|n|yes|no|on|off|true|false|null)$/i;

/** Formats by name: what the file is called, its kind, and how calls become its text. */
export const FORMATS = {
  JSON: { file: "callgraph.json", kind: "application/json", write: writeJson },
  CSV: { file: "callgraph.csv", kind: "text/csv", write: writeCsv },
  YAML: { file: "callgraph.yaml", kind: "application/yaml", write: writeYaml },
  Mermaid: { file: "callgraph.mmd", kind: "text/plain", write: writeMermaid },
};

function writeJson(calls) {
  const line = (call) => {
    const times = { first_seen: exactTime(call.first), last_seen: exactTime(call.last) };
    const { client, server, ports, via, manual } = call;
    const fields = { client, server, ports, via, ...times, manual };
    return JSON.stringify(fields, (_, value) =>
      value === null || value === false || (Array.isArray(value) && value.length === 0) ? undefined : value,
    );
  };
  const lines = (part) => (part.length ? `\n${part.map(line).join(",\n")}\n` : "");
  const [inside, outside] = parts(calls);
  return `{"apiVersion":"whocalls.dev/v1","kind":"CallGraph",\n"calls":[${lines(inside)}],\n"external":[${lines(outside)}]}\n`;
}

function writeCsv(calls) {
  const columns =
    "client_namespace,client_name,client_kind,server_namespace,server_name,server_kind,port,protocol,sources,client_cluster,server_cluster";
  const rows = parts(calls)
    .flat()
    .flatMap(({ client, server, ports, via, manual }) =>
      (ports.length ? ports : [""]).map((text) => {
        const [port, protocol = ""] = text.split("/");
        const ends = [client.namespace, client.name, client.kind, server.namespace, server.name, server.kind];
        return [...ends, port, protocol, manual ? "manual" : via.join(" "), client.cluster, server.cluster]
          .map(cell)
          .join(",");
      }),
    );
  return `${[columns, ...rows].join("\n")}\n`;
}

function writeYaml(calls) {
  const homes = new Map();
  for (const call of parts(calls).flat()) {
    const { cluster, namespace, kind, name } = call.client;
    const home = nested(homes, JSON.stringify([cluster, namespace]), () => ({
      cluster,
      namespace,
      services: new Map(),
    }));
    const service = nested(home.services, JSON.stringify([name, kind]), () => ({
      name,
      kind,
      calls: [],
      external: [],
    }));
    service[isOutside(call.server) ? "external" : "calls"].push(call);
  }
  return [...homes.values()].map(yamlDocument).join("---\n");
}

function yamlDocument(home) {
  const lines = ["apiVersion: whocalls.dev/v1", "kind: CallGraph", "metadata:"];
  lines.push(`  cluster: ${scalar(home.cluster)}`, `  namespace: ${scalar(home.namespace)}`, "services:");
  for (const service of [...home.services.values()].sort(byName)) {
    lines.push(`  - name: ${scalar(service.name)}`, `    kind: ${scalar(service.kind)}`);
    for (const section of ["calls", "external"]) {
      if (service[section].length) lines.push(`    ${section}:`);
      for (const call of service[section]) lines.push(...yamlServer(home, call));
    }
  }
  return `${lines.join("\n")}\n`;
}

function byName(one, other) {
  if (one.name !== other.name) return one.name < other.name ? -1 : 1;
  return one.kind < other.kind ? -1 : 1;
}

function yamlServer(home, { server, ports, via, manual }) {
  const lines = [`      - name: ${scalar(server.name)}`];
  if (server.cluster !== home.cluster) lines.push(`        cluster: ${scalar(server.cluster)}`);
  if (!isOutside(server)) {
    if (server.namespace !== home.namespace) lines.push(`        namespace: ${scalar(server.namespace)}`);
    lines.push(`        kind: ${scalar(server.kind)}`);
  }
  lines.push(manual ? "        source: manual" : `        via: [${via.map(scalar).join(", ")}]`);
  if (ports.length) lines.push(`        ports: [${ports.map(scalar).join(", ")}]`);
  return lines;
}

function writeMermaid(calls) {
  const ids = new Map();
  const groups = new Map();
  const idOf = (end) => {
    const key = JSON.stringify(end);
    if (!ids.has(key)) {
      ids.set(key, `n${ids.size + 1}`);
      nested(groups, isOutside(end) ? "outside" : end.namespace, () => []).push(
        `    ${ids.get(key)}[${label(end.name)}]`,
      );
    }
    return ids.get(key);
  };
  const arrows = parts(calls)
    .flat()
    .map(({ client, server }) => `  ${idOf(client)} --> ${idOf(server)}`);
  const boxes = [...groups].flatMap(([name, members], number) => [
    `  subgraph g${number + 1}[${label(name)}]`,
    ...members,
    "  end",
  ]);
  return `${["flowchart LR", ...boxes, ...arrows].join("\n")}\n`;
}

function parts(calls) {
  const sorted = inOrder(calls);
  return [sorted.filter((call) => !isOutside(call.server)), sorted.filter((call) => isOutside(call.server))];
}

function nested(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

function exactTime(at) {
  return at === null ? null : new Date(at * 1000).toISOString().replace(".000Z", "Z");
}

function cell(text) {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function scalar(text) {
  return PLAIN.test(text) && !OTHER_MEANING.test(text)
    ? text
    : JSON.stringify(text).replace(/[\u007f-\uffff]/g, escapeUnit);
}

function escapeUnit(unit) {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function label(text) {
  return `"${text.replace(/[^A-Za-z0-9 ._\-/:]/gu, (character) => `#${character.codePointAt(0)};`) || " "}"`;
}
