// From character to character with the keys, as they are seen: a key leads to the one that stands beside, whatever runs
// leftwards in the row; at its end, which in a row that begins on the right is on the left, on into the next.
import { arrow } from "../shared/dom.js";

const box = (letter) => letter.getBoundingClientRect();
const level = (a, b) => Math.abs(a.top - b.top) < b.height / 2;

// Which character a key leads to from number `from`; null lets go, undefined is any other key.
export function reached(letters, from, key) {
  if (key === "Escape") return null;
  if (key === "Home") return 0;
  if (key === "End") return letters.length - 1;
  const way = arrow({ key });
  if (!way) return undefined;
  if (from === null) return letters.length - 1;
  return way[0] ? sideways(letters, from, way[0]) : above(letters, from, way[1]);
}

function sideways(letters, from, way) {
  const row = rowAround(letters, from);
  const { left } = box(letters[from]);
  const there = row.filter((i) => (box(letters[i]).left - left) * way > 0);
  if (there.length) return outermost(letters, there, -way);
  const on = runsLeftwards(letters, row) ? -way : way; // 1 into the next row, -1 back into the one before
  const next = on > 0 ? row.at(-1) + 1 : row[0] - 1;
  if (!letters[next]) return from;
  const other = rowAround(letters, next);
  return outermost(letters, other, runsLeftwards(letters, other) ? on : -on);
}

// The numbers of the characters that are seen in one row with number `i`.
function rowAround(letters, i) {
  const here = box(letters[i]);
  const [row, within] = [[i], (k) => letters[k] && level(box(letters[k]), here)];
  while (within(row[0] - 1)) row.unshift(row[0] - 1);
  while (within(row.at(-1) + 1)) row.push(row.at(-1) + 1);
  return row;
}

// Of some characters the one farthest to the right, or for -1 to the left.
function outermost(letters, numbers, way) {
  const lefts = numbers.map((i) => box(letters[i]).left * way);
  return numbers[lefts.indexOf(Math.max(...lefts))];
}

// Whether a row begins on the right; one character alone does so if the row above it does.
function runsLeftwards(letters, row) {
  let above = row;
  while (above.length === 1 && above[0] > 0) above = rowAround(letters, above[0] - 1);
  return box(letters[above[0]]).left > box(letters[above.at(-1)]).left;
}

// The nearest character of the next row in a direction: -1 upwards, 1 downwards.
function above(letters, from, way) {
  const here = box(letters[from]);
  let [row, nearest, apart] = [null, from, Number.POSITIVE_INFINITY];
  for (let i = from + way; i >= 0 && i < letters.length; i += way) {
    const there = box(letters[i]);
    if (level(there, here)) continue;
    row ??= there;
    if (!level(there, row)) break;
    const distance = Math.abs(there.left - here.left);
    if (distance < apart) [nearest, apart] = [i, distance];
  }
  return nearest;
}
