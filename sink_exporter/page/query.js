// What is typed into the search field, as two questions: does a service match, does a call match?
//
//   cart              part of a service's name          ns:pay*           namespace (* and ? are wild)
//   from:a to:b       ends of the call                  kind:DaemonSet    kind of the workload
//   via:dns           evidence: dns, socket, syn,       port:443          port of the server
//   via:manual        manual                            new:7d seen:1h    first and last seen within
//   -…                any of these, not

import { VIA_NAMES } from "./graph.js";
import { parseSpan } from "./time.js";

const CALL_KEYS = new Set(["from", "to", "via", "port", "new", "seen"]);
const SERVICE_KEYS = new Set(["ns", "kind", "name"]);

/** Return `{ service(node), call(link, now), words }`; text that is no term is a word. */
export function parseQuery(text) {
  const terms = text
    .split(/\s+/)
    .filter((part) => part && part !== "-")
    .map(parseTerm);
  const ofServices = terms.filter((term) => !CALL_KEYS.has(term.key));
  const ofCalls = terms.filter((term) => CALL_KEYS.has(term.key));
  const wanted = ofServices.filter((term) => !term.not).map(serviceCheck);
  const unwanted = ofServices.filter((term) => term.not).map(serviceCheck);
  const checks = ofCalls.map(callCheck);
  const isWanted = (node) => wanted.every((check) => check(node));
  const isUnwanted = (node) => unwanted.some((check) => check(node));
  return {
    isEmpty: terms.length === 0,
    service: (node) => isWanted(node) && !isUnwanted(node),
    call: (link, now) =>
      (isWanted(link.from) || isWanted(link.to)) &&
      !isUnwanted(link.from) &&
      !isUnwanted(link.to) &&
      checks.every((check) => check(link, now)),
  };
}

function parseTerm(text) {
  const not = text.startsWith("-");
  const rest = not ? text.slice(1) : text;
  const at = rest.indexOf(":");
  const key = rest.slice(0, at);
  if (at > 0 && (CALL_KEYS.has(key) || SERVICE_KEYS.has(key))) return { not, key, value: rest.slice(at + 1) };
  return { not, key: "word", value: rest };
}

function serviceCheck({ key, value }) {
  const matches = pattern(value);
  if (key === "ns") return (node) => matches(node.namespace);
  if (key === "kind") return (node) => matches(node.kind);
  if (key === "name") return (node) => matches(node.name);
  const word = value.toLowerCase();
  return (node) => node.search.includes(word);
}

function callCheck({ key, value, not }) {
  const check = positiveCallCheck(key, value);
  return not ? (link, now) => !check(link, now) : check;
}

function positiveCallCheck(key, value) {
  const matches = pattern(value);
  if (key === "from") return (link) => namesEnd(link.from, matches);
  if (key === "to") return (link) => namesEnd(link.to, matches);
  if (key === "port") return (link) => link.ports.some((port) => port === value || port.startsWith(`${value}/`));
  if (key === "via") {
    return value === "manual" ? (link) => link.manual : (link) => Boolean(link.via & (VIA_NAMES[value] ?? 0));
  }
  const span = parseSpan(value) ?? 0;
  return (link, now) => (key === "new" ? link.first : link.last) >= now - span;
}

function namesEnd(node, matches) {
  return matches(node.name) || matches(`${node.namespace}/${node.name}`);
}

function pattern(text) {
  const escaped = text
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  const expression = new RegExp(`^${escaped}$`, "i");
  return (name) => expression.test(name);
}
