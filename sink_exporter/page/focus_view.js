// One service: who calls it on the left, whom it calls on the right; every neighbour opens one step further.

import { h, replace, redraw, svg, count, focusKey } from "./dom.js";
import { evidenceTags, emptyNote, flagList, groupColour, kindLabel } from "./labels.js";
import { ago, exact } from "./time.js";

const FEW = 12;

/** Make the view; the service is `page.state.s`. */
export function focusView(page) {
  const lines = svg("svg", { class: "connectors", "aria-hidden": "true" });
  const columns = h("div", { class: "focus-columns", "data-scroll": "focus" });
  const element = h("section", { class: "view focus", "aria-label": "Focus" });
  const open = { groups: new Set(), further: new Set(), of: "" };
  columns.addEventListener("scroll", () => drawLines(columns, lines));
  new ResizeObserver(() => drawLines(columns, lines)).observe(columns);
  element.addEventListener("keydown", (event) => moveAlong(event, element));
  return {
    element,
    draw() {
      const node = page.focused();
      if (!node) return void replace(element, picker(page));
      if (open.of !== node.key) Object.assign(open, { groups: new Set(), further: new Set(), of: node.key });
      if (element.firstChild !== columns) replace(element, columns);
      const again = () => this.draw();
      redraw(element, () => {
        replace(
          columns,
          lines,
          side(page, node, "callers", open, again),
          middle(page, node),
          side(page, node, "callees", open, again),
        );
      });
      drawLines(columns, lines);
    },
    focus: () => focusKey(element, "middle"),
  };
}

function picker(page) {
  const busiest = [...page.selection.found].sort((a, b) => degree(b) - degree(a)).slice(0, 12);
  if (busiest.length === 0) return emptyNote(page);
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "Which service?"),
    h("p", {}, "Search for one above, or begin with one of the busiest."),
    h(
      "ul",
      { class: "picks" },
      busiest.map((node) => h("li", {}, serviceButton(page, node))),
    ),
  );
}

function middle(page, node) {
  return h(
    "article",
    { class: `focus-card ${groupColour(node)}`, tabindex: "0", "data-key": "middle" },
    h("p", { class: "card-place" }, h("i", { class: `dot ${groupColour(node)}` }), node.place),
    h("h2", {}, node.name),
    h(
      "p",
      { class: "muted" },
      kindLabel(node),
      " · ",
      h("span", { title: exact(node.last) }, ago(node.last, page.now)),
    ),
    h("p", { class: "flags" }, flagList(node)),
    h("p", { class: "card-counts" }, count(node.callers.length, "caller"), " · ", count(node.callees.length, "callee")),
    node.kind === "Domain" && node.members.size > 1 ? hostList(node) : null,
  );
}

function hostList(node) {
  const hosts = [...node.members].map((service) => service.name).sort();
  return h(
    "ul",
    { class: "hosts" },
    hosts.slice(0, 30).map((host) => h("li", {}, host)),
  );
}

function side(page, node, way, open, again) {
  const title = way === "callers" ? "Callers" : "Callees";
  const links = node[way];
  const body =
    links.length === 0
      ? h(
          "p",
          { class: "muted none" },
          way === "callers" ? "Nobody was seen calling it." : "It was not seen calling anybody.",
        )
      : null;
  return h(
    "div",
    { class: `focus-side ${way}` },
    h("h3", {}, title, h("span", { class: "badge" }, String(links.length))),
    body,
    byGroup(links, way).map(([place, members]) => groupList(page, { place, members, way, open, again })),
  );
}

function groupList(page, { place, members, way, open, again }) {
  const key = `${way} ${place}`;
  const isOpen = open.groups.has(key) || members.length <= FEW;
  const shown = isOpen ? members : members.slice(0, FEW - 2);
  const more = h(
    "button",
    {
      type: "button",
      class: "more",
      "data-key": `more ${key}`,
      onclick: () => {
        open.groups.add(key);
        again();
      },
    },
    `+${members.length - shown.length} in ${place}`,
  );
  return h(
    "div",
    { class: "focus-group" },
    h("h4", {}, h("i", { class: `dot ${groupColour(end(members[0], way))}` }), place),
    h(
      "ul",
      {},
      shown.map((link) => neighbour(page, link, way, open, again)),
    ),
    shown.length < members.length ? more : null,
  );
}

