// The page: reads its data, keeps what is shown in the address, and lets the views draw it.

import { h, replace } from "./dom.js";
import { Graph } from "./graph.js";
import { callsOf } from "./calls.js";
import { nodeKey, select } from "./selection.js";
import { formatState, parseState, withoutFilters } from "./state.js";
import { follow, readApi } from "./live.js";
import { servicesView } from "./services_view.js";
import { focusView } from "./focus_view.js";
import { mapView } from "./map_view.js";
import { matrixView } from "./matrix_view.js";
import { changesView } from "./changes_view.js";
import { callDrawer } from "./drawer.js";
import { filterBar, shownText } from "./filter_bar.js";
import { pageHeader } from "./header.js";
import { askToken, downloadDialog, helpDialog } from "./dialogs.js";
import { listenForKeys } from "./keyboard.js";

const REDRAW_MS = 100;

class Page {
  constructor(data) {
    this.data = data;
    this.graph = null;
    this.state = parseState(location.hash);
    this.snapshots = [];
    this.status = data.live ? "reading" : "file";
    this.waiting = 0;
  }

  start() {
    this.build();
    addEventListener("popstate", () => this.showAddress());
    if (this.data.live) this.connection = follow(this, this.takeToken());
    else {
      if (this.data.baseline) this.addSnapshot("baseline", new Graph(this.data.baseline));
      this.graph = new Graph(this.data.graph);
      this.coverageArrived(this.data.graph.coverage);
      this.graphIsHere();
    }
  }

  build() {
    this.header = pageHeader(this);
    this.filters = filterBar(this);
    this.drawer = callDrawer(this);
    this.help = helpDialog();
    this.downloads = downloadDialog(this);
    this.views = {
      services: servicesView(this),
      focus: focusView(this),
      map: mapView(this),
      matrix: matrixView(this),
      changes: changesView(this),
    };
    this.stage = h("main", { id: "stage", tabindex: "-1" });
    this.voice = h("div", { class: "toast", role: "status", "aria-live": "polite" });
    replace(
      document.getElementById("app"),
      h("a", { class: "skip", href: "#stage", onclick: (event) => this.skip(event) }, "Skip to the view"),
      this.header.element,
      this.filters.element,
      h("div", { class: "workspace" }, this.stage, this.drawer.element),
      this.voice,
      this.help,
      this.downloads,
    );
    this.header.draw();
    replace(this.stage, h("div", { class: "empty" }, h("h2", {}, "Reading the graph…")));
    listenForKeys(this);
  }

  graphIsHere() {
    if (this.snapshots.length === 0 || (this.data.live && !this.seenFirst)) {
      this.addSnapshot(this.data.live ? "when this page was opened" : "this file", this.graph);
      this.seenFirst = true;
    }
    this.draw();
  }

  addSnapshot(name, graph) {
    const calls = callsOf(graph);
    this.snapshots.push({ name, calls: () => calls });
  }

  /** What `follow` calls. */
  async graphArrived(payload) {
    if (this.data.baseline && this.snapshots.length === 0) {
      const response = await readApi("baseline", this.connection.token);
      this.addSnapshot("baseline", new Graph(await response.json()));
    }
    this.graph = new Graph(payload);
    this.graphIsHere();
  }

  change(change) {
    const fits = this.graph.apply(change);
    if (fits) this.drawSoon();
    return fits;
  }

  coverageArrived(coverage) {
    this.header.coverage.draw(coverage);
  }

  setStatus(status) {
    if (status === this.status) return;
    const wasLost = this.status === "lost";
    this.status = status;
    this.header.draw();
    if (status === "lost") this.say("The connection is lost. The page goes on trying.", "problem");
    if (status === "live" && wasLost) this.say("Connected again.");
  }

  takeToken() {
    const match = /^#token=(.+)$/.exec(location.hash);
    if (match) {
      this.keepToken(decodeURIComponent(match[1]));
      history.replaceState(null, "", "#");
    }
    return sessionStorage.getItem("token") ?? "";
  }

  keepToken(token) {
    sessionStorage.setItem("token", token);
    return token;
  }

  async needToken() {
    return this.keepToken(await askToken());
  }

  get now() {
    return this.data.live ? Math.floor(Date.now() / 1000) : this.graph.newest;
  }

