// Where everything on the map stands, in pixels. The server gave columns and rows (sink_exporter/page_layout.py); here
// they become places, for any set of opened namespaces. Equal input, equal places; opening one moves others aside
// without changing their order. No DOM here.

export const MOST_BOXES = 300;
export const MOST_LINES = 1500;
const OPEN_AT_MOST = 60; // with more services, namespaces begin closed
const ITEM_HEIGHT = 32;
const LETTER = 7.6;
const GAP = { group: [88, 44], item: [58, 20] };
const PADDING = { top: 44, side: 20, bottom: 20 };

/** Return `{ groups, boxes, lines, size, dropped }` for what is selected, with these groups open. */
export function layOut(selection, opened, asked) {
  const groups = collectGroups(selection);
  const startOpen = selection.nodes.size <= OPEN_AT_MOST;
  const kept = keepWithinBudget(groups, (group) =>
    asked.has(group.key) ? asked.get(group.key) : startOpen || opened.has(group.key),
  );
  kept.forEach((group) => (group.isOpen ? placeWithin(group) : closeGroup(group)));
  placeGroups(kept);
  const boxes = kept.flatMap((group) => (group.isOpen ? group.items : [group]));
  const { lines, dropped } = joinLines(selection.links, kept);
  return {
    groups: kept,
    boxes,
    lines,
    size: sizeOf(kept),
    dropped: { groups: groups.length - kept.length, lines: dropped },
  };
}

/** Return the path of a line from one box to another: out on the right, in on the left, around where it goes back. */
export function linePath(from, to) {
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
  const [x2, y2] = [to.x, to.y + to.height / 2];
  if (x2 > x1) {
    const bend = Math.max(28, (x2 - x1) / 2);
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 2} ${y2}`;
  }
  if (Math.abs(from.x - to.x) < 4 || (to.x < from.x + from.width && from.x < to.x + to.width)) {
    const far = Math.max(x1, to.x + to.width) + 34;
    return `M${x1} ${y1}C${far} ${y1} ${far} ${y2} ${to.x + to.width + 2} ${y2}`;
  }
  const bend = Math.max(28, (from.x - to.x - to.width) / 2);
  return `M${from.x} ${y1}C${from.x - bend} ${y1} ${to.x + to.width + bend} ${y2} ${to.x + to.width + 2} ${y2}`;
}

function collectGroups(selection) {
  const groups = new Map();
  for (const node of selection.nodes.values()) {
    let group = groups.get(node.group);
    if (!group) {
      const { column, row, cluster, namespace } = selection.groups[node.group];
      const key = `${cluster}/${namespace}`;
      group = {
        key,
        column,
        row,
        name: namespace || "outside",
        external: node.external,
        group: node.group,
        nodes: [],
        calls: 0,
      };
      groups.set(node.group, group);
    }
    group.nodes.push(node);
    group.calls += node.callers.length + node.callees.length;
  }
  return [...groups.values()];
}

/** The busiest groups first; a group is opened only while all boxes stay within the limit. */
function keepWithinBudget(groups, wantsOpen) {
  const kept = [...groups].sort((a, b) => b.calls - a.calls || (a.key < b.key ? -1 : 1)).slice(0, MOST_BOXES);
  let left = MOST_BOXES - kept.length;
  for (const group of kept) {
    group.isOpen = wantsOpen(group) && group.nodes.length - 1 <= left;
    if (group.isOpen) left -= group.nodes.length - 1;
  }
  return kept;
}

function placeWithin(group) {
  group.items = group.nodes.map((node) => ({
    key: node.key,
    node,
    group,
    column: node.column,
    row: node.row,
    name: node.name,
    width: widthOf(node.name, 110, 230),
    height: ITEM_HEIGHT,
  }));
  const inner = stack(group.items, GAP.item, ITEM_HEIGHT);
  group.width = Math.max(inner.width + 2 * PADDING.side, widthOf(group.name, 140, 420) + 70);
  group.height = inner.height + PADDING.top + PADDING.bottom;
}

function closeGroup(group) {
  group.items = [];
  group.width = widthOf(group.name, 150, 260) + 12;
  group.height = 54;
}

function placeGroups(groups) {
  stack(groups, GAP.group, 54);
  for (const group of groups) {
    for (const item of group.items) {
      item.x += group.x + PADDING.side;
      item.y += group.y + PADDING.top;
    }
  }
}

/** Put boxes into columns side by side, each column centred; empty columns take no room. */
function stack(boxes, [gapX, gapY]) {
  const columns = new Map();
  for (const box of boxes) {
    if (!columns.has(box.column)) columns.set(box.column, []);
    columns.get(box.column).push(box);
  }
  const heights = new Map();
  for (const [number, members] of columns) {
    members.sort((a, b) => a.row - b.row || (a.key < b.key ? -1 : 1));
    heights.set(
      number,
      members.reduce((sum, box) => sum + box.height + gapY, -gapY),
    );
  }
  const height = Math.max(...heights.values());
  let x = 0;
  for (const number of [...columns.keys()].sort((a, b) => a - b)) {
    let y = (height - heights.get(number)) / 2;
    for (const box of columns.get(number)) {
      Object.assign(box, { x, y });
      y += box.height + gapY;
    }
    x += Math.max(...columns.get(number).map((box) => box.width)) + gapX;
  }
  return { width: x - gapX, height };
}

function joinLines(links, groups) {
  const byGroup = new Map(groups.map((group) => [group.group, group]));
  const boxOf = new Map(groups.flatMap((group) => group.items.map((item) => [item.key, item])));
  const lines = new Map();
  for (const link of links) {
    const from = boxOf.get(link.from.key) ?? byGroup.get(link.from.group);
    const to = boxOf.get(link.to.key) ?? byGroup.get(link.to.group);
    if (!from || !to || from === to) continue;
    const key = `${from.key} ${to.key}`;
    const line = lines.get(key);
    if (line) line.links.push(link);
    else lines.set(key, { key, from, to, links: [link] });
  }
  const all = [...lines.values()].sort((a, b) => b.links.length - a.links.length);
  return { lines: all.slice(0, MOST_LINES), dropped: Math.max(0, all.length - MOST_LINES) };
}

function sizeOf(groups) {
  return {
    width: Math.max(1, ...groups.map((group) => group.x + group.width)),
    height: Math.max(1, ...groups.map((group) => group.y + group.height)),
  };
}

function widthOf(name, least, most) {
  return Math.round(Math.min(most, Math.max(least, name.length * LETTER + 34)));
}

/** Cut a name to what fits into a box of this width. */
export function fitText(name, width) {
  const letters = Math.floor((width - 30) / LETTER);
  return name.length <= letters ? name : `${name.slice(0, Math.max(1, letters - 1))}…`;
}
