// Keys that work everywhere but in a text field. None needs a modifier, so the browser's own stay what they are.

const VIEWS = { t: "services", m: "map", x: "matrix", c: "changes", f: "focus" };

/** Listen for keys on the whole page. */
export function listenForKeys(page) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !page.graph) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return goUp(page, event);
    if (event.target.closest("input, select, textarea")) return takeSearchKey(page, event);
    if (takeKey(page, event.key)) event.preventDefault();
  });
}

function takeKey(page, key) {
  if (key === "/") page.header.search.select();
  else if (key === "?") page.help.showModal();
  else if (key === "d") page.downloads.showModal();
  else if (key in VIEWS) openView(page, VIEWS[key]);
  else return false;
  if (key === "/") page.header.search.focus();
  return true;
}

function openView(page, view) {
  page.go({ view });
  page.views[view].focus();
}

/** From the search field into what it found. */
function takeSearchKey(page, event) {
  if (event.target !== page.header.search) return;
  if (event.key === "Enter" && page.selection.found.length === 1) page.openService(page.selection.found[0]);
  else if (event.key === "Enter" || event.key === "ArrowDown") page.views[page.state.view].focus();
  else return;
  event.preventDefault();
}

/** Close what is on top; then empty the search; then leave Focus. */
function goUp(page, event) {
  if (page.filters.close() || page.header.coverage.close()) return;
  if (page.drawer.isOpen()) page.closeDrawer();
  else if (event.target === page.header.search && !page.state.q) page.views[page.state.view].focus();
  else if (page.state.q) {
    page.header.search.value = "";
    page.go({ q: "" }, { replace: true });
  } else if (page.state.view === "focus") openView(page, "services");
  else return;
  event.preventDefault();
}
