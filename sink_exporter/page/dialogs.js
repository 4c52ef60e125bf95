// The windows above the page: help, downloads, the question for a token. Native dialogs keep the focus inside.

import { h } from "./dom.js";
import { callOf } from "./calls.js";
import { FORMATS } from "./writing.js";
import { drawPicture, paintPicture } from "./picture.js";
import { saveFile } from "./dom.js";

const KEYS = [
  ["/", "search"],
  ["t", "services (table)"],
  ["f", "focus on the selected service"],
  ["m", "map"],
  ["x", "matrix"],
  ["c", "changes"],
  ["d", "downloads"],
  ["esc", "close, clear, go back up"],
  ["arrows", "move along rows, calls and boxes"],
  ["enter", "open what is selected"],
  ["+ − 0", "map: closer, farther, fit"],
  ["?", "this help"],
];
const TERMS = [
  ["cart", "part of a name"],
  ["ns:pay*", "namespace"],
  ["from:a to:b", "ends of the call"],
  ["kind:DaemonSet", "kind of the workload"],
  ["via:dns port:443", "evidence, port"],
  ["new:7d seen:1h", "first, last seen within"],
  ["-ns:test", "a minus turns any of them around"],
];

/** Make the help. */
export function helpDialog() {
  const rows = (pairs) => pairs.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)]);
  return dialog(
    "Keys and search",
    h(
      "div",
      { class: "help" },
      h("div", {}, h("h3", {}, "Keys"), h("dl", {}, rows(KEYS))),
      h("div", {}, h("h3", {}, "Search"), h("dl", {}, rows(TERMS))),
    ),
  );
}

/** Make the downloads: what is shown, after the filters. */
export function downloadDialog(page) {
  const save = {
    SVG: () => saveFile("callgraph.svg", picture().text, "image/svg+xml"),
    PNG: async () => saveFile("callgraph.png", await paintPicture(picture()), "image/png"),
  };
  const picture = () => drawPicture(page.shown(), page.state.open);
  for (const [name, format] of Object.entries(FORMATS)) {
    save[name] = () =>
      saveFile(
        format.file,
        format.write(
          page
            .shown()
            .links.flatMap((link) => link.arrows)
            .map(callOf),
        ),
        format.kind,
      );
  }
  const buttons = Object.keys(save).map((name) => h("button", { type: "button", onclick: () => save[name]() }, name));
  return dialog(
    "Download what is shown",
    h(
      "p",
      {},
      "The calls that pass the filters; in Focus, those of the service. JSON and YAML can be read back by every whocalls command with --input.",
    ),
    h("div", { class: "download-buttons" }, buttons),
  );
}

/** Ask for the token of the server; resolves with it. */
export function askToken() {
  return new Promise((resolve) => {
    const field = h("input", {
      type: "password",
      name: "token",
      required: true,
      autocomplete: "off",
      "aria-label": "Token",
    });
    const form = h(
      "form",
      { method: "dialog", class: "token" },
      h("p", {}, "This server wants a token (page.token_file)."),
      field,
      h("button", { class: "primary" }, "Go on"),
    );
    const window = dialog("Token", form);
    window.addEventListener("close", () => {
      window.remove();
      resolve(field.value);
    });
    document.body.append(window);
    window.showModal();
  });
}

function dialog(title, ...content) {
  const id = `dialog-${title.toLowerCase().replace(/\W+/g, "-")}`;
  const close = h(
    "button",
    { type: "button", class: "icon", "aria-label": "Close", onclick: () => window.close() },
    "×",
  );
  const window = h("dialog", { "aria-labelledby": id }, h("header", {}, h("h2", { id }, title), close), content);
  window.addEventListener("click", (event) => event.target === window && window.close());
  return window;
}
