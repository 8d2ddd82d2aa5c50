import assert from "node:assert/strict";
import { test } from "node:test";
import { placeLabels, yRange } from "../../pages/ui/components/charts/curves_axes.js";
import { stepTo } from "../../pages/ui/components/charts/curves_pointer.js";
import { valueAt } from "../../pages/ui/components/charts/time_draw.js";
import { scale } from "../../pages/ui/components/shared/scales.js";
import { SvgContext } from "../../pages/ui/components/shared/svg_context.js";

// Node has no canvas to measure text with: every letter is six pixels wide.
globalThis.OffscreenCanvas = class {
  getContext = () => ({ measureText: (text) => ({ width: 6 * text.length }) });
};

const ROOM = { top: 26, bottom: 340, width: 900, font: "12px sans-serif" };
const y = scale([1.4, 2.6], ROOM.bottom, ROOM.top);
const MARKS = [
  { label: "uniform: ln 65 = 4.174", value: 4.174 },
  { label: "bigram: 2.454", value: 2.454 },
  { label: "counted 7-gram: 1.530", value: 1.53 },
  { label: "published: 1.47", value: 1.47 },
  { label: "best: 1.4697", value: 1.4697 },
];

test("labels of landmarks never overprint each other, and say where a far line is", () => {
  const labels = placeLabels(MARKS, y, ROOM);
  assert.equal(labels.length, MARKS.length);
  for (const [i, label] of labels.entries()) if (i) assert.ok(label.y - labels[i - 1].y >= 15);
  assert.equal(labels[0].text, "↑ uniform: ln 65 = 4.174");
  assert.ok(labels.slice(1).every(({ inside }) => inside));
  const bigram = labels.find(({ value }) => value === 2.454);
  assert.equal(bigram.y, y.px(2.454));
});

test("a narrow chart names landmarks by their value, a low one those it has room for", () => {
  const narrow = placeLabels(MARKS, y, { ...ROOM, width: 360 });
  assert.ok(narrow.every(({ text }) => /^[↑↓]? ?\d\.\d+$/.test(text)));
  const low = placeLabels(MARKS, scale([1.4, 2.6], 80, 26), { ...ROOM, bottom: 80 });
  assert.equal(low.length, 3);
  const log = placeLabels([{ label: "0", value: 0 }], scale([0.1, 1], 340, 26, true), ROOM);
  assert.deepEqual(
    log.map(({ text }) => text),
    ["↓ 0"],
  );
});

test("a long label loses the end of its name, never its value", () => {
  const [label] = placeLabels([{ label: "a published model on one card: 1.47", value: 1.47 }], y, {
    ...ROOM,
    width: 600,
  });
  assert.match(label.text, /^a publish.*… 1\.47$/);
});

test("the y axis holds near landmarks and leaves far ones out", () => {
  const range = { value: { lo: 1.5, hi: 2.5, positive: 1.5 }, smooth: { lo: 1.5, hi: 2.5, positive: 1.5 } };
  const [lo, hi] = yRange({}, [{ range }], MARKS);
  assert.ok(lo < 1.47 && hi > 2.5 && hi < 3);
  assert.deepEqual(yRange({}, [], []), [-0.05, 1.05]);
});

const curve = (n) => ({ n, step: Array.from({ length: n }, (_, i) => 10 * i), value: new Array(n).fill(1) });

test("arrow keys walk along a curve and over to another", () => {
  const [a, b] = [curve(5), curve(3)];
  const press = (cursor, key, shiftKey = false) => stepTo([a, b], cursor, { key, shiftKey });
  assert.deepEqual(press(undefined, "ArrowLeft"), { curve: a, i: 4 }); // begins at the newest point
  assert.deepEqual(press({ curve: a, i: 2 }, "ArrowRight"), { curve: a, i: 3 });
  assert.deepEqual(press({ curve: a, i: 2 }, "ArrowLeft", true), { curve: a, i: 0 });
  assert.deepEqual(press({ curve: a, i: 1 }, "ArrowDown"), { curve: b, i: 1 }); // the same step
  assert.deepEqual(press({ curve: b, i: 1 }, "ArrowDown"), { curve: b, i: 1 });
  assert.deepEqual(press({ curve: b, i: 1 }, "End"), { curve: b, i: 2 });
  assert.equal(press({ curve: a, i: 1 }, "Escape"), null);
  assert.equal(press({ curve: a, i: 1 }, "Tab"), undefined);
  assert.equal(stepTo([], undefined, { key: "ArrowLeft" }), undefined);
});

test("what is drawn on a canvas becomes SVG", () => {
  const ctx = new SvgContext(100, 50, "#ffffff");
  ctx.strokeStyle = "#123456";
  ctx.beginPath();
  ctx.moveTo(1, 2);
  ctx.lineTo(3, 4.005);
  ctx.stroke();
  Object.assign(ctx, { font: "bold 12px A, B", fillStyle: "red", textAlign: "right" });
  ctx.save();
  ctx.translate(5, 6);
  ctx.fillText("a < b & “c”", 0, 0);
  ctx.restore();
  assert.match(ctx.content, /<line x1="1" y1="2" x2="3" y2="4(\.01)?" fill="none" stroke="#123456"/);
  assert.match(ctx.content, /font-weight="bold" text-anchor="end".*translate\(5 6\).*>a &#60; b &#38; “c”<\/text>/);
  assert.match(ctx.content, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="100" height="50"/);
});

test("a curve is read between its points", () => {
  const [steps, values] = [
    [0, 10, 20],
    [4, 2, 1],
  ];
  assert.deepEqual(
    [-5, 0, 5, 20, 99].map((step) => valueAt(steps, values, step)),
    [4, 4, 3, 1, 1],
  );
  assert.ok(Number.isNaN(valueAt([], [], 3)));
});
