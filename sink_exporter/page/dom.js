// Building elements. Text only ever becomes a text node: names come from a cluster and may be anything.

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element. `on…` properties are listeners, the others attributes; null and false leave them out. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an SVG element. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Replace what an element holds. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Redraw a part of the page, and leave the keyboard's focus and the scroll positions where they were. */
export function redraw(container, draw) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = [...container.querySelectorAll("[data-scroll]")].map((part) => [
    part.dataset.scroll,
    part.scrollTop,
    part.scrollLeft,
  ]);
  draw();
  for (const [name, top, left] of scrolled) {
    const part = container.querySelector(`[data-scroll="${name}"]`);
    if (part) part.scrollTo(left, top);
  }
  if (focused !== undefined) focusKey(container, focused);
}

/** Give the keyboard's focus to the element of this key; tells whether there is one. */
export function focusKey(container, key) {
  const found = [...container.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  if (found) found.focus({ preventScroll: true });
  return Boolean(found);
}

/** Hand a file to the user. */
export function saveFile(name, content, kind) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type: kind }));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Count with the right form of the noun. */
export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}
