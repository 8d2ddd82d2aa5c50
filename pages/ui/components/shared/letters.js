// A character that a model wrote, tinted by its surprise. The element around it gives the colour: --surprise.
import { standing } from "./characters.js";
import { element } from "./dom.js";
import { surpriseColour } from "./theme.js";

export const MOST = 8; // bits at which the tint is full

export const shareOfTint = (bits) => 0.85 * Math.min(1, bits / MOST);

export const tintsFrom = (view) => view.root.style.setProperty("--surprise", surpriseColour(view.theme));

export function letterOf(character, bits, attributes = {}) {
  const tint = Math.round(100 * shareOfTint(bits));
  const style = `background: color-mix(in srgb, var(--surprise) ${tint}%, transparent)`;
  const shown = character === "\n" ? "↵\n" : standing(character);
  return element("span", { style, ...attributes }, shown);
}
