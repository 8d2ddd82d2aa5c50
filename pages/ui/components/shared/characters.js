// Characters as they can be read: the invisible ones get a sign, combining ones a dotted circle to stand on.
const SIGNS = { "\n": "↵", " ": "␣", "\t": "⇥", "\u007f": "␡", "\u00a0": "⍽", "\u00ad": "‐" };
const [FIRST_STRONG, END] = ["\u2068", "\u2069"];

export const codePoint = (character) =>
  [...character].map((c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ");

export function visible(character) {
  if (character in SIGNS) return SIGNS[character];
  if (character < " " && character.length === 1) return String.fromCharCode(0x2400 + character.charCodeAt(0));
  if (/^\p{M}+$/u.test(character)) return `◌${character}`;
  if (/^\p{Zs}$/u.test(character)) return "␣";
  if (/^[\p{Zl}\p{Zp}]$/u.test(character)) return "↵";
  if (/^[\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Cc}]$/u.test(character)) return `⟨${codePoint(character).slice(2)}⟩`;
  return character;
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

// Running text as it is, but for what hides in it: control characters, zero-width and direction marks.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
export const readableText = (text) => text.replace(HIDDEN, visible);
