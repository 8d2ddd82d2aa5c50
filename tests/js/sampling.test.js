import assert from "node:assert/strict";
import { test } from "node:test";
import { distribution, fallsInto } from "../../pages/ui/components/texts/sampling.js";

const LOGITS = Float32Array.of(1, 3, 2, -1);
const total = (probs) => probs.reduce((sum, p) => sum + p, 0);

test("softmax, top-k and top-p", () => {
  const plain = distribution(LOGITS, 1, 0, 1);
  assert.ok(Math.abs(total(plain.probs) - 1) < 1e-12);
  assert.ok(Math.abs(plain.probs[1] / plain.probs[2] - Math.E) < 1e-9);
  const topK = distribution(LOGITS, 1, 2, 1);
  assert.deepEqual(topK.cut, ["top-k", null, null, "top-k"]);
  assert.ok(Math.abs(total(topK.probs) - 1) < 1e-12);
  const topP = distribution(LOGITS, 1, 0, 0.5);
  assert.deepEqual(topP.cut, ["top-p", null, "top-p", "top-p"]);
  assert.equal(topP.probs[1], 1);
});

test("temperature 0 takes the likeliest, and huge logits do not overflow", () => {
  assert.deepEqual(distribution(LOGITS, 0, 0, 1).probs, [0, 1, 0, 0]);
  assert.deepEqual(distribution(Float32Array.of(9000, 1), 1, 0, 1).probs, [1, 0]);
});

test("a random number falls into one stretch", () => {
  const probs = [0.5, 0, 0.5];
  assert.deepEqual(fallsInto(probs, [0, 1, 2], 0.2), { taken: 0, from: 0, to: 0.5 });
  assert.deepEqual(fallsInto(probs, [2, 1, 0], 0.7), { taken: 0, from: 0.5, to: 1 });
});
