// Calls as plain values, apart from any graph: what files hold and what is compared.
//
// A call is { client, server, ports, via (names), manual, first, last }; an end is { cluster, namespace, kind, name }.

import { viaNames } from "./graph.js";

/** Return the call of an arrow of the graph. */
export function callOf(arrow) {
  return {
    client: endOf(arrow.client),
    server: endOf(arrow.server),
    ports: arrow.ports,
    via: viaNames(arrow.via).sort(),
    manual: Boolean(arrow.manual),
    first: arrow.first_seen,
    last: arrow.last_seen,
  };
}

/** Return all calls of a graph, by their key. */
export function callsOf(graph) {
  return byKey([...graph.arrows.values()].map(callOf));
}

/** Put calls into a map by what makes them the same: both ends. Ports and evidence of several are joined. */
export function byKey(calls) {
  const known = new Map();
  for (const call of calls) {
    const key = JSON.stringify([pathOf(call.client), pathOf(call.server)]);
    const other = known.get(key);
    known.set(key, other ? join(other, call) : call);
  }
  return known;
}

/** Compare two maps of calls: what was added, removed, and what has other ports or other evidence. */
export function compareCalls(before, after) {
  const added = [...after].filter(([key]) => !before.has(key)).map(([, call]) => call);
  const removed = [...before].filter(([key]) => !after.has(key)).map(([, call]) => call);
  const changed = [...after]
    .filter(([key, call]) => before.has(key) && shape(before.get(key)) !== shape(call))
    .map(([key, call]) => ({ before: before.get(key), after: call }));
  return { added: inOrder(added), removed: inOrder(removed), changed: inOrder(changed, (one) => one.after) };
}

/** Sort as every export does: client, then server. */
export function inOrder(items, callIn = (item) => item) {
  const order = (item) => {
    const { client, server } = callIn(item);
    return [client.cluster, client.namespace, client.name, client.kind, server.name, server.namespace].join("\u0001");
  };
  return items
    .map((item) => [order(item), item])
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, item]) => item);
}

export function isOutside(end) {
  return end.kind === "External";
}

function endOf(service) {
  return { cluster: service.cluster, namespace: service.namespace, kind: service.kind, name: service.name };
}

function pathOf(end) {
  return [end.cluster, end.namespace, end.kind, end.name];
}

function join(one, other) {
  const union = (a, b) => [...new Set([...a, ...b])].sort();
  return {
    ...one,
    ports: union(one.ports, other.ports),
    via: union(one.via, other.via),
    manual: one.manual && other.manual,
  };
}

function shape(call) {
  return JSON.stringify([[...call.ports].sort(), [...call.via].sort()]);
}
