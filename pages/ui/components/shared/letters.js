// A character that a model wrote, tinted by its surprise. The element around it gives the colour: --surprise.
import { pointable } from "./characters.js";
import { colourKey, element } from "./dom.js";
import { surpriseColour } from "./theme.js";

export const MOST = 8; // bits at which the tint is full

export const shareOfTint = (bits) => 0.85 * Math.min(1, bits / MOST);

export const tintsFrom = (view) => view.root.style.setProperty("--surprise", surpriseColour(view.theme));

const tint = (percent) => `color-mix(in srgb, var(--surprise) ${percent}%, transparent)`;

export const surpriseKey = () => colourKey("0 bits", `transparent, ${tint(85)}`, `${MOST} or more`);

export function letterOf(character, bits, attributes = {}) {
  const shown = character === "\n" ? "↵\n" : pointable(character);
  return element("span", { style: `background: ${tint(Math.round(100 * shareOfTint(bits)))}`, ...attributes }, shown);
}
