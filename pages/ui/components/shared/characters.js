// Characters as they can be read: the invisible ones get a sign, combining ones a dotted circle to stand on.
// The signs are those of core/texts/labels.py.
import SIGNS from "../../../../core/texts/signs.json" with { type: "json" };

const [FIRST_STRONG, END] = ["\u2068", "\u2069"];

export const codePoint = (character) =>
  [...character].map((c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ");

export function visible(character) {
  return sign(character) ?? (/^\p{M}+$/u.test(character) ? `◌${character}` : character);
}

// What stands for a character that leaves no ink; null for one that does.
function sign(character) {
  if (character in SIGNS) return SIGNS[character];
  const code = character.codePointAt(0);
  if (code >= 0xfe00 && code <= 0xfe0f) return `VS${code - 0xfe00 + 1}`;
  if (code >= 0xe0100 && code <= 0xe01ef) return `VS${code - 0xe0100 + 17}`;
  return /^[\p{C}\p{Z}]$/u.test(character) ? codePoint(character) : null;
}

// What a character's sign does not say: its code point, unless it is plain or one of the three usual signs.
export const hint = (character) => (/^[\x20-\x7e\n\t]?$/.test(character) ? null : codePoint(character));

// What one sees where a character stands and, where that does not say it, which one it is.
export function spelled(character) {
  return hint(character) ? `${isolated(visible(character))} ${hint(character)}` : visible(character);
}

// Between other words, text of any direction keeps to itself.
export const isolated = (text) => (/^[\x00-\x7f↵␣⇥·]*$/.test(text) ? text : FIRST_STRONG + text + END);

// A character drawn by itself, where no markup can keep it apart.
export const drawn = (character) => isolated(visible(character));

// Running text as it is, but for what hides in it: control characters, zero-width and direction marks. Signs that are
// words stand in brackets, to be told from the text, and keep to themselves among letters that run leftwards.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const bracketed = (sign) => (sign.length > 1 ? isolated(`⟨${sign}⟩`) : sign);
export const readableText = (text) => text.replace(HIDDEN, (character) => bracketed(visible(character)));

// A character of a text in which each has a place of its own to be pointed at: none is without width.
export const pointable = (character) => {
  const shown = visible(character);
  return character === " " ? character : shown === sign(character) ? bracketed(shown) : shown;
};
