// The map: drawn from the layout, moved and scaled by wheel, drag and keys; it never jumps by itself.

import { h, replace, svg, count, focusKey } from "./dom.js";
import { arrowHead, drawMap } from "./map_drawing.js";
import { layOut } from "./map_layout.js";
import { emptyNote } from "./labels.js";

const ZOOM = { least: 0.08, most: 2.5, step: 1.25, wheel: 0.0016 };

/** Make the view; `page.state.open` names the namespaces that are opened (or `-` and a name: closed). */
export function mapView(page) {
  const sheet = svg("g", {});
  const picture = svg(
    "svg",
    { class: "map-sheet", role: "group", "aria-label": "Map of calls", tabindex: "0", "data-key": "map" },
    arrowHead(),
    sheet,
  );
  const notes = h("p", { class: "map-notes", role: "status" });
  const camera = { x: 0, y: 0, scale: 1, isSet: false };
  const frame = h("div", { class: "map-frame" }, picture, controls(), notes);
  const element = h("section", { class: "view map", "aria-label": "Map" }, frame);
  let layout = null;

  function controls() {
    const button = (label, text, act) =>
      h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    return h(
      "div",
      { class: "map-controls" },
      button("Zoom in", "+", () => zoomAt(ZOOM.step)),
      button("Zoom out", "−", () => zoomAt(1 / ZOOM.step)),
      button("Fit to window", "⤢", fit),
      button("Open or close all namespaces", "⊞", toggleAll),
    );
  }

  function draw() {
    if (page.selection.links.length === 0) return void replace(element, emptyNote(page));
    if (element.firstChild !== frame) replace(element, frame);
    layout = layOut(page.selection, ...openGroups(page.state.open));
    const focused = picture.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    sheet.replaceChildren(drawMap(layout, { box: openBox, line: (line) => page.openLinks(line.links) }));
    if (focused !== undefined) focusKey(picture, focused);
    mark(page.state.s);
    replace(notes, noteText(layout));
    if (!camera.isSet && picture.clientWidth) fit();
  }

  function openBox(box, event) {
    if (box.node) return page.openService(box.node, event);
    const corner = [box.x, box.y];
    const { key } = box;
    page.go({ open: toggled(page.state.open, key, !box.isOpen) });
    const moved = layout.groups.find((group) => group.key === key);
    if (moved) move((corner[0] - moved.x) * camera.scale, (corner[1] - moved.y) * camera.scale);
    focusKey(picture, key);
  }

  function toggleAll() {
    const anyOpen = layout.groups.some((group) => group.isOpen);
    page.go({ open: layout.groups.map((group) => (anyOpen ? `-${group.key}` : group.key)) });
    fit();
  }

  function fit() {
    if (!layout) return;
    const { clientWidth, clientHeight } = picture;
    const scale = Math.min((clientWidth - 96) / layout.size.width, (clientHeight - 112) / layout.size.height, 1.25);
    camera.scale = Math.max(ZOOM.least, scale);
    camera.x = (clientWidth - layout.size.width * camera.scale) / 2;
    camera.y = (clientHeight - layout.size.height * camera.scale) / 2;
    camera.isSet = true;
    move(0, 0);
  }

  function move(x, y) {
    camera.x += x;
    camera.y += y;
    sheet.setAttribute("transform", `translate(${camera.x} ${camera.y}) scale(${camera.scale})`);
  }

  function zoomAt(factor, x = picture.clientWidth / 2, y = picture.clientHeight / 2) {
    const scale = Math.max(ZOOM.least, Math.min(ZOOM.most, camera.scale * factor));
    const ratio = scale / camera.scale;
    camera.scale = scale;
    camera.x = x - (x - camera.x) * ratio;
    camera.y = y - (y - camera.y) * ratio;
    move(0, 0);
  }

  /** Bring forward the lines of one box; the others step back. */
  function mark(key) {
    sheet.firstChild?.classList.toggle("has-mark", false);
    if (!key || !layout.boxes.some((box) => box.key === key)) return;
    const near = new Set([key]);
    for (const line of sheet.querySelectorAll(".map-line")) {
      const way = line.dataset.from === key ? "out" : line.dataset.to === key ? "in" : "";
      line.classList.toggle("out", way === "out");
      line.classList.toggle("in", way === "in");
      if (way) near.add(line.dataset.from).add(line.dataset.to);
    }
    for (const box of sheet.querySelectorAll(".map-box")) {
      box.classList.toggle("near", near.has(box.dataset.key));
      box.classList.toggle("marked", box.dataset.key === key);
    }
    sheet.firstChild.classList.toggle("has-mark", true);
  }

  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomAt(Math.exp(-event.deltaY * ZOOM.wheel), event.offsetX, event.offsetY);
    },
    { passive: false },
  );
  dragging(picture, move);
  picture.addEventListener("pointerover", (event) =>
    mark(event.target.closest(".map-box")?.dataset.key ?? page.state.s),
  );
  picture.addEventListener("focusin", (event) => mark(event.target.dataset.key ?? page.state.s));
  picture.addEventListener("keydown", (event) => takeKey(event, { layout, picture, zoomAt, fit, openBox, reveal }));
  new ResizeObserver(() => !camera.isSet && layout && fit()).observe(picture);

  /** Move the sheet so far that a box is in sight. */
  function reveal(box) {
    const [left, top] = [box.x * camera.scale + camera.x, box.y * camera.scale + camera.y];
    const [right, bottom] = [left + box.width * camera.scale, top + box.height * camera.scale];
    const shift = (low, high, size) => (low < 20 ? 20 - low : high > size - 20 ? size - 20 - high : 0);
    move(shift(left, right, picture.clientWidth), shift(top, bottom, picture.clientHeight));
  }

  return { element, draw, focus: () => picture.focus() };
}

