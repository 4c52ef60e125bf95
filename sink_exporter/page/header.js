// Name, views, search, the state of the connection.

import { h, replace, svg } from "./dom.js";
import { coverageNote } from "./coverage.js";

const VIEWS = [
  ["services", "Services", "t"],
  ["focus", "Focus", "f"],
  ["map", "Map", "m"],
  ["matrix", "Matrix", "x"],
  ["changes", "Changes", "c"],
];
const STATUS = { live: "Live", lost: "Connection lost, trying again", reading: "Reading", file: "File" };
const TYPING_MS = 120;

/** Make the header. */
export function pageHeader(page) {
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Search  ( / )",
    "aria-label": "Search services and calls",
    autocomplete: "off",
    spellcheck: "false",
    value: page.state.q,
  });
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(
      () =>
        page.go({ q: search.value, ...(page.state.view === "focus" ? { view: "services" } : {}) }, { replace: true }),
      TYPING_MS,
    );
  });
  const tabs = h("nav", { "aria-label": "Views", class: "tabs" });
  const status = h("span", { class: "status", role: "status" });
  const coverage = coverageNote();
  const element = h(
    "header",
    { class: "top" },
    h("h1", {}, logo(), "whocalls"),
    tabs,
    h("div", { class: "search" }, search),
    coverage.element,
    status,
    themeButton(),
    h(
      "button",
      {
        type: "button",
        class: "icon",
        "aria-label": "Downloads",
        title: "Downloads (d)",
        onclick: () => page.downloads.showModal(),
      },
      "↓",
    ),
    h(
      "button",
      {
        type: "button",
        class: "icon",
        "aria-label": "Help",
        title: "Keys and search (?)",
        onclick: () => page.help.showModal(),
      },
      "?",
    ),
  );
  return {
    element,
    search,
    coverage,
    draw() {
      replace(
        tabs,
        VIEWS.map(([view, name, key]) => tab(page, view, name, key)),
      );
      if (document.activeElement !== search) search.value = page.state.q;
      status.className = `status ${page.status}`;
      replace(status, h("i", { "aria-hidden": "true" }), STATUS[page.status]);
    },
  };
}

function tab(page, view, name, key) {
  const isHere = page.state.view === view;
  return h(
    "button",
    {
      type: "button",
      class: "tab",
      "aria-current": isHere ? "page" : null,
      title: `${name} (${key})`,
      onclick: () => page.go({ view }),
    },
    name,
  );
}

function themeButton() {
  const root = document.documentElement;
  const change = () => {
    const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme ?? preferred) === "dark" ? "light" : "dark";
    keep(root.dataset.theme);
  };
  const known = kept();
  if (known) root.dataset.theme = known;
  return h(
    "button",
    { type: "button", class: "icon", "aria-label": "Dark or light", title: "Dark or light", onclick: change },
    "◐",
  );
}

/** A file opened from disk may not be allowed to keep anything; then the theme lasts as long as the page. */
function keep(theme) {
  try {
    localStorage.setItem("whocalls-theme", theme);
  } catch {
    // nothing to do
  }
}

function kept() {
  try {
    return localStorage.getItem("whocalls-theme");
  } catch {
    return null;
  }
}

function logo() {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", width: 24, height: 24, "aria-hidden": "true", class: "logo" },
    svg("path", { d: "M7 12C12 12 11 6 16 6M7 12C12 12 11 18 16 18" }),
    svg("circle", { cx: 5, cy: 12, r: 3.2 }),
    svg("circle", { cx: 18.5, cy: 6, r: 2.7 }),
    svg("circle", { cx: 18.5, cy: 18, r: 2.7 }),
  );
}
