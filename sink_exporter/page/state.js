// What is shown, as it stands in the address after `#`: shareable, and the back button works.

const DEFAULTS = {
  view: "services",
  s: "",
  edge: "",
  q: "",
  ns: [],
  via: [],
  seen: "",
  ext: "group",
  infra: false,
  cross: false,
  open: [],
  sort: "",
};
const VIEWS = ["services", "focus", "map", "matrix", "changes"];

/** Read the state from an address; what is not in it has its default, what is not known is left out. */
export function parseState(hash) {
  const state = { ...DEFAULTS };
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!(name in DEFAULTS)) continue;
    state[name] = readValue(DEFAULTS[name], text);
  }
  if (!VIEWS.includes(state.view)) state.view = DEFAULTS.view;
  return state;
}

/** Write the state as an address; defaults are left out. */
export function formatState(state) {
  const parts = new URLSearchParams();
  for (const [name, initial] of Object.entries(DEFAULTS)) {
    const text = writeValue(state[name]);
    if (text !== writeValue(initial)) parts.set(name, text);
  }
  return `#${parts}`;
}

/** Tell whether any filter is set. */
export function isFiltered(state) {
  return ["q", "ns", "via", "seen", "ext", "cross"].some(
    (name) => writeValue(state[name]) !== writeValue(DEFAULTS[name]),
  );
}

/** Return the state without any filter. */
export function withoutFilters(state) {
  const { q, ns, via, seen, ext, cross } = DEFAULTS;
  return { ...state, q, ns, via, seen, ext, cross };
}

function readValue(initial, text) {
  if (typeof initial === "boolean") return text === "1";
  if (Array.isArray(initial)) return text ? text.split(",").map(decoded) : [];
  return text;
}

/** An address may be typed by hand: what cannot be decoded stands for itself. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function writeValue(value) {
  if (typeof value === "boolean") return value ? "1" : "";
  return Array.isArray(value) ? value.map(encodeURIComponent).join(",") : value;
}
