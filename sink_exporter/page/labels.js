// Small parts that several views show alike.

import { h } from "./dom.js";
import { viaNames } from "./graph.js";

const PALETTE = 10;

/** Return the class of a namespace's colour; outside is grey. */
export function groupColour(node) {
  return node.external ? "g-out" : `g${node.group % PALETTE}`;
}

/** Say what a node is. */
export function kindLabel(node) {
  if (node.kind !== "Domain") return node.kind === "External" ? "External host" : node.kind;
  return node.members.size > 1 ? `Domain, ${node.members.size} hosts` : "External host";
}

/** List what is worth knowing before one opens the service. */
export function flagList(node) {
  const flags = [];
  if (node.isNew) flags.push(flag("new", "first seen within a day"));
  if (node.dnsOnly) flags.push(flag("DNS only", "only DNS answers speak for its calls", "dns"));
  if (node.manual) flags.push(flag("manual", "somebody added a call by hand"));
  if (node.external) flags.push(flag("external", "outside the cluster"));
  if (node.infrastructure) flags.push(flag("infrastructure", "there for the cluster itself"));
  return flags;
}

/** Write the evidence of a call as small tags; never by colour alone. */
export function evidenceTags(link) {
  const names = link.manual ? ["manual"] : viaNames(link.via);
  return names.map((name) => h("span", { class: `tag via-${name}` }, name));
}

/** Say why nothing is shown, and what to do. */
export function emptyNote(page) {
  const { selection } = page;
  const hidden = selection.hiddenInfrastructure.size;
  const lines = [];
  if (page.graph.arrows.size === 0) {
    lines.push(
      h("h2", {}, "No calls yet"),
      h("p", {}, "The graph is empty. Are agents, watcher and processor running?"),
    );
  } else {
    lines.push(h("h2", {}, "Nothing passes the filters"));
    lines.push(h("p", {}, `The graph has ${page.graph.arrows.size} calls; the filters leave none.`));
    lines.push(
      h("button", { type: "button", class: "primary", onclick: () => page.clearFilters() }, "Clear all filters"),
    );
    if (hidden) lines.push(h("p", {}, `${hidden} infrastructure services are hidden as well.`));
  }
  return h("div", { class: "empty" }, lines);
}

function flag(text, title, kind = text) {
  return h("span", { class: `tag flag-${kind}`, title }, text);
}