  /** Change what is shown. With `replace`, without a step for the back button. */
  go(changes, { replace: inPlace = false } = {}) {
    this.state = { ...this.state, ...changes };
    history[inPlace ? "replaceState" : "pushState"](null, "", formatState(this.state));
    if (this.graph) this.draw();
  }

  showAddress() {
    this.state = parseState(location.hash);
    if (this.graph) this.draw();
  }

  addressOf(node) {
    return formatState({ ...this.state, view: "focus", s: node.key });
  }

  clearFilters() {
    this.go(withoutFilters(this.state));
    this.header.draw();
  }

  drawSoon() {
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = 0;
      this.draw();
    }, REDRAW_MS);
  }

  draw() {
    this.selectAgain();
    const view = this.views[this.state.view];
    if (this.stage.firstChild !== view.element) replace(this.stage, view.element);
    view.draw();
    this.header.draw();
    this.filters.draw();
    this.drawDrawer();
    document.title = `${this.focused()?.name ?? shownText(this)} – whocalls`;
  }

  /** Filter anew only what is not filtered alike already: another view of 50,000 calls need not wait for it. */
  selectAgain() {
    const { q, ns, via, seen, ext, infra, cross } = this.state;
    const minute = Math.floor(this.now / 60);
    const key = JSON.stringify([this.graph.version, minute, q, ns, via, seen, ext, infra, cross]);
    if (key === this.selectionKey && this.selectedGraph === this.graph) return;
    this.selection = select(this.graph, this.state, this.now);
    this.selectionKey = key;
    this.selectedGraph = this.graph;
  }

  drawDrawer() {
    const arrow = this.state.edge && this.graph.findArrow(this.state.edge);
    if (arrow) this.drawer.showArrow(arrow);
    else if (!this.listed) this.drawer.close();
  }

  focused() {
    return this.state.s ? this.selection.nodes.get(this.state.s) : undefined;
  }

  /** What a download holds: the selection, in Focus only the calls of the service. */
  shown() {
    const node = this.state.view === "focus" && this.focused();
    if (!node) return this.selection;
    const links = [...new Set([...node.callers, ...node.callees])];
    const nodes = new Map(links.flatMap((link) => [link.from, link.to]).map((each) => [each.key, each]));
    return { ...this.selection, links, nodes };
  }

  select(node) {
    if (node) this.go({ s: node.key }, { replace: true });
  }

  openService(node) {
    this.listed = false;
    this.go({ view: "focus", s: node.key, edge: "" });
    this.views.focus.focus();
  }

  openEnd(end) {
    this.listed = false;
    const outside = end.kind === "External" && this.state.ext === "group";
    const service = outside && this.graph.services.find((each) => each.external && each.name === end.name);
    const key = service
      ? nodeKey(end.cluster, "", "Domain", service.domain)
      : nodeKey(end.cluster, end.namespace, end.kind, end.name);
    this.go({ view: "focus", s: key, edge: "" });
  }

  openLink(link) {
    if (link.arrows.length === 1) this.openArrow(link.arrows[0]);
    else this.openLinks([link]);
  }

  openLinks(links) {
    if (links.length === 1 && links[0].arrows.length === 1) return this.openArrow(links[0].arrows[0]);
    this.listed = true;
    this.go({ edge: "" });
    this.drawer.showList(links);
  }

  openArrow(arrow) {
    this.listed = false;
    this.go({ edge: this.graph.edgeId(arrow) });
  }

  closeDrawer() {
    this.listed = false;
    if (this.state.edge) this.go({ edge: "" });
    this.drawer.close();
    this.views[this.state.view].focus();
  }

  async readEvidence(arrow) {
    if (arrow.evidence || !this.data.live) return arrow.evidence ?? {};
    const response = await readApi(`edges/${this.graph.edgeId(arrow)}`, this.connection.token);
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  }

  say(text, kind = "") {
    clearTimeout(this.saying);
    replace(this.voice, h("p", { class: kind }, text));
    this.saying = setTimeout(() => replace(this.voice), 6000);
  }

  skip(event) {
    event.preventDefault();
    this.views[this.state.view].focus();
  }
}

new Page(JSON.parse(document.getElementById("data").textContent)).start();
