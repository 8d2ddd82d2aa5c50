import assert from "node:assert/strict";
import { test } from "node:test";
import { reached } from "../../pages/ui/components/texts/writing_keys.js";

// Letters of 10 x 20 pixels in rows, as a browser lays them out; a row that runs leftwards begins at its right end.
function laidOut(...rows) {
  return rows.flatMap(({ count, leftwards = false }, row) =>
    Array.from({ length: count }, (_, i) => ({
      getBoundingClientRect: () => ({ left: 10 * (leftwards ? 20 - i : i), top: 20 * row, height: 20 }),
    })),
  );
}

test("arrows go where they point, whichever way the text runs", () => {
  const letters = laidOut({ count: 5 }, { count: 6, leftwards: true });

  assert.equal(reached(letters, 2, "ArrowRight"), 3);
  assert.equal(reached(letters, 2, "ArrowLeft"), 1);
  assert.equal(reached(letters, 7, "ArrowRight"), 6);
  assert.equal(reached(letters, 7, "ArrowLeft"), 8);
  assert.equal(reached(letters, 5, "ArrowLeft"), 6);
  assert.equal(reached(letters, 5, "ArrowRight"), 4);
  assert.equal(reached(letters, 10, "ArrowLeft"), 10);
});

test("a row in two directions is walked as it is seen, from end to end", () => {
  // "ab אבג c": the middle runs leftwards; below it a row of one, then one that begins on the right.
  const lefts = [0, 10, 40, 30, 20, 50];
  const box = (left, top) => ({ getBoundingClientRect: () => ({ left, top, height: 20 }) });
  const letters = [...lefts.map((left) => box(left, 0)), ...[20, 10, 15].map((left) => box(left, 20)), box(0, 40)];
  const walked = (from, key, steps) => {
    const seen = [from];
    for (let i = 0; i < steps; i++) seen.push(reached(letters, seen.at(-1), key));
    return seen;
  };

  assert.deepEqual(walked(0, "ArrowRight", 6), [0, 1, 4, 3, 2, 5, 6]);
  assert.deepEqual(walked(5, "ArrowLeft", 6), [5, 2, 3, 4, 1, 0, 0]);
  assert.deepEqual(walked(6, "ArrowLeft", 4), [6, 8, 7, 9, 9]);
  assert.deepEqual(walked(9, "ArrowRight", 4), [9, 7, 8, 6, 5]);
});

test("up and down keep to the column, as far as there is one", () => {
  const letters = laidOut({ count: 9 }, { count: 1 }, { count: 3 });

  assert.equal(reached(letters, 7, "ArrowDown"), 9);
  assert.equal(reached(letters, 11, "ArrowUp"), 9);
  assert.equal(reached(letters, 9, "ArrowUp"), 0);
  assert.equal(reached(letters, 12, "ArrowDown"), 12);
});

test("the ends, letting go, and keys that are none of ours", () => {
  const letters = laidOut({ count: 4 });

  assert.deepEqual(
    ["Home", "End", "Escape", "x"].map((key) => reached(letters, 1, key)),
    [0, 3, null, undefined],
  );
  assert.equal(reached(letters, null, "ArrowLeft"), 3);
});
