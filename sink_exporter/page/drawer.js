// Everything that is known of a call, beside the view. Evidence is in the page, or asked from the server.

import { h, replace, count } from "./dom.js";
import { viaNames } from "./graph.js";
import { evidenceTags, groupColour } from "./labels.js";
import { ago, exact } from "./time.js";

const REASONS = {
  dns: "The client was given the server's address by DNS. There is no port in it, and no proof of a connection.",
  socket: "A connection between the two was found open.",
  syn: "The client was seen opening a connection.",
  manual: "Somebody added it by hand; nothing was seen.",
};
const MOST = 200;

/** Make the drawer; `page.readEvidence(arrow)` gives a promise of the evidence. */
export function callDrawer(page) {
  const title = h("h2", { id: "drawer-title", tabindex: "-1" });
  const body = h("div", { class: "drawer-body", tabindex: "0", role: "region", "aria-labelledby": "drawer-title" });
  const close = h(
    "button",
    { type: "button", class: "icon", "aria-label": "Close", onclick: () => page.closeDrawer() },
    "×",
  );
  const element = h(
    "aside",
    { class: "drawer", "aria-labelledby": "drawer-title", hidden: true },
    h("header", {}, title, close),
    body,
  );
  let shown = "";
  return {
    element,
    isOpen: () => !element.hidden,
    showArrow(arrow) {
      const isSame = shown === page.graph.edgeId(arrow) && !element.hidden;
      shown = page.graph.edgeId(arrow);
      replace(title, "Why this call?");
      element.hidden = false;
      if (!isSame) {
        replace(body, ends(page, arrow), h("p", { class: "muted" }, "Reading the evidence…"));
        title.focus({ preventScroll: true });
      }
      page.readEvidence(arrow).then(
        (evidence) =>
          shown === page.graph.edgeId(arrow) && replace(body, ends(page, arrow), details(page, arrow, evidence)),
        () =>
          replace(
            body,
            ends(page, arrow),
            details(page, arrow, {}),
            h("p", { class: "problem" }, "The server does not answer; this is what the page knows."),
          ),
      );
    },
    showList(links) {
      shown = "";
      const arrows = links.flatMap((link) => link.arrows);
      replace(title, count(arrows.length, "call"));
      replace(
        body,
        h(
          "ul",
          { class: "call-list" },
          arrows.slice(0, MOST).map((arrow) => callItem(page, arrow)),
        ),
      );
      if (arrows.length > MOST) body.append(h("p", { class: "note" }, `${arrows.length - MOST} more are not listed.`));
      element.hidden = false;
      title.focus({ preventScroll: true });
    },
    close() {
      shown = "";
      element.hidden = true;
    },
  };
}

function ends(page, arrow) {
  return h(
    "div",
    { class: "ends" },
    endCard(page, arrow.client, "Client"),
    h("div", { class: `ends-line ${arrow.via === 1 ? "dashed" : ""}`, "aria-hidden": "true" }),
    endCard(page, arrow.server, "Server"),
  );
}

function endCard(page, service, role) {
  return h(
    "button",
    { type: "button", class: "end", onclick: () => page.openEnd(service) },
    h("span", { class: "muted" }, role),
    h("strong", {}, service.name),
    h(
      "span",
      { class: "muted" },
      h("i", { class: `dot ${groupColour(service)}` }),
      service.external ? "outside the cluster" : `${service.namespace} · ${service.kind}`,
    ),
  );
}

function details(page, arrow, evidence) {
  const sources = arrow.manual ? ["manual"] : viaNames(arrow.via);
  return h(
    "div",
    {},
    h("h3", {}, "Evidence"),
    h(
      "ul",
      { class: "reasons" },
      sources.map((name) => h("li", {}, h("span", { class: `tag via-${name}` }, name), h("span", {}, REASONS[name]))),
    ),
    h(
      "dl",
      {},
      pairOf("Ports", arrow.ports.length ? arrow.ports.join(", ") : "unknown: only DNS answers speak for it"),
      listPair("Names asked for", evidence.dns_names),
      listPair("Services gone through", evidence.services),
      pairOf("First seen", `${evidence.first_seen ?? exact(arrow.first_seen)} (${ago(arrow.first_seen, page.now)})`),
      pairOf("Last seen", `${evidence.last_seen ?? exact(arrow.last_seen)} (${ago(arrow.last_seen, page.now)})`),
      evidence.observations ? pairOf("Observations", evidence.observations.toLocaleString("en")) : null,
      listPair("Seen on nodes", evidence.nodes),
      listPair("Raw records", evidence.exemplars, "topic/partition/offset"),
    ),
    h("h3", {}, "On the command line"),
    copyBlock(page, `whocalls why ${quote(pathOf(arrow.client))} ${quote(pathOf(arrow.server))}`),
  );
}

function callItem(page, arrow) {
  const label = `Evidence of the call from ${arrow.client.name} to ${arrow.server.name}`;
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", onclick: () => page.openArrow(arrow) },
      h("span", { class: "sr-only" }, label),
      h(
        "span",
        { class: "call-ends" },
        h("span", {}, pathOf(arrow.client)),
        h("span", { class: "muted" }, "→ "),
        h("span", {}, pathOf(arrow.server)),
      ),
      h("span", {}, evidenceTags(arrow), h("span", { class: "ports" }, arrow.ports.slice(0, 2).join(" "))),
    ),
  );
}

function listPair(name, values, hint = "") {
  if (!values?.length) return null;
  return [
    h("dt", {}, name, hint ? h("small", {}, ` ${hint}`) : null),
    h(
      "dd",
      {},
      h(
        "ul",
        {},
        values.map((value) => h("li", {}, value)),
      ),
    ),
  ];
}

function pairOf(name, value) {
  return [h("dt", {}, name), h("dd", {}, value)];
}

function copyBlock(page, text) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      page.say("Copied");
    } catch {
      page.say("The browser does not allow copying here", "problem");
    }
  };
  return h("div", { class: "copy" }, h("code", {}, text), h("button", { type: "button", onclick: copy }, "Copy"));
}

function pathOf(service) {
  return service.external ? service.name : `${service.namespace}/${service.name}`;
}

/** Quote for a shell: a name may be anything. */
function quote(text) {
  return /^[A-Za-z0-9._/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
