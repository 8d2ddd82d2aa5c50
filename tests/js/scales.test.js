import assert from "node:assert/strict";
import { test } from "node:test";
import { chance, clock, compact, csv, short } from "../../pages/ui/components/shared/format.js";
import { extent, niceValues, scale, spread, ticks } from "../../pages/ui/components/shared/scales.js";

const texts = (range, count, unit) => ticks(range, count, unit).map((tick) => tick.text);

test("a scale goes to pixels and back, linear and logarithmic", () => {
  const linear = scale([2, 4], 100, 0);
  assert.equal(linear.px(2), 100);
  assert.equal(linear.px(3), 50);
  assert.equal(linear.at(75), 2.5);
  const log = scale([1, 100], 0, 200, true);
  assert.equal(log.px(10), 100);
  assert.ok(Math.abs(log.at(50) - Math.sqrt(10)) < 1e-12);
});

test("ticks stand at 1, 2 or 5 times a power of ten, written no more exactly than needed", () => {
  assert.deepEqual(texts({ lo: 1.42, hi: 4.3 }, 6), ["1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]);
  assert.deepEqual(texts({ lo: 0, hi: 5000 }, 5), ["0", "1000", "2000", "3000", "4000", "5000"]);
  assert.deepEqual(texts({ lo: 0, hi: 2e6 }, 4), ["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
  assert.deepEqual(texts({ lo: 0, hi: 7200 }, 4, 3600), ["0", "0.5", "1.0", "1.5", "2.0"]);
  assert.deepEqual(texts({ lo: -0.1, hi: 0.1 }, 4), ["-0.10", "-0.05", "0", "0.05", "0.10"]);
});

test("a logarithmic axis of several decades has its ticks at powers of ten", () => {
  assert.deepEqual(texts({ lo: 1, hi: 5000, log: true }, 4), ["1", "10", "100", "1000"]);
  assert.deepEqual(texts({ lo: 1, hi: 50, log: true }, 9), ["1", "2", "5", "10", "20", "50"]);
  const long = ticks({ lo: 1e-6, hi: 1e6, log: true }, 4);
  assert.ok(long.length <= 5);
});

test("nice values stay within their range", () => {
  assert.deepEqual(niceValues(0.4, 2.1, 4), [0.5, 1, 1.5, 2]);
  assert.deepEqual(niceValues(-1, 1, 2), [-1, 0, 1]);
});

test("an extent leaves out what is no number", () => {
  const found = extent(Float32Array.of(Number.NaN, -2, 0, 0.5, Infinity, 9), 5);
  assert.deepEqual(found, { lo: -2, hi: 0.5, positive: 0.5 });
});

test("labels keep their distance and their order, and stay inside", () => {
  assert.deepEqual(spread([10, 50, 90], 15, 0, 100), [10, 50, 90]);
  for (const wanted of [
    [10, 11, 12],
    [96, 98, 99],
    [0, 0, 0, 50, 100, 100],
    [-40, 500],
  ]) {
    const places = spread(wanted, 15, 0, 100);
    assert.equal(places.length, wanted.length);
    for (const [i, place] of places.entries()) {
      assert.ok(place >= 0 && place <= 100);
      if (i) assert.ok(place - places[i - 1] >= 15);
    }
  }
  assert.equal(spread(new Array(20).fill(50), 15, 0, 100).length, 7); // no room for more
});

test("numbers are written as they are meant", () => {
  assert.deepEqual([chance(0), chance(1), chance(0.25), chance(2e-5)], ["0", "1", "0.2500", "2.0e-5"]);
  assert.deepEqual(
    [clock(9.25), clock(125), clock(3700), clock(Number.NaN)],
    ["9.3 s", "2 min 05 s", "1 h 01 min", "–"],
  );
  assert.deepEqual([compact(0, 5, 1), compact(12_500, 20_000), compact(1.25e15, 2e15)], ["0", "12.5k", "1.25P"]);
  assert.deepEqual([short(0.000123), short(-1.5), short(null)], ["1.2e−4", "−1.50", "–"]);
  assert.equal(
    csv([
      ["a", 'say "b"'],
      [1, "x,y\nz"],
    ]),
    'a,"say ""b"""\r\n1,"x,y\nz"',
  );
});