function openGroups(names) {
  const asked = new Map();
  for (const name of names) asked.set(name.replace(/^-/, ""), !name.startsWith("-"));
  return [new Set(), asked];
}

function toggled(names, key, isOpen) {
  const others = names.filter((name) => name !== key && name !== `-${key}`);
  return [...others, isOpen ? key : `-${key}`];
}

function noteText(layout) {
  const { dropped, groups, boxes } = layout;
  const parts = [];
  const closed = groups.filter((group) => !group.isOpen).length;
  if (closed) parts.push(`${count(closed, "closed namespace")}: click one to open it in place`);
  if (dropped.groups)
    parts.push(
      `${count(dropped.groups, "quieter namespace")} not drawn (${boxes.length} boxes at most; use the filters)`,
    );
  if (dropped.lines) parts.push(`${count(dropped.lines, "thinner line")} not drawn`);
  return parts.join(" · ");
}

function dragging(picture, move) {
  let last = null;
  picture.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && !event.target.closest(".map-box, .group-title, .map-line"))
      last = [event.clientX, event.clientY];
  });
  picture.addEventListener("pointermove", (event) => {
    if (!last) return;
    picture.setPointerCapture(event.pointerId);
    move(event.clientX - last[0], event.clientY - last[1]);
    last = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) picture.addEventListener(name, () => (last = null));
}

/** Arrow keys go to the nearest box in that direction; Enter opens it; + and − scale, 0 fits. */
function takeKey(event, { layout, picture, zoomAt, fit, openBox, reveal }) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const stops = [...layout.boxes, ...layout.groups.filter((group) => group.isOpen)];
  const here = stops.find((box) => box.key === document.activeElement.dataset.key);
  if (event.key in ways) {
    const next = here ? nearest(stops, here, ways[event.key]) : layout.boxes[0];
    if (next) {
      focusKey(picture, next.key);
      reveal(next);
    }
  } else if ((event.key === "Enter" || event.key === " ") && here) openBox(here);
  else if (event.key === "+" || event.key === "=") zoomAt(ZOOM.step);
  else if (event.key === "-") zoomAt(1 / ZOOM.step);
  else if (event.key === "0") fit();
  else return;
  event.preventDefault();
}

function nearest(stops, here, [dx, dy]) {
  const centre = (box) => [box.x + box.width / 2, box.isOpen ? box.y + 20 : box.y + box.height / 2];
  const [x, y] = centre(here);
  let best = null;
  for (const box of stops) {
    const [bx, by] = centre(box);
    const ahead = (bx - x) * dx + (by - y) * dy;
    const aside = Math.abs((bx - x) * dy) + Math.abs((by - y) * dx);
    const cost = ahead + 2 * aside;
    if (box !== here && ahead > 4 && (!best || cost < best.cost)) best = { box, cost };
  }
  return best?.box;
}
