// Times as people say them. In: seconds since the epoch.

const UNITS = { m: 60, h: 3600, d: 86400, w: 604800 };

/** Read `30m`, `24h`, `7d` or `2w` as seconds; null when it is none. */
export function parseSpan(text) {
  const match = /^(\d+)([mhdw])$/.exec(text);
  return match ? Number(match[1]) * UNITS[match[2]] : null;
}

/** Say how long before `now` something was. */
export function ago(at, now) {
  if (at === null || at === undefined) return "–";
  const seconds = Math.max(0, now - at);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** Write a time in UTC to the second. */
export function exact(at) {
  return at === null || at === undefined ? "not known" : new Date(at * 1000).toISOString().replace(".000Z", "Z");
}
