// From the whole graph to what is shown: filters come before anything is drawn. No DOM here.

import { VIA_NAMES, isDnsOnly } from "./graph.js";
import { parseQuery } from "./query.js";
import { parseSpan } from "./time.js";

export const NEW_SECONDS = 86400;

/** Return nodes with their links, and what the filters hide. A node is a service, or an external domain. */
export function select(graph, filters, now) {
  const query = parseQuery(filters.q);
  const nodes = new Map();
  const links = new Map();
  const hiddenInfrastructure = new Set();
  const passes = arrowCheck(filters, now);
  for (const arrow of graph.arrows.values()) {
    if (!filters.infra && hideInfrastructure(arrow, hiddenInfrastructure)) continue;
    if (passes(arrow)) joinLink(nodes, links, arrow, filters);
  }
  const kept = [...links.values()].filter((link) => query.call(link, now));
  return { ...connect(kept, query, now), hiddenInfrastructure, groups: graph.groups };
}

/** Return the key under which the address of the page names a service. */
export function nodeKey(cluster, namespace, kind, name) {
  return [cluster, namespace, kind, name].map(encodeURIComponent).join("/");
}

function hideInfrastructure(arrow, hidden) {
  for (const end of [arrow.client, arrow.server]) if (end.infrastructure) hidden.add(end);
  return arrow.client.infrastructure || arrow.server.infrastructure;
}

function arrowCheck(filters, now) {
  const namespaces = new Set(filters.ns);
  const via = filters.via.reduce((bits, name) => bits | (VIA_NAMES[name] ?? 0), 0);
  const manual = filters.via.includes("manual");
  const span = parseSpan(filters.seen);
  return (arrow) =>
    (namespaces.size === 0 || namespaces.has(arrow.client.namespace) || namespaces.has(arrow.server.namespace)) &&
    (filters.via.length === 0 || (arrow.via & via) !== 0 || (manual && arrow.manual)) &&
    (span === null || arrow.last_seen === null || arrow.last_seen >= now - span) &&
    (filters.ext !== "hide" || !arrow.server.external) &&
    (!filters.cross || arrow.client.namespace !== arrow.server.namespace);
}

function joinLink(nodes, links, arrow, filters) {
  const from = nodeOf(nodes, arrow.client, filters);
  const to = nodeOf(nodes, arrow.server, filters);
  const key = `${from.key} ${to.key}`;
  const link = links.get(key);
  if (link) mergeInto(link, arrow);
  else links.set(key, newLink(key, from, to, arrow));
}

function newLink(key, from, to, arrow) {
  return {
    key,
    from,
    to,
    arrows: [arrow],
    ports: arrow.ports,
    via: arrow.via,
    first: arrow.first_seen,
    last: arrow.last_seen,
    manual: Boolean(arrow.manual),
    dnsOnly: isDnsOnly(arrow),
  };
}

function mergeInto(link, arrow) {
  link.arrows.push(arrow);
  link.ports = [...new Set([...link.ports, ...arrow.ports])];
  link.via |= arrow.via;
  link.first = earliest(link.first, arrow.first_seen);
  link.last = latest(link.last, arrow.last_seen);
  link.manual = link.manual && Boolean(arrow.manual);
  link.dnsOnly = link.dnsOnly && isDnsOnly(arrow);
}

function nodeOf(nodes, service, filters) {
  const asDomain = service.external && filters.ext === "group";
  const name = asDomain ? service.domain : service.name;
  const kind = asDomain ? "Domain" : service.kind;
  const key = nodeKey(service.cluster, service.namespace, kind, name);
  let node = nodes.get(key);
  if (!node) {
    node = newNode(key, name, kind, service);
    nodes.set(key, node);
  }
  node.members.add(service);
  return node;
}

function newNode(key, name, kind, service) {
  return {
    key,
    name,
    kind,
    cluster: service.cluster,
    namespace: service.namespace,
    place: service.external ? "outside" : service.namespace,
    search: `${service.namespace}/${name}`.toLowerCase(),
    group: service.group,
    column: service.column,
    row: service.row,
    external: service.external,
    infrastructure: Boolean(service.infrastructure),
    members: new Set(),
    callers: [],
    callees: [],
  };
}

function connect(links, query, now) {
  const nodes = new Map();
  for (const link of links) {
    for (const node of [link.from, link.to]) {
      if (!nodes.has(node.key)) nodes.set(node.key, node);
    }
    link.from.callees.push(link);
    link.to.callers.push(link);
  }
  for (const node of nodes.values()) summarise(node, now);
  return { nodes, links, found: [...nodes.values()].filter(query.service) };
}

function summarise(node, now) {
  const links = [...node.callers, ...node.callees];
  node.last = links.reduce((at, link) => latest(at, link.last), null);
  node.first = links.reduce((at, link) => earliest(at, link.first), null);
  node.isNew = node.first !== null && node.first > now - NEW_SECONDS;
  node.dnsOnly = links.every((link) => link.dnsOnly);
  node.manual = links.some((link) => link.manual);
}

function earliest(one, other) {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

function latest(one, other) {
  if (one === null || other === null) return one ?? other;
  return Math.max(one, other);
}
