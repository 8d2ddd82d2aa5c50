// From character to character with the keys, as they are seen: in text that runs leftwards the left arrow goes on.
import { arrow, clamp } from "../shared/dom.js";

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
  if (way[0]) return clamp(from + (leftwards(letters, from) ? -way[0] : way[0]), 0, letters.length - 1);
  return above(letters, from, way[1]);
}

function leftwards(letters, i) {
  const here = box(letters[i]);
  const [before, after] = [letters[i - 1], letters[i + 1]].map((letter) => letter && box(letter));
  if (after && level(after, here)) return after.left < here.left;
  return Boolean(before && level(before, here) && before.left > here.left);
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
