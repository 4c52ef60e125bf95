// The calls that are shown, as a picture: the map's drawing with its colours written out, so that it stands alone.

import { svg } from "./dom.js";
import { arrowHead, drawMap } from "./map_drawing.js";
import { layOut } from "./map_layout.js";

const MARGIN = 32;
const SCALE = 2;
const MOST_PIXELS = 16_000_000;
const STYLES = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
];

/** Return an SVG document as text; `open` are the namespaces to draw open. */
export function drawPicture(selection, open) {
  const asked = new Map(open.map((name) => [name.replace(/^-/, ""), !name.startsWith("-")]));
  const layout = layOut(selection, new Set(), asked);
  const width = Math.ceil(layout.size.width + 2 * MARGIN);
  const height = Math.ceil(layout.size.height + 2 * MARGIN);
  const content = drawMap(layout);
  content.setAttribute("transform", `translate(${MARGIN} ${MARGIN})`);
  const picture = svg(
    "svg",
    { class: "map-sheet picture", width, height, viewBox: `0 0 ${width} ${height}` },
    arrowHead(),
    svg("rect", { width, height, class: "map-ground" }),
    content,
  );
  document.body.append(picture);
  writeOutStyles(picture);
  picture.remove();
  for (const grip of picture.querySelectorAll(".grip")) grip.remove();
  for (const element of picture.querySelectorAll("[class]")) element.removeAttribute("class");
  picture.removeAttribute("class");
  return { text: new XMLSerializer().serializeToString(picture), width, height };
}

/** Return the picture as a PNG, at twice its size where that is not too large. */
export async function paintPicture({ text, width, height }) {
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const scale = Math.min(SCALE, Math.sqrt(MOST_PIXELS / (width * height)));
    const canvas = document.createElement("canvas");
    canvas.width = Math.floor(width * scale);
    canvas.height = Math.floor(height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}

function writeOutStyles(picture) {
  for (const element of picture.querySelectorAll("rect, path, text, circle")) {
    const computed = getComputedStyle(element);
    for (const name of STYLES) element.setAttribute(name, computed.getPropertyValue(name));
  }
}
