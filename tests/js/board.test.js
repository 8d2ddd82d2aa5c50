import assert from "node:assert/strict";
import { test } from "node:test";
import { openQuery } from "../../pages/ui/components/grids/attention_query.js";
import { between, played, stages } from "../../pages/ui/components/grids/attention_stages.js";
import {
  fit,
  indexOf,
  nameOf,
  ordered,
  parse,
  withHead,
  written,
} from "../../pages/ui/components/grids/attention_state.js";

const BOARD = { L: 2, H: 2, T: 5 };

test("a view survives the address, and junk does not", () => {
  const told = { heads: "1.0,0.1", query: "3", mode: "to,value,lines,sort:entropy" };
  assert.deepEqual(written(parse(told)), told);
  assert.deepEqual(written(parse({})), {});
  const junk = fit(parse({ heads: "9.9,x,0.1", query: "77", mode: "sideways,sort:price" }), BOARD, {});
  assert.deepEqual([junk.heads, junk.query, junk.sort, junk.toward], [["0.1"], null, "layer", "from"]);
});

test("heads are ordered by what is asked for and filtered by label", () => {
  const about = Object.fromEntries(
    [3, 1, 2, 0].map((entropy, head) => [
      nameOf(head, 2),
      { entropy, distance: 0, lift: [], label: head < 2 ? "a" : "b" },
    ]),
  );
  const header = { about, kinds: [] };
  assert.deepEqual(ordered(parse({}), BOARD, header), [0, 1, 2, 3]);
  assert.deepEqual(ordered(parse({ mode: "sort:entropy" }), BOARD, header), [3, 1, 2, 0]);
  assert.deepEqual(ordered(parse({ mode: "only:b" }), BOARD, header), [2, 3]);
  assert.equal(indexOf(nameOf(3, 2), 2), 3);
});

test("a head joins the chosen ones and leaves them, but one always stays", () => {
  assert.deepEqual(withHead(["0.0"], "0.1", false), ["0.1"]);
  assert.deepEqual(withHead(["0.0"], "0.1", true), ["0.0", "0.1"]);
  assert.deepEqual(withHead(["0.0", "0.1"], "0.0", true), ["0.1"]);
  assert.deepEqual(withHead(["0.0"], "0.0", true), ["0.0"]);
});

test("an opened query sums to what attention writes", () => {
  const [T, weights] = [2, [1, 0, 0.25, 0.75]];
  const parts = {
    q: Float32Array.of(1, 0, 0, 2),
    k: Float32Array.of(1, 1, 2, 3),
    v: Float32Array.of(4, 0, 0, 4),
    z: Float32Array.of(4, 0, 1, 3),
    attn_scores: Float32Array.of(0, 0, 2, 6),
    pattern: Float32Array.from(weights),
    value_norm: Float32Array.of(4, 4),
  };
  const o = openQuery(parts, 1, T, true);
  assert.deepEqual(o.order, [1, 0]);
  assert.deepEqual([...o.product(1)], [0, 6]);
  assert.deepEqual([...o.written(1)], [0, 3]);
  assert.deepEqual([o.sum, o.peak, o.given(0)], [1, 6, 1]);
});

test("from scores to weights each step holds the traced numbers, and what is masked falls away", () => {
  const T = 3;
  const parts = {
    q: Float32Array.of(1, 0, 0, 2, 1, 1),
    k: Float32Array.of(1, 1, 2, 3, 5, 4),
    v: Float32Array.of(4, 0, 0, 4, 1, 1),
    z: Float32Array.of(4, 0, 1, 3, 0, 0),
    attn_scores: Float32Array.of(0, 0, 0, 2 / Math.SQRT2, 6 / Math.SQRT2, -Infinity, 0, 0, 0),
    pattern: Float32Array.of(1, 0, 0, 0.0558, 0.9442, 0, 0, 0, 0),
    value_norm: Float32Array.of(4, 4, 4),
  };
  const o = openQuery(parts, 1, T, true);
  const all = stages(o);
  const of = (n) => [0, 1, 2].map((s) => all[n].of(s));
  assert.deepEqual(of(0), [2, 6, 8]); // the later key fits best, before it is masked
  assert.ok(Math.abs(of(1)[2] - 8 / Math.SQRT2) < 1e-6);
  assert.equal(of(2)[2], null);
  const [raised, weights] = [of(3), of(4)];
  assert.deepEqual([raised[1], raised[2], weights[2]], [1, 0, 0]);
  assert.ok(Math.abs(raised[0] / (raised[0] + 1) - weights[0]) < 1e-3);
  assert.equal(all[0].key, 1);
  const half = between(all, 1.5, T)[2]; // the masked bar is on its way down to the middle
  assert.ok(half.to < between(all, 1, T)[2].to && half.to > between(all, 2, T)[2].to);
  assert.deepEqual(played(0, -5, 4), { at: 0, over: false });
  assert.deepEqual(played(0, 900, 4), { at: 0, over: false });
  assert.deepEqual(played(0, 1600, 4), { at: 1, over: false });
  assert.equal(played(0, 1e6, 4).over, true);
});
