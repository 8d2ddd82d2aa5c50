import assert from "node:assert/strict";
import { test } from "node:test";
import { coloursFor, fromAddress, merge, toAddress } from "../../pages/ui/components/charts/curves_state.js";
import { tableOfFigure } from "../../pages/ui/components/controls/figure_bar.js";
import { thinned } from "../../pages/ui/components/shared/saving.js";
import { clockTicks } from "../../pages/ui/components/shared/scales.js";

const read = (query) => fromAddress((name) => new URLSearchParams(query).get(name));

test("what is set on a chart stands in the address and is read from it again", () => {
  const ui = { x: "clock", logx: false, logy: true, weight: 0.9, robust: true, zoom: { x: [0, 10], y: [1.5, 2] } };
  const said = toAddress(ui, {});
  assert.deepEqual(said, { x: "clock", log: "y", smooth: 0.9, y: "robust", zoom: "0,10,1.5,2" });
  assert.deepEqual(read(new URLSearchParams(said)), { ...ui, zoom: { ...ui.zoom, groups: null } });
});

test("what is as usual is not said, and what is none of its words is passed over", () => {
  const usual = { x: "step", logx: false, logy: false, weight: null, robust: false, zoom: null };
  assert.ok(Object.values(toAddress(usual, {})).every((value) => value === null));
  assert.equal(toAddress(usual, { log: "xy" }).log, "none");
  assert.deepEqual(read("log=none"), { logx: false, logy: false });
  assert.deepEqual(read("x=furlongs&smooth=9&zoom=2,1,0,1&y=no"), {});
  assert.deepEqual(read("x=constructor&zoom=a,b,c,d"), {});
});

test("a run keeps its colour, and a new one takes a free one", () => {
  assert.deepEqual(coloursFor(["a", "b"], {}, 3), { a: 0, b: 1 });
  assert.deepEqual(coloursFor(["b", "c"], { a: 0, b: 1 }, 3), { b: 1, c: 2 });
  assert.deepEqual(coloursFor(["d"], { a: 0, b: 1, c: 2 }, 3), { d: 0 });
  assert.deepEqual(coloursFor(["d", "a"], { a: 0, b: 1, c: 2 }, 3), { a: 0, d: 1 });
  assert.deepEqual(coloursFor(["a", "b", "c", "d", "e"], {}, 3), { a: 0, b: 1, c: 2, d: 3, e: 4 });
});

test("the clock on the wall is marked at whole times of the visitor's own zone", () => {
  const noon = Date.UTC(2026, 10, 27, 12) / 1000;
  const texts = (span, count, zone) =>
    clockTicks({ lo: noon + 7, hi: noon + span }, count, zone).map(({ text }) => text);
  assert.deepEqual(texts(60, 4, 0), ["12:00:15", "12:00:30", "12:00:45", "12:01:00"]);
  assert.deepEqual(texts(3600, 4, -5.5 * 3600), ["17:45", "18:00", "18:15", "18:30"]);
  assert.deepEqual(texts(40 * 3600, 4, 0), ["11-28", "12:00", "11-29"]);
  assert.deepEqual(texts(12 * 86_400, 4, 0), ["11-28", "12-03", "12-08"]);
});

test("bands, names and times come with the points, and only new ones travel", () => {
  const view = { curves: new Map(), ui: { weight: 0 } };
  const f = (...values) => Float32Array.from(values);
  const about = { id: "a", label: "a", kind: "val", group: "a", flops: 2, since: 1.8e9 };
  const first = { from: 0, n: 2, columns: f(1, 2, 1, 2, 9, 9, 5, 6), clock: f(0, 1), band: f(4, 5, 6, 9) };
  assert.equal(merge(view, [{ ...about, ...first, names: ["p", "q"] }]), false);
  const second = { from: 2, n: 1, columns: f(3, 3, 9, 7), clock: f(2.5), band: f(1, 8) };
  merge(view, [{ ...about, ...second, names: ["r"] }]);
  const curve = view.curves.get("a");
  assert.deepEqual([curve.n, ...curve.names], [3, "p", "q", "r"]);
  assert.equal(curve.clock[2], 1.8e9 + 2.5);
  assert.deepEqual([curve.range.smooth.lo, curve.range.smooth.hi], [1, 9]);
  assert.equal(curve.flops[2], 6);
});

test("a table is thinned curve by curve, first and last points kept", () => {
  const rows = ["a", "b"].flatMap((name) => Array.from({ length: 1000 }, (_, i) => [name, "val", i]));
  const kept = thinned(rows, 5);
  assert.deepEqual(
    kept.map((row) => row[2]),
    [0, 250, 500, 749, 999, 0, 250, 500, 749, 999],
  );
  assert.equal(thinned(rows.slice(0, 4), 5).length, 4);
});

test("what Plotly draws becomes rows", () => {
  assert.deepEqual(tableOfFigure([{ name: "map", x: ["a", "b"], y: ["c"], z: [Float32Array.from([1, 2])] }]), [
    ["series", "x", "y", "z"],
    ["map", "a", "c", 1],
    ["map", "b", "c", 2],
  ]);
  assert.deepEqual(tableOfFigure([{ x: Float64Array.from([1]), y: [2], text: "one for all" }]), [
    ["series", "x", "y"],
    ["", 1, 2],
  ]);
  const dimensions = [
    { label: "seed", values: [1, 2] },
    { label: "loss", values: [3, 4] },
  ];
  assert.deepEqual(tableOfFigure([{ dimensions }]), [
    ["seed", "loss"],
    [1, 3],
    [2, 4],
  ]);
});
