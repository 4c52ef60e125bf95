// Parses every diagram of a JSON array on stdin with the real mermaid; prints an array of what is wrong with each, null
// for nothing. Mermaid cleans labels with DOMPurify, which wants a DOM: jsdom's.
import {JSDOM} from "jsdom";

const {window} = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const {default: mermaid} = await import("mermaid");

let text = "";
for await (const piece of process.stdin) text += piece;
const found = [];
for (const diagram of JSON.parse(text)) {
  try {
    const {diagramType} = await mermaid.parse(diagram);
    found.push(diagramType === "flowchart-v2" ? null : `it was read as ${diagramType}`);
  } catch (error) {
    found.push(String(error.message ?? error));
  }
}
console.log(JSON.stringify(found));
