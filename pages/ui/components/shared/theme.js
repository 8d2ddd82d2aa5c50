import { css, legible, mix, rgb } from "./colours.js";

const OKABE_ITO = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#666666"];

export function readTheme(root) {
  const style = getComputedStyle(root);
  const get = (name, usual) => style.getPropertyValue(`--st-${name}`).trim() || usual;
  const colours = get("chart-categorical-colors", "").split(",");
  const given = colours.map((colour) => colour.trim()).filter((colour) => CSS.supports("color", colour));
  const [text, paper] = [get("text-color", "#333333"), get("background-color", "#ffffff")];
  return {
    palette: (given.length ? given : OKABE_ITO).map((colour) => standingOut(colour, paper, text)),
    text,
    paper,
    shade: get("secondary-background-color", "#eeeeee"),
    line: get("border-color", "#dddddd"),
    accent: get("primary-color", "#8c2f39"),
    font: get("font", "sans-serif"),
    mono: get("code-font", "monospace"),
  };
}

// No line may be taken for its paper, whichever palette goes with whichever theme.
function standingOut(colour, paper, text) {
  const found = legible(rgb(colour), rgb(paper), rgb(text));
  return found.join() === rgb(colour).join() ? colour : css(found);
}

export const colourAt = (theme, index) => theme.palette[index % theme.palette.length];

// The n-th shade of a colour: the colour itself, then one nearer to the text, then one nearer to the paper.
export const RUN_SHADES = 3;

export function shadeAt(theme, index, nth) {
  const [pure, paper, text] = [colourAt(theme, index), theme.paper, theme.text].map(rgb);
  const shades = [() => pure, () => mix(pure, text, 0.45), () => legible(mix(pure, paper, 0.45), paper, text)];
  return nth % RUN_SHADES ? css(shades[nth % RUN_SHADES]().map(Math.round)) : colourAt(theme, index);
}

// The colour of surprise: a second one, so that it is not taken for the accent of what is chosen.
export const surpriseColour = (theme) => theme.palette[1] ?? theme.accent;

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
