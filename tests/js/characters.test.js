import assert from "node:assert/strict";
import { test } from "node:test";
import {
  codePoint,
  drawn,
  hint,
  isolated,
  pointable,
  readableText,
  spelled,
  visible,
} from "../../pages/ui/components/shared/characters.js";

test("every character of the Basic Multilingual Plane leaves something to see", () => {
  for (let code = 0; code < 0x10000; code++) {
    const sign = visible(String.fromCharCode(code));
    assert.doesNotMatch(sign, /^[\p{C}\p{Z}\p{M}\s]*$/u, `U+${code.toString(16)}`);
  }
});

test("plain characters are themselves, invisible ones have a sign", () => {
  assert.equal(visible("a"), "a");
  assert.equal(visible("ב"), "ב");
  assert.deepEqual(["\n", " ", "\t", "\0", "\u200b", "\u0301"].map(visible), ["↵", "␣", "⇥", "␀", "ZWSP", "◌\u0301"]);
  assert.equal(visible(""), "");
});

test("the code point is told where the sign does not say it", () => {
  assert.equal(codePoint("😀"), "U+1F600");
  assert.deepEqual([hint("a"), hint("\n"), hint("é")], [null, null, "U+00E9"]);
  assert.equal(spelled("a"), "a");
  assert.equal(spelled("\n"), "↵");
  assert.match(spelled("\u00e9"), /é.* U\+00E9/);
  assert.match(spelled("\u200d"), /ZWJ.* U\+200D/);
});

test("text of another direction is kept apart from what stands around it", () => {
  assert.equal(isolated("abc 12"), "abc 12");
  assert.equal(isolated("שלום"), "\u2068שלום\u2069");
  assert.equal(drawn("ש"), "\u2068ש\u2069");
});

test("running text shows what hides in it and nothing else", () => {
  assert.equal(readableText("To be,\n\tor not"), "To be,\n\tor not");
  assert.equal(readableText("a\u202eb\u200b"), "a\u2068⟨RLO⟩\u2069b\u2068⟨ZWSP⟩\u2069");
  assert.equal(readableText("e\u0301"), "e\u0301");
});

test("a character that can be pointed at has a width", () => {
  const shown = ["a", " ", "\n", "\u200c", "\u202e", "\u0301", "ש"].map(pointable);
  assert.deepEqual(shown, ["a", " ", "↵", "\u2068⟨ZWNJ⟩\u2069", "\u2068⟨RLO⟩\u2069", "◌\u0301", "ש"]);
});
