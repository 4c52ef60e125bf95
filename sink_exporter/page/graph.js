// The graph as the server sends it (docs/page.md), as objects; changes are applied in place.

export const DNS = 1;
export const SOCKET = 2;
export const SYN = 4;
export const VIA_NAMES = { dns: DNS, socket: SOCKET, syn: SYN };

/** Services, namespaces (groups) and arrows; `version` is what the server calls the state. */
export class Graph {
  constructor(payload) {
    this.version = payload.version;
    this.groups = [];
    this.services = [];
    this.arrows = new Map();
    this.newest = 0;
    this.fields = {
      groups: payload.group_fields,
      services: payload.service_fields,
      arrows: payload.arrow_fields,
    };
    this.addGroups(payload.groups);
    this.addServices(payload.services);
    payload.arrows.forEach((row, position) => this.putArrow(row, payload.evidence?.[position]));
  }

  /** Apply a change; false when it does not follow from what is here. */
  apply(change) {
    if (change.before !== this.version) return false;
    this.addGroups(change.groups);
    this.addServices(change.services);
    for (const row of change.arrows) this.putArrow(row);
    for (const [client, server] of change.removed) this.arrows.delete(arrowKey(client, server));
    this.version = change.version;
    return true;
  }

  /** Return the id under which the server keeps the evidence of an arrow. */
  edgeId(arrow) {
    return `${arrow.client.id}.${arrow.server.id}`;
  }

  findArrow(edgeId) {
    const [client, server] = edgeId.split(".");
    for (const arrow of this.arrows.values()) {
      if (arrow.client.id === client && arrow.server.id === server) return arrow;
    }
    return undefined;
  }

  addGroups(rows) {
    for (const row of rows) this.groups.push({ index: this.groups.length, ...named(this.fields.groups, row) });
  }

  addServices(rows) {
    for (const row of rows) {
      const service = { index: this.services.length, ...named(this.fields.services, row) };
      service.external = service.kind === "External";
      this.services.push(service);
    }
  }

  putArrow(row, evidence) {
    const arrow = named(this.fields.arrows, row);
    const key = arrowKey(arrow.client, arrow.server);
    arrow.client = this.services[arrow.client];
    arrow.server = this.services[arrow.server];
    arrow.evidence = evidence;
    this.newest = Math.max(this.newest, arrow.last_seen ?? 0);
    this.arrows.set(key, arrow);
  }
}

function arrowKey(client, server) {
  return client * 2 ** 24 + server;
}

function named(fields, row) {
  const object = {};
  for (let position = 0; position < fields.length; position += 1) object[fields[position]] = row[position];
  return object;
}

/** Name the evidence in a bit set, strongest first. */
export function viaNames(via) {
  return [via & SYN && "syn", via & SOCKET && "socket", via & DNS && "dns"].filter(Boolean);
}

/** Tell whether only DNS answers speak for a call: its port is unknown, and it may not have happened. */
export function isDnsOnly(arrow) {
  return arrow.via === DNS && !arrow.manual;
}
