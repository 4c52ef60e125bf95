// Two snapshots side by side: what was added, removed, changed. A sign and a line style, never colour alone.

import { h, replace, redraw, count } from "./dom.js";
import { callsOf, compareCalls } from "./calls.js";
import { readCalls } from "./reading.js";

const MOST = 500;

/** Make the view; `page.snapshots` is a list of `{ name, calls() }`, the first one to begin with. */
export function changesView(page) {
  const chosen = { before: 0, after: -1 }; // -1: the graph as it is now
  const element = h("section", { class: "view changes", "aria-label": "Changes" });
  const view = { element, draw, focus: () => element.querySelector("select")?.focus() };

  function draw() {
    const before = page.snapshots[chosen.before];
    const after = chosen.after < 0 ? { name: "now", calls: () => callsOf(page.graph) } : page.snapshots[chosen.after];
    const difference = compareCalls(before.calls(), after.calls());
    redraw(element, () =>
      replace(
        element,
        h(
          "div",
          { class: "changes-head" },
          pick("before", "Before"),
          h("span", { class: "muted", "aria-hidden": "true" }, "→"),
          pick("after", "After"),
          tools(),
        ),
        summary(difference),
        list(page, difference),
      ),
    );
  }

  function pick(side, label) {
    const names = page.snapshots.map((snapshot, index) => [index, snapshot.name]);
    if (side === "after") names.unshift([-1, "now"]);
    const select = h("select", {
      "data-key": side,
      onchange: (event) => {
        chosen[side] = Number(event.target.value);
        draw();
      },
    });
    for (const [value, name] of names) select.append(h("option", { value, selected: value === chosen[side] }, name));
    return h("label", { class: "pick" }, h("span", {}, label), select);
  }

  function tools() {
    const file = h("input", {
      type: "file",
      id: "compare-file",
      class: "sr-only",
      accept: ".json,.jsonl,.yaml,.yml,.html",
      onchange: (event) => load(event.target.files),
    });
    const open = h("label", { class: "button", for: "compare-file" }, "Load a file…");
    const mark = h("button", { type: "button", "data-key": "mark", onclick: markNow }, "Mark this moment");
    return h("div", { class: "changes-tools" }, file, open, mark);
  }

  function markNow() {
    const calls = callsOf(page.graph);
    page.snapshots.push({ name: `marked at ${new Date().toLocaleTimeString("en-GB")}`, calls: () => calls });
    chosen.before = page.snapshots.length - 1;
    draw();
  }

  async function load(files) {
    for (const file of files) {
      try {
        const calls = readCalls(await file.text());
        page.snapshots.push({ name: file.name, calls: () => calls });
        chosen.before = page.snapshots.length - 1;
        page.say(`Loaded ${file.name}: ${count(calls.size, "call")}`);
      } catch (error) {
        page.say(`Cannot read ${file.name}: ${error.message}`, "problem");
      }
    }
    draw();
  }

  return view;
}

function summary({ added, removed, changed }) {
  const parts = [
    h("span", { class: "sum added" }, `+${added.length} added`),
    h("span", { class: "sum removed" }, `−${removed.length} removed`),
    h("span", { class: "sum changed" }, `~${changed.length} changed`),
  ];
  return h("p", { class: "changes-sum", role: "status" }, parts);
}

function list(page, { added, removed, changed }) {
  const rows = [
    ...added.map((call) => ({ sign: "+", kind: "added", call, detail: detailOf(call) })),
    ...removed.map((call) => ({ sign: "−", kind: "removed", call, detail: detailOf(call) })),
    ...changed.map((one) => ({ sign: "~", kind: "changed", call: one.after, detail: whatChanged(one) })),
  ];
  if (rows.length === 0) {
    return h(
      "div",
      { class: "empty" },
      h("h2", {}, "No difference"),
      h("p", {}, "Both snapshots hold the same calls, with the same ports and evidence."),
    );
  }
  const items = rows.slice(0, MOST).map((row) => changeRow(page, row));
  if (rows.length > MOST) items.push(h("li", { class: "note" }, `${rows.length - MOST} more are not listed.`));
  return h(
    "ul",
    { class: "change-list", "data-scroll": "changes", tabindex: "0", "aria-label": "Changes", "data-key": "list" },
    items,
  );
}

function changeRow(page, { sign, kind, call, detail }) {
  return h(
    "li",
    { class: `change ${kind}` },
    h("span", { class: "sign", "aria-label": kind }, sign),
    endLink(page, call.client),
    h("span", { class: `stroke ${kind}`, "aria-label": "calls" }),
    endLink(page, call.server),
    h("span", { class: "muted detail" }, detail),
  );
}

function endLink(page, end) {
  const place = end.kind === "External" ? "outside" : end.namespace;
  return h(
    "button",
    { type: "button", class: "service", onclick: () => page.openEnd(end) },
    h("span", { class: "muted" }, `${place}/`),
    end.name,
  );
}

function detailOf(call) {
  return [call.manual ? "added by hand" : call.via.join(", "), call.ports.join(", ")].filter(Boolean).join(" · ");
}

function whatChanged({ before, after }) {
  const gained = (name) => after[name].filter((each) => !before[name].includes(each)).map((each) => `+${each}`);
  const lost = (name) => before[name].filter((each) => !after[name].includes(each)).map((each) => `−${each}`);
  return ["via", "ports"].flatMap((name) => [...gained(name), ...lost(name)]).join(" ");
}
