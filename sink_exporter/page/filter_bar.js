// What is left out, always in sight: filters, hidden infrastructure, and how much is shown.

import { h, replace, redraw, count } from "./dom.js";
import { isFiltered } from "./state.js";

const SEEN = [
  ["", "any time"],
  ["1h", "1 hour"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["30d", "30 days"],
];
const EXTERNAL = [
  ["group", "by domain"],
  ["each", "each host"],
  ["hide", "hidden"],
];
const EVIDENCE = ["dns", "socket", "syn", "manual"];

/** Make the bar; it changes the state through `page.go`. */
export function filterBar(page) {
  const element = h("div", { class: "filters", role: "group", "aria-label": "Filters" });
  const open = { ns: false, search: "" };
  const draw = () =>
    redraw(element, () =>
      replace(
        element,
        namespaces(page, open, draw),
        evidence(page),
        choice(page, "seen", "Seen within", SEEN),
        choice(page, "ext", "External", EXTERNAL),
        toggle(page, "cross", "Across namespaces only"),
        isFiltered(page.state)
          ? h(
              "button",
              { type: "button", class: "quiet", "data-key": "clear", onclick: () => page.clearFilters() },
              "Clear filters",
            )
          : null,
        h("span", { class: "spacer" }),
        h("span", { class: "shown", role: "status" }, shownText(page)),
        infrastructure(page),
      ),
    );
  document.addEventListener("pointerdown", (event) => {
    if (open.ns && !event.target.closest(".menu.ns")) {
      open.ns = false;
      draw();
    }
  });
  return {
    element,
    draw,
    close() {
      const wasOpen = open.ns;
      open.ns = false;
      if (wasOpen) draw();
      return wasOpen;
    },
  };
}

/** Say how much is shown. */
export function shownText(page) {
  const { found, links } = page.selection;
  return `${count(found.length, "service")} · ${count(links.length, "call")}`;
}

function namespaces(page, open, draw) {
  const chosen = page.state.ns;
  const label = chosen.length === 0 ? "all" : chosen.length === 1 ? chosen[0] : `${chosen.length} chosen`;
  const button = h(
    "button",
    {
      type: "button",
      class: chosen.length ? "filter set" : "filter",
      "aria-expanded": String(open.ns),
      "aria-haspopup": "true",
      "data-key": "ns",
      onclick: () => {
        open.ns = !open.ns;
        draw();
        if (open.ns) element.querySelector("input")?.focus();
      },
    },
    "Namespaces: ",
    h("b", { class: "clip" }, label),
  );
  const element = h("div", { class: "menu ns" }, button, open.ns ? namespaceList(page, open) : null);
  return element;
}

function namespaceList(page, open) {
  const names = [...new Set(page.graph.groups.map((group) => group.namespace).filter(Boolean))].sort();
  const items = h("ul", { "data-scroll": "ns" });
  const fillList = () =>
    replace(
      items,
      names
        .filter((name) => name.includes(open.search))
        .slice(0, 300)
        .map((name) => namespaceItem(page, name)),
    );
  fillList();
  const search = h("input", {
    type: "search",
    placeholder: "Find a namespace",
    "aria-label": "Find a namespace",
    value: open.search,
    "data-key": "ns search",
    oninput: (event) => {
      open.search = event.target.value;
      fillList();
    },
  });
  return h("div", { class: "menu-body" }, search, items);
}

function namespaceItem(page, name) {
  const isChosen = page.state.ns.includes(name);
  const change = () =>
    page.go({ ns: isChosen ? page.state.ns.filter((each) => each !== name) : [...page.state.ns, name].sort() });
  return h(
    "li",
    {},
    h(
      "label",
      {},
      h("input", { type: "checkbox", checked: isChosen, "data-key": `ns ${name}`, onchange: change }),
      h("span", { class: "clip" }, name),
    ),
  );
}

function evidence(page) {
  const buttons = EVIDENCE.map((name) => {
    const isSet = page.state.via.includes(name);
    const via = isSet ? page.state.via.filter((each) => each !== name) : [...page.state.via, name];
    return h(
      "button",
      {
        type: "button",
        class: `segment${isSet ? " set" : ""}`,
        "aria-pressed": String(isSet),
        "data-key": `via ${name}`,
        onclick: () => page.go({ via }),
      },
      name,
    );
  });
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": "Evidence" },
    h("span", { class: "legend" }, "Evidence"),
    buttons,
  );
}

function choice(page, name, label, options) {
  const select = h("select", { "data-key": name, onchange: (event) => page.go({ [name]: event.target.value }) });
  for (const [value, text] of options)
    select.append(h("option", { value, selected: page.state[name] === value }, text));
  return h("label", { class: "choice" }, h("span", {}, label), select);
}

function toggle(page, name, label) {
  const box = h("input", {
    type: "checkbox",
    checked: page.state[name],
    "data-key": name,
    onchange: (event) => page.go({ [name]: event.target.checked }),
  });
  return h("label", { class: "toggle" }, box, h("span", {}, label));
}

function infrastructure(page) {
  const hidden = [...page.selection.hiddenInfrastructure];
  if (page.state.infra) {
    return h(
      "button",
      { type: "button", class: "quiet", "data-key": "infra", onclick: () => page.go({ infra: false }) },
      "Hide infrastructure",
    );
  }
  if (hidden.length === 0) return null;
  const names = hidden.map((service) => `${service.namespace}/${service.name}`).sort();
  const title = names.slice(0, 20).join(", ") + (names.length > 20 ? ` and ${names.length - 20} more` : "");
  return h(
    "button",
    { type: "button", class: "quiet warn", title, "data-key": "infra", onclick: () => page.go({ infra: true }) },
    `${hidden.length} infrastructure hidden: show`,
  );
}
