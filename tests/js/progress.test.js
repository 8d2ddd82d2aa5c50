import assert from "node:assert/strict";
import { test } from "node:test";
import { merged } from "../../pages/ui/components/controls/progress.js";

const one = { era: 5, marks: { b: "2026-01-02" }, note: "old", noted: 1, guesses: { x: { value: 2 } } };
const other = { era: 5, marks: { a: "2026-01-01" }, note: "new", noted: 2, guesses: {} };

test("two places of one era know together what either knew, whichever is asked first", () => {
  const both = { era: 5, marks: { a: "2026-01-01", b: "2026-01-02" }, note: "new", noted: 2, guesses: one.guesses };
  assert.equal(JSON.stringify(merged(one, other)), JSON.stringify(both));
  assert.equal(JSON.stringify(merged(other, one)), JSON.stringify(both));
});

test("what was kept before it was forgotten is dropped", () => {
  const forgotten = { era: 6, marks: {}, note: "", noted: 0, guesses: {} };
  assert.deepEqual(merged(one, forgotten), forgotten);
  assert.deepEqual(merged(forgotten, one), forgotten);
});

test("what is no progress counts for nothing", () => {
  for (const kept of [null, 3, "x", [], { marks: [1], era: "5", note: 7, noted: {}, guesses: [2] }])
    assert.deepEqual(merged(kept, kept), { era: 0, marks: {}, note: "", noted: 0, guesses: {} });
});
