// The table of services: the view to begin with, and the equivalent of the map for those who do not see it.

import { h, redraw, replace } from "./dom.js";
import { VirtualTable } from "./table.js";
import { ago, exact } from "./time.js";
import { emptyNote, flagList, groupColour, kindLabel } from "./labels.js";

/** Make the view; `page` has state, selection, now, go(changes), openService(node), select(node). */
export function servicesView(page) {
  const table = new VirtualTable(columns(page), listeners(page), "Services: callers, callees, last seen");
  const element = h("section", { class: "view services", "aria-label": "Services" }, table.scroller);
  return {
    element,
    draw() {
      const { found } = page.selection;
      if (found.length === 0) return void replace(element, emptyNote(page));
      if (element.firstChild !== table.scroller) replace(element, table.scroller);
      redraw(element, () => table.show(found, page.state.sort || "name"));
    },
    focus: () => table.scroller.focus(),
  };
}

function listeners(page) {
  return {
    open: (node) => page.openService(node),
    select: (node) => page.select(node),
    sort: (sort) => page.go({ sort }, { replace: true }),
  };
}

function columns(page) {
  return [
    { id: "name", title: "Service", order: (node) => node.name.toLowerCase(), cell: (node) => nameCell(page, node) },
    {
      id: "namespace",
      title: "Namespace",
      order: (node) => `${node.place} ${node.name}`,
      cell: (node) => [h("i", { class: `dot ${groupColour(node)}` }), h("span", { class: "clip" }, node.place)],
    },
    { id: "kind", title: "Kind", order: (node) => node.kind, cell: (node) => kindLabel(node) },
    numeric("callers", "Callers", (node) => node.callers.length),
    numeric("callees", "Callees", (node) => node.callees.length),
    {
      id: "last",
      title: "Last seen",
      order: (node) => -(node.last ?? 0),
      cell: (node) => h("span", { title: exact(node.last) }, ago(node.last, page.now)),
    },
    { id: "flags", title: "Flags", order: (node) => -flagList(node).length, cell: (node) => flagList(node) },
  ];
}

function nameCell(page, node) {
  const open = (event) => {
    event.stopPropagation();
    page.openService(node);
  };
  const label = `${node.name} in ${node.place}: open`;
  return h(
    "a",
    {
      class: "name clip",
      href: page.addressOf(node),
      "aria-label": label,
      tabindex: "-1",
      onclick: (event) => follow(event, open),
    },
    node.name,
  );
}

/** A plain click opens here; with a modifier the browser opens the address elsewhere. */
function follow(event, open) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(event);
}

function numeric(id, title, value) {
  return {
    id,
    title,
    numeric: true,
    order: (node) => -value(node),
    cell: (node) => h("span", { class: value(node) ? "" : "zero" }, String(value(node))),
  };
}
