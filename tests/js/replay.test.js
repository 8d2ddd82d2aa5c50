import assert from "node:assert/strict";
import { test } from "node:test";
import { choices, moment, stepAt, taken } from "../../pages/ui/components/charts/replay_film.js";

const RUN = {
  steps: [0, 1, 2, 3, 4],
  losses: [4.2, 4, 3, 2.5, 2.4],
  seconds: [0, 1, 2, 3, 4],
  samples: [
    { step: 0, text: "xq" },
    { step: 2, text: "the" },
  ],
  evaluations: [[2, 3.1]],
};

test("a film begins at the first step, ends at the last, and takes its time at the beginning", () => {
  assert.equal(stepAt(0, 2400), 0);
  assert.equal(stepAt(1, 2400), 2400);
  assert.ok(stepAt(0.5, 2400) < 600);
});

test("the steps taken are those up to the moment", () => {
  assert.deepEqual(
    [-1, 0, 0.5, 3, 9].map((step) => taken(RUN.steps, step)),
    [0, 1, 1, 4, 5],
  );
});

test("a moment knows what was known then, and no more", () => {
  assert.deepEqual(moment(RUN, 1), { judged: false, loss: 4, seconds: 1, sample: RUN.samples[0] });
  assert.deepEqual(moment(RUN, 3), { judged: true, loss: 3.1, seconds: 3, sample: RUN.samples[1] });
});

test("a loss is a number of letters", () => {
  assert.equal(choices(Math.log(65)), "65");
  assert.equal(choices(Math.log(4.32)), "4.3");
});
