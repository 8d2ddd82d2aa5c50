import assert from "node:assert/strict";
import { test } from "node:test";
import { merge, smoothAll } from "../../pages/ui/components/charts/curves_state.js";
import { smoothed, stepUnit } from "../../pages/ui/components/charts/smoothing.js";

// One run of 900 steps, its loss falling with noise that any seed would repeat.
const STEPS = 900;
const loss = Array.from({ length: STEPS }, (_, i) => 1.5 + 2.6 * Math.exp(-i / 60) + 0.2 * Math.sin(i * 7.7));

// The run as it is reported: each point is the mean of the steps since the one before, as training reports it.
function reported(lengths) {
  const [step, value] = [[], []];
  for (let at = 0, n = 0; at < STEPS; n++) {
    const end = Math.min(STEPS, at + lengths[n % lengths.length]);
    step.push(end);
    value.push(loss.slice(at, end).reduce((sum, v) => sum + v, 0) / (end - at));
    at = end;
  }
  return { step, value };
}

const at = ({ step, value }, weight) => {
  const line = smoothed(step, value, step.length, weight, 1);
  return (target) => line[step.indexOf(target)];
};

test("the smoothed line does not depend on how often points were reported", () => {
  const often = at(reported([1]), 0.98);
  const seldom = at(reported([10]), 0.98);
  const unevenly = at(reported([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 20, 30]), 0.98);
  for (const step of [300, 600, 900]) {
    assert.ok(Math.abs(often(step) - seldom(step)) < 0.02);
    assert.ok(Math.abs(often(step) - unevenly(step)) < 0.02);
  }
});

test("weights fall with the distance in steps: w to the power of it", () => {
  const line = smoothed([0, 1, 3], [1, 0, 0], 3, 0.5, 1);
  assert.equal(line[0], 1);
  assert.ok(Math.abs(line[1] - 0.25 / 0.75) < 1e-6);
  assert.ok(Math.abs(line[2] - 0.0625 / 0.9375) < 1e-6);
});

test("a constant stays, and what is no number stands for itself alone", () => {
  const line = smoothed([0, 5, 6, 100], [2, Number.NaN, 2, 2], 4, 0.9, 1);
  assert.deepEqual(
    [...line].map((v) => +v.toFixed(5)),
    [2, Number.NaN, 2, 2],
  );
});

test("long runs count steps in larger units, which seldom change", () => {
  assert.equal(stepUnit(140), 1);
  assert.equal(stepUnit(1000), 1);
  assert.equal(stepUnit(5000), 4);
  assert.equal(stepUnit(5500), stepUnit(5000));
});

const message = (n, id = "a") => {
  const step = Array.from({ length: n }, (_, i) => i);
  const columns = Float32Array.of(...step, ...step, ...step, ...step.map((i) => loss[i]));
  return { id, label: id, kind: "train", group: id, flops: 0, from: 0, n, columns };
};

test("short runs are drawn raw until the learner moves the slider", () => {
  const view = { curves: new Map(), ui: { weight: null } };
  assert.equal(merge(view, [message(100), message(400, "long")]), false);
  const [few, many] = view.curves.values();
  assert.ok(few.raw && !many.raw);
  assert.deepEqual(few.smooth.subarray(0, 100), few.value.subarray(0, 100));
  view.ui.weight = 0.9;
  smoothAll(view);
  assert.ok(!few.raw && few.smooth[99] !== few.value[99]);
});

test("a message that follows later points than are known is a gap", () => {
  const view = { curves: new Map(), ui: { weight: null } };
  assert.equal(merge(view, [{ ...message(5), from: 7 }]), true);
  assert.equal(view.curves.get("a").n, 0);
});
