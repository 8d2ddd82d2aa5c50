import assert from "node:assert/strict";
import { test } from "node:test";
import { openQuery } from "../../pages/ui/components/grids/attention_query.js";
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
