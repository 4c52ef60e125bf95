// The map as SVG: boxes of namespaces, services in them, lines between. Used on the page and for pictures.

import { svg } from "./dom.js";
import { fitText, linePath } from "./map_layout.js";
import { groupColour } from "./labels.js";

const MANY_LINES = 150; // beyond it each line is fainter, or they become one grey area

/** Draw a layout; `on` has box(box), line(line) or is empty for a picture. */
export function drawMap(layout, on = {}) {
  return svg(
    "g",
    { class: layout.lines.length > MANY_LINES ? "map-content dense" : "map-content" },
    svg(
      "g",
      { class: "map-groups" },
      layout.groups.filter((group) => group.isOpen).map((group) => openGroup(group, on)),
    ),
    svg(
      "g",
      { class: "map-lines" },
      layout.lines.map((line) => drawLine(line, on)),
    ),
    svg(
      "g",
      { class: "map-boxes" },
      layout.boxes.map((box) => drawBox(box, on)),
    ),
    svg("g", { class: "map-counts", "aria-hidden": "true" }, layout.groups.map(groupCount)),
  );
}

/** The arrow head that lines end in, once for a drawing. */
export function arrowHead() {
  const shape = svg("path", { d: "M0 0L7 3.5L0 7z", class: "map-head" });
  return svg(
    "defs",
    {},
    svg(
      "marker",
      {
        id: "head",
        viewBox: "0 0 7 7",
        refX: "6",
        refY: "3.5",
        markerWidth: "7",
        markerHeight: "7",
        markerUnits: "userSpaceOnUse",
        orient: "auto",
      },
      shape,
    ),
  );
}

function openGroup(group, on) {
  const { x, y, width, height } = group;
  const label = `Namespace ${group.name}, ${group.nodes.length} services: close`;
  return svg(
    "g",
    { class: `map-group ${groupColour(group)}` },
    svg("rect", { x, y, width, height, rx: 14, class: "group-frame" }),
    svg(
      "g",
      {
        class: "group-title",
        role: "button",
        tabindex: on.box ? "-1" : null,
        "aria-label": label,
        "data-key": group.key,
        onclick: on.box && (() => on.box(group)),
      },
      svg("rect", { x: x + 8, y: y + 8, width: width - 16, height: 26, rx: 8, class: "group-bar" }),
      svg("circle", { cx: x + 24, cy: y + 21, r: 4.5, class: "group-dot" }),
      svg("text", { x: x + 36, y: y + 25.5, class: "group-name" }, fitText(group.name, width - 50)),
    ),
  );
}

function drawBox(box, on) {
  return box.node ? serviceBox(box, on) : closedGroup(box, on);
}

function serviceBox(box, on) {
  const { node, x, y, width, height } = box;
  const label = `${node.name}, ${node.place}, ${node.callers.length} callers, ${node.callees.length} callees`;
  return svg(
    "g",
    {
      class: `map-box ${groupColour(node)}${node.external ? " external" : ""}${node.isNew ? " is-new" : ""}`,
      role: "button",
      tabindex: on.box ? "-1" : null,
      "aria-label": label,
      "data-key": box.key,
      onclick: on.box && ((event) => on.box(box, event)),
    },
    svg("title", {}, label),
    svg("rect", { x, y, width, height, rx: 9, class: "box" }),
    svg("rect", { x: x + 9, y: y + 10, width: 4, height: height - 20, rx: 2, class: "box-mark" }),
    svg("text", { x: x + 21, y: y + height / 2 + 4.5, class: "box-name" }, fitText(box.name, width)),
  );
}

function closedGroup(group, on) {
  const { x, y, width, height } = group;
  const label = `Namespace ${group.name}, ${group.nodes.length} services: open`;
  return svg(
    "g",
    {
      class: `map-box closed ${groupColour(group)}`,
      role: "button",
      tabindex: on.box ? "-1" : null,
      "aria-label": label,
      "data-key": group.key,
      onclick: on.box && (() => on.box(group)),
    },
    svg("title", {}, label),
    svg("rect", { x: x + 4, y: y + 4, width, height, rx: 12, class: "box-shadow" }),
    svg("rect", { x, y, width, height, rx: 12, class: "box" }),
    svg("rect", { x: x + 10, y: y + 13, width: 4, height: height - 26, rx: 2, class: "box-mark" }),
    svg("text", { x: x + 24, y: y + 24, class: "group-name" }, fitText(group.name, width)),
  );
}

/** The number stands apart from the button, whose label says it in words. */
function groupCount(group) {
  const { x, y, width, isOpen, nodes, external } = group;
  const place = isOpen ? { x: x + width - 20, y: y + 25.5, "text-anchor": "end" } : { x: x + 24, y: y + 41 };
  const text = isOpen ? String(nodes.length) : `${nodes.length} ${external ? "hosts" : "services"}`;
  return svg("text", { ...place, class: "group-count" }, text);
}

function drawLine(line, on) {
  const isDashed = line.links.every((link) => link.dnsOnly);
  const width = Math.min(5, 1.3 + Math.log2(line.links.length) * 0.6);
  return svg(
    "g",
    {
      class: `map-line${isDashed ? " dashed" : ""}`,
      "data-from": line.from.key,
      "data-to": line.to.key,
      onclick: on.line && (() => on.line(line)),
    },
    svg("path", { d: linePath(line.from, line.to), class: "grip" }),
    svg("path", {
      d: linePath(line.from, line.to),
      class: "line",
      "stroke-width": width.toFixed(1),
      "marker-end": "url(#head)",
    }),
  );
}
