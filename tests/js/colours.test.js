import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, faintest, legible, mix, ramp, scaleOf } from "../../pages/ui/components/shared/colours.js";

const [DARK, LIGHT, WHITE, TEXT] = [
  [23, 22, 26],
  [230, 230, 230],
  [255, 255, 255],
  [40, 40, 40],
];

test("contrast is that of WCAG", () => {
  assert.equal(contrast([0, 0, 0], WHITE), 21);
  assert.equal(contrast(DARK, DARK), 1);
});

test("no line is darker than its paper", () => {
  for (const colour of [
    [0, 0, 0],
    [0, 0, 120],
    [0, 114, 178],
    [60, 0, 0],
  ]) {
    assert.ok(contrast(legible(colour, DARK, LIGHT), DARK) >= 2);
    assert.ok(contrast(legible(colour, WHITE, TEXT), WHITE) >= 2);
  }
  assert.deepEqual(legible([213, 94, 0], WHITE, TEXT), [213, 94, 0]); // as given where it can be seen
});

test("a faint line is seen on any paper", () => {
  for (const paper of [DARK, WHITE])
    for (const colour of [
      [0, 114, 178],
      [213, 94, 0],
      [86, 180, 233],
    ]) {
      const seen = mix(paper, colour, faintest(colour, paper));
      assert.ok(contrast(seen, paper) >= 1.6 || faintest(colour, paper) === 1);
    }
});

test("scales of colour", () => {
  const colours = ramp(["rgb(0, 0, 0)", "rgb(100, 200, 50)"]);
  assert.deepEqual(
    [colours(0), colours(0.5), colours(7)],
    [
      [0, 0, 0],
      [50, 100, 25],
      [100, 200, 50],
    ],
  );
  const { css, pixels } = scaleOf("0102ff".repeat(256));
  assert.equal(css[255], "rgb(1,2,255)");
  assert.equal(pixels[0], 0xffff0201);
});
