// A table of any length of which only the rows in sight exist. Rows have one height, so that scrolling is arithmetic.

import { h, replace } from "./dom.js";

const ROW_HEIGHT = 38;
const MARGIN_ROWS = 12;

/** Columns are `{ id, title, cell(row), order(row), numeric }`; `on` has open(row), sort(id). */
export class VirtualTable {
  constructor(columns, on, label) {
    this.columns = columns;
    this.on = on;
    this.rows = [];
    this.selected = 0;
    this.body = h("div", { class: "table-body", role: "rowgroup" });
    this.head = h("div", { class: "table-head", role: "rowgroup" });
    this.scroller = h(
      "div",
      {
        class: "table",
        role: "table",
        "aria-label": label,
        tabindex: "0",
        "data-scroll": "table",
        "data-key": "table",
      },
      this.head,
      this.body,
    );
    this.scroller.addEventListener("scroll", () => this.drawRows());
    this.scroller.addEventListener("keydown", (event) => this.takeKey(event));
    new ResizeObserver(() => this.drawRows(true)).observe(this.scroller);
  }

  /** Show other rows, in the order that `sort` ("id" or "-id") names. */
  show(rows, sort) {
    const descending = sort.startsWith("-");
    const column = this.columns.find((each) => each.id === sort.replace("-", "")) ?? this.columns[0];
    const way = descending ? -1 : 1;
    this.rows = rows
      .map((row) => [column.order(row), row])
      .sort(([a], [b]) => way * (a < b ? -1 : a > b ? 1 : 0))
      .map(([, row]) => row);
    this.selected = Math.min(this.selected, Math.max(0, this.rows.length - 1));
    this.drawHead(column.id, descending);
    this.scroller.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.body.style.height = `${this.rows.length * ROW_HEIGHT}px`;
    this.drawRows(true);
  }

  drawHead(sorted, descending) {
    const cells = this.columns.map((column) => {
      const isSorted = column.id === sorted;
      const next = isSorted && !descending ? `-${column.id}` : column.id;
      return h(
        "div",
        {
          role: "columnheader",
          class: column.numeric ? "cell numeric" : "cell",
          "aria-sort": isSorted ? (descending ? "descending" : "ascending") : "none",
        },
        h(
          "button",
          { type: "button", "data-key": `sort ${column.id}`, onclick: () => this.on.sort(next) },
          column.title,
          h("span", { class: "sort", "aria-hidden": "true" }, isSorted ? (descending ? " ↓" : " ↑") : ""),
        ),
      );
    });
    replace(this.head, h("div", { role: "row", class: "table-row", "aria-rowindex": "1" }, cells));
  }

  drawRows(force = false) {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_HEIGHT) - MARGIN_ROWS);
    const last = Math.min(
      this.rows.length,
      first + Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 2 * MARGIN_ROWS,
    );
    if (!force && this.drawn && this.drawn[0] === first && this.drawn[1] === last) return;
    this.drawn = [first, last];
    const rows = [];
    for (let index = first; index < last; index += 1) rows.push(this.row(index));
    replace(this.body, rows);
  }

  row(index) {
    const row = this.rows[index];
    const cells = this.columns.map((column) =>
      h("div", { role: "cell", class: column.numeric ? "cell numeric" : "cell" }, column.cell(row)),
    );
    const line = h(
      "div",
      {
        role: "row",
        class: index === this.selected ? "table-row selected" : "table-row",
        "aria-rowindex": String(index + 2),
        onclick: () => {
          this.selected = index;
          this.on.open(row);
        },
      },
      cells,
    );
    line.style.top = `${index * ROW_HEIGHT}px`;
    return line;
  }

  takeKey(event) {
    if (event.target !== this.scroller) return;
    const page = Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && this.rows[this.selected]) this.on.open(this.rows[this.selected]);
    else if (event.key in steps) this.select(this.selected + steps[event.key]);
    else return;
    event.preventDefault();
  }

  select(index) {
    this.selected = Math.max(0, Math.min(this.rows.length - 1, index));
    const top = this.selected * ROW_HEIGHT;
    const room = this.scroller.clientHeight - 2 * ROW_HEIGHT;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
    this.drawRows(true);
    this.on.select?.(this.rows[this.selected]);
  }
}
