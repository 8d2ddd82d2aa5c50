import assert from "node:assert/strict";
import { test } from "node:test";
import { dashed, takeColours } from "../../pages/ui/components/charts/curves_state.js";

const viewOf = () => ({ ui: { places: {} }, theme: { palette: ["#111111", "#222222"] }, curves: new Map() });

function show(view, ...runs) {
  view.curves = new Map(runs.map(({ id, hue = null, twin = false }) => [id, { group: id, kind: "val", hue, twin }]));
  takeColours(view);
  return runs.map(({ id }) => view.ui.places[id].nth);
}

test("runs of one rung are shades of its colour, of which the first is pure; past the shades they are dashed", () => {
  const view = viewOf();
  const mlps = ["a", "b", "c", "d"].map((id) => ({ id, hue: 2 }));
  assert.deepEqual(show(view, ...mlps, { id: "t", hue: 1 }), [0, 1, 2, 3, 0]);
  assert.deepEqual(
    ["a", "c", "d"].map((id) => dashed(view, id)),
    [false, false, true],
  );
  assert.deepEqual(show(view, mlps[1], mlps[0]), [1, 0]); // each keeps its shade while it stays
  assert.deepEqual(show(view, { id: "e", hue: 2 }), [0]); // alone, a run has its rung's colour
});

test("twins share one colour", () => {
  const seeds = ["a", "b"].map((id) => ({ id, hue: 0, twin: true }));
  assert.deepEqual(show(viewOf(), ...seeds, { id: "c", hue: 0 }), [0, 0, 0]);
});

test("what has no colour of its own keeps the free one that it took", () => {
  const view = viewOf();
  assert.deepEqual(show(view, { id: "a" }, { id: "b" }), [0, 1]);
  assert.deepEqual(show(view, { id: "b" }), [1]);
  assert.deepEqual(show(view, { id: "a" }, { id: "b" }), [0, 1]);
});
