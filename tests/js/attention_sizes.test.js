import assert from "node:assert/strict";
import { test } from "node:test";
import { boardGeometry, mapGeometry } from "../../pages/ui/components/grids/attention_draw.js";

const viewOf = (L, H, room) => ({
  board: { L, H, T: 62 },
  ui: { sort: "layer", only: "all" },
  header: { about: {} },
  order: Array.from({ length: L * H }, (_, head) => head),
  room,
});

test("a board keeps to the height there is, as long as its heads can be seen", () => {
  const shipped = boardGeometry(viewOf(6, 6, 488), 400);
  assert.ok(shipped.height <= 488 && shipped.cell >= 50 && shipped.caption > 0);
  const large = boardGeometry(viewOf(2, 2, 488), 400);
  assert.equal(large.cell, 128);
  const many = boardGeometry(viewOf(24, 16, 488), 400);
  assert.ok(many.cell >= 12 && many.height > 0);
  assert.deepEqual(boardGeometry(viewOf(6, 6, undefined), 2000).cell, 128); // elsewhere the width alone decides
});

test("a map of a whole prompt is as wide as its place and has room for letters", () => {
  const { cell, margin, side } = mapGeometry(viewOf(6, 6, 488), 489);
  assert.ok(margin + side <= 489 && cell >= 7);
});
