import assert from "node:assert/strict";
import { test } from "node:test";
import { placesFor } from "../../pages/ui/components/charts/curves_state.js";

const group = (id, hue = null, twin = false) => ({ id, hue, twin });
const shades = (places) => Object.fromEntries(Object.entries(places).map(([id, { nth }]) => [id, nth]));

test("runs of one rung are shades of its colour, of which the first is pure", () => {
  const all = [group("a", 2), group("b", 2), group("t", 1)];
  const places = placesFor(all, {}, {});
  assert.deepEqual(shades(places), { a: 0, b: 1, t: 0 });
  assert.deepEqual(shades(placesFor([group("c", 2), group("b", 2)], places, {})), { b: 1, c: 0 }); // what stays keeps it
  assert.deepEqual(shades(placesFor([group("d", 2)], {}, {})), { d: 0 }); // alone, a run has its rung's colour
});

test("twins share one colour, and what has no hue has a free one of the palette", () => {
  const all = [group("a", 0, true), group("b", 0, true), group("x")];
  assert.deepEqual(shades(placesFor(all, {}, { x: 3 })), { a: 0, b: 0, x: 3 });
});
