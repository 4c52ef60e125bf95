// Namespace by namespace: the one picture of everything that stays legible. Rows call columns.

import { h, replace, redraw, count } from "./dom.js";
import { emptyNote, groupColour } from "./labels.js";

const MOST = 60;

/** Make the view. */
export function matrixView(page) {
  const element = h("section", { class: "view matrix", "aria-label": "Matrix" });
  return {
    element,
    draw() {
      if (page.selection.links.length === 0) return void replace(element, emptyNote(page));
      const { places, cells, most, left } = countCalls(page.selection.links);
      redraw(element, () =>
        replace(
          element,
          h(
            "div",
            {
              class: "matrix-scroll",
              "data-scroll": "matrix",
              tabindex: "0",
              role: "region",
              "aria-label": "Calls between namespaces",
              "data-key": "matrix",
            },
            table(page, places, cells, most),
          ),
          left
            ? h(
                "p",
                { class: "note" },
                `The ${MOST} busiest namespaces; ${count(left, "more")} with the filters.`.replace("mores", "more"),
              )
            : null,
        ),
      );
    },
    focus: () => element.querySelector(".matrix-scroll")?.focus(),
  };
}

function countCalls(links) {
  const places = new Map();
  const cells = new Map();
  for (const link of links) {
    for (const node of [link.from, link.to]) {
      const place = places.get(node.place) ?? { name: node.place, calls: 0, node };
      place.calls += 1;
      places.set(node.place, place);
    }
    const key = `${link.from.place} ${link.to.place}`;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(link);
  }
  const busiest = [...places.values()].sort((a, b) => b.calls - a.calls).slice(0, MOST);
  busiest.sort((a, b) => (a.name === "outside") - (b.name === "outside") || (a.name < b.name ? -1 : 1));
  const most = Math.max(...[...cells.values()].map((cell) => cell.length));
  return { places: busiest, cells, most, left: places.size - busiest.length };
}

function table(page, places, cells, most) {
  const callers = places.filter((place) => places.some((other) => cells.has(`${place.name} ${other.name}`)));
  return h(
    "table",
    {},
    h("caption", {}, "Rows call columns; the number counts pairs of services."),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("td", { class: "corner" }),
        places.map((place) =>
          h("th", { scope: "col" }, h("span", { class: "slanted", title: place.name }, place.name)),
        ),
      ),
    ),
    h(
      "tbody",
      {},
      callers.map((from) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row" },
            h("i", { class: `dot ${groupColour(from.node)}` }),
            h("span", { class: "clip", title: from.name }, from.name),
          ),
          places.map((to) => cell(page, from, to, cells.get(`${from.name} ${to.name}`), most)),
        ),
      ),
    ),
  );
}

function cell(page, from, to, links, most) {
  if (!links) return h("td", { class: from === to ? "within" : "" });
  const strength = 1 + Math.round(6 * Math.sqrt((links.length - 1) / Math.max(1, most - 1)));
  const label = `${from.name} to ${to.name}: ${count(links.length, "call")}`;
  return h(
    "td",
    { class: from === to ? "within" : "" },
    h(
      "button",
      {
        type: "button",
        class: `heat heat-${strength}`,
        "aria-label": label,
        title: label,
        "data-key": `cell ${from.name} ${to.name}`,
        onclick: () => page.openLinks(links),
      },
      String(links.length),
    ),
  );
}
