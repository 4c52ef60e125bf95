// What the graph rests on: a quiet word in the header, and the whole behind it.

import { h, replace, count } from "./dom.js";

/** Make the note; it is not there while nothing is known. */
export function coverageNote() {
  const summary = h("summary", { title: "What the graph rests on" });
  const body = h("div", { class: "menu-body" });
  const element = h("details", { class: "coverage", hidden: true }, summary, body);
  document.addEventListener("pointerdown", (event) => {
    if (!element.contains(event.target)) element.open = false;
  });
  return {
    element,
    draw(coverage) {
      element.hidden = !coverage;
      if (!coverage) return;
      element.classList.toggle("warn", coverage.nodes_silent + losses(coverage) > 0);
      replace(summary, summaryText(coverage));
      replace(body, h("h2", {}, "What the graph rests on"), h("dl", {}, rows(coverage).map(row)));
    },
    close() {
      const wasOpen = element.open;
      element.open = false;
      return wasOpen;
    },
  };
}

function losses(coverage) {
  return coverage.kernel_dropped + coverage.dropped + coverage.lost_batches;
}

function nodesText({ nodes_reporting: reporting, nodes_silent: silent }) {
  return silent ? `${reporting} of ${count(reporting + silent, "node")}` : count(reporting, "node");
}

function summaryText(coverage) {
  return losses(coverage)
    ? `${nodesText(coverage)} · ${losses(coverage).toLocaleString("en")} lost`
    : nodesText(coverage);
}

function rows(coverage) {
  const { silent, nodes_silent: silentCount, observations } = coverage;
  const more = silentCount > silent.length ? ` and ${silentCount - silent.length} more` : "";
  const reasons = Object.entries(coverage.unresolved).map(
    ([reason, number]) => `${reason} ${number.toLocaleString("en")}`,
  );
  return [
    ["Reporting", nodesText(coverage)],
    ["Silent", silentCount ? silent.join(", ") + more : ""],
    ["From", coverage.since],
    ["To", coverage.until],
    ["Lost", lossText(coverage)],
    ["Observations", observations.toLocaleString("en")],
    ["Unresolved", `${(100 * coverage.unresolved_share).toFixed(1)} %`],
    ["Reasons", reasons.join(", ")],
  ].filter(([, text]) => text);
}

function lossText({ kernel_dropped: packets, dropped, lost_batches: batches }) {
  const parts = [
    packets && `${count(packets, "packet")} in the kernel`,
    dropped && `${dropped.toLocaleString("en")} that agents could not use`,
    batches && count(batches, "batch", "batches"),
  ].filter(Boolean);
  return parts.join(", ") || "nothing";
}

function row([name, text]) {
  return [h("dt", {}, name), h("dd", {}, text)];
}