function neighbour(page, link, way, open, again) {
  const other = end(link, way);
  const further = other[way];
  const key = `${way} ${other.key}`;
  const isOpen = open.further.has(key);
  const toggle = () => {
    if (!open.further.delete(key)) open.further.add(key);
    again();
  };
  return h(
    "li",
    { class: "neighbour" },
    h(
      "div",
      { class: `row-line ${link.dnsOnly ? "dashed" : ""}`, "data-line": way },
      serviceButton(page, other, key),
      h(
        "button",
        {
          type: "button",
          class: "evidence",
          "data-key": `edge ${link.key}`,
          onclick: () => page.openLink(link),
        },
        h("span", { class: "sr-only" }, callLabel(link)),
        evidenceTags(link),
        link.ports.length ? h("span", { class: "ports" }, link.ports.slice(0, 2).join(" ")) : null,
      ),
      further.length ? furtherButton(further, way, isOpen, toggle, key) : null,
    ),
    isOpen
      ? h(
          "ul",
          { class: "further" },
          further.slice(0, 60).map((each) => h("li", {}, serviceButton(page, end(each, way)))),
        )
      : null,
  );
}

function furtherButton(further, way, isOpen, toggle, key) {
  const what = way === "callers" ? "its callers" : "its callees";
  return h(
    "button",
    {
      type: "button",
      class: "expand",
      "aria-expanded": String(isOpen),
      title: `${isOpen ? "Hide" : "Show"} ${what}`,
      "data-key": `further ${key}`,
      onclick: toggle,
    },
    h("span", { class: "sr-only" }, `${isOpen ? "Hide" : "Show"} ${what}: `),
    `${isOpen ? "−" : "+"}${further.length}`,
  );
}

function serviceButton(page, node, key = `pick ${node.key}`) {
  return h(
    "button",
    {
      type: "button",
      class: "service",
      "data-key": key,
      title: `${node.place}/${node.name}`,
      onclick: () => page.openService(node),
    },
    h("i", { class: `dot ${groupColour(node)}` }),
    h("span", { class: "clip" }, node.name),
  );
}

function callLabel(link) {
  return `Evidence of the call from ${link.from.name} to ${link.to.name}`;
}

function byGroup(links, way) {
  const groups = new Map();
  for (const link of links) {
    const { place } = end(link, way);
    if (!groups.has(place)) groups.set(place, []);
    groups.get(place).push(link);
  }
  for (const members of groups.values()) members.sort((a, b) => (end(a, way).name < end(b, way).name ? -1 : 1));
  return [...groups].sort(([a], [b]) => (a === "outside") - (b === "outside") || (a < b ? -1 : 1));
}

function end(link, way) {
  return way === "callers" ? link.from : link.to;
}

function degree(node) {
  return node.callers.length + node.callees.length;
}

/** Arrow keys: up and down within a column, left and right across the columns. */
function moveAlong(event, element) {
  if (!["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const columns = ["callers", "middle", "callees"];
  const here = document.activeElement?.closest(".focus-side, .focus-card");
  if (!here || !element.contains(here)) return;
  event.preventDefault();
  const at = here.classList.contains("callers") ? 0 : here.classList.contains("callees") ? 2 : 1;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const next = columns[at + (event.key === "ArrowLeft" ? -1 : 1)];
    (next === "middle"
      ? element.querySelector(".focus-card")
      : element.querySelector(`.focus-side.${next} .service`)
    )?.focus();
    return;
  }
  const stops = [...here.querySelectorAll(".service, .more")];
  const line = document.activeElement.closest("li")?.querySelector(".service") ?? document.activeElement;
  stops[stops.indexOf(line) + (event.key === "ArrowUp" ? -1 : 1)]?.focus();
}

function drawLines(columns, lines) {
  const card = columns.querySelector(".focus-card");
  if (!card) return;
  const origin = columns.getBoundingClientRect();
  const box = card.getBoundingClientRect();
  lines.setAttribute("width", String(columns.scrollWidth));
  lines.setAttribute("height", String(columns.scrollHeight));
  const offset = [columns.scrollLeft - origin.left, columns.scrollTop - origin.top];
  const paths = [...columns.querySelectorAll("[data-line]")].map((row) => {
    const place = row.getBoundingClientRect();
    const isCaller = row.dataset.line === "callers";
    const x1 = (isCaller ? place.right : place.left) + offset[0];
    const x2 = (isCaller ? box.left : box.right) + offset[0];
    const y1 = place.top + place.height / 2 + offset[1];
    const y2 = box.top + box.height / 2 + offset[1];
    const bend = (x1 + x2) / 2;
    return svg("path", {
      d: `M${x1} ${y1}C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}`,
      class: row.classList.contains("dashed") ? "line dashed" : "line",
    });
  });
  lines.replaceChildren(...paths);
}
