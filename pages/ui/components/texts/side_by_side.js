// Several models write from one prompt, side by side and in step; each character is tinted by the surprise of the model
// that wrote it.
import { drawn, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { button, colourKey, element, shape } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { letterOf, MOST, shareOfTint, tintsFrom } from "../shared/letters.js";
import { savers } from "../shared/saving.js";
import { colourAt, still, surpriseColour, surpriseRamp } from "../shared/theme.js";

const PACE = 60; // characters a second while the text appears
const PRINT = { w: 8, h: 18, columns: 36, gap: 24 }; // of the saved picture, px

export default component(mount, update);

function mount(view) {
  view.controls = element("div", { class: "bar" });
  view.cards = element("div", { class: "cards" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.root.append(view.controls, view.cards, view.detail);
  const over = (event) => tell(view, event.target.closest?.("[data-at]"));
  view.on(view.cards, "pointerover", over);
  view.on(view.cards, "click", over);
}

function update(view, message) {
  tintsFrom(view);
  view.texts = message.columns.map((column) => ({ ...column, chars: [...column.text] }));
  view.cards.replaceChildren(...view.texts.map((column, c) => card(view, column, c, message.prompt)));
  view.letters = [...view.cards.children].map((node) => [...node.querySelectorAll("[data-at]")]);
  view.most = Math.max(...view.letters.map((letters) => letters.length));
  view.controls.replaceChildren(
    button("Replay", "Let them write it again", () => play(view)),
    colourKey("0 bits", surpriseRamp(view.theme), `${MOST} or more`),
    savers(view, "side-by-side", { picture: () => picture(view), table: () => table(view) }),
  );
  tell(view, null);
  if (view.fresh) play(view);
}

function card(view, { title, name, facts, chars, bits, hue: rung }, c, prompt) {
  const quiet = (tag, words) => element(tag, { class: "quiet" }, words);
  const letters = chars.map((letter, i) => letterOf(letter, bits[i], { "data-at": `${c},${i}` }));
  const told = facts.map(([fact, value]) => element("span", {}, quiet("span", fact), ` ${value}`));
  const paper = { tabindex: 0, class: "prose", "aria-label": `Written by ${name}` };
  return element(
    "article",
    { class: "card", style: `border-top-color: ${colourAt(view.theme, rung)}` },
    element("h2", {}, title),
    quiet("p", name),
    element("div", { class: "facts" }, ...told),
    element("pre", paper, quiet("span", prompt), ...letters),
  );
}

function play(view) {
  cancelAnimationFrame(view.request);
  const start = performance.now();
  const atOnce = still();
  const frame = (now) => {
    const shown = atOnce ? view.most : Math.floor(((now - start) / 1000) * PACE);
    for (const letters of view.letters) for (const [i, letter] of letters.entries()) letter.hidden = i >= shown;
    view.root.dataset.shown = Math.min(shown, view.most);
    if (shown < view.most && view.root.isConnected) view.request = requestAnimationFrame(frame);
  };
  frame(start);
}

function tell(view, letter) {
  const said = (...words) => view.detail.replaceChildren(element("p", { class: letter ? "" : "quiet" }, ...words));
  if (!letter) return said("Point at a character to see what its writer thought of it.");
  const [c, i] = letter.dataset.at.split(",").map(Number);
  const { name, bits, chars } = view.texts[c];
  const chanceOf = ` had probability ${chance(2 ** -bits[i])} under the model, ${bits[i].toFixed(3)} bits.`;
  said(`${name}, character ${i + 1}: `, element("b", {}, spelled(chars[i])), chanceOf);
}

function table(view) {
  const head = ["position", ...view.texts.flatMap(({ name }) => [name, `${name} bits`])];
  const row = (i) => view.texts.flatMap(({ chars, bits }) => [visible(chars[i] ?? ""), bits[i] ?? ""]);
  return [head, ...Array.from({ length: view.most }, (_, i) => [i + 1, ...row(i)])];
}

function picture(view) {
  const { theme } = view;
  const { w, h, columns, gap } = PRINT;
  const svg = shape("svg", { "font-family": theme.mono, "font-size": 13, fill: theme.text });
  let deepest = 0;
  view.texts.forEach(({ title, facts, chars, bits }, c) => {
    const x0 = gap + c * (columns * w + gap);
    svg.append(shape("text", { x: x0, y: 24, "font-weight": 700, "font-size": 15 }, title));
    const small = { x: x0, "font-size": 11, "fill-opacity": 0.8 };
    svg.append(...facts.map(([name, value], i) => shape("text", { ...small, y: 44 + 16 * i }, `${name} ${value}`)));
    let [row, column] = [0, 0];
    chars.forEach((letter, i) => {
      const [x, y] = [x0 + column * w, 44 + 16 * facts.length + row * h];
      const tint = { fill: surpriseColour(theme), "fill-opacity": shareOfTint(bits[i]) };
      svg.append(shape("rect", { x, y, width: w, height: h - 1, ...tint }));
      svg.append(shape("text", { x, y: y + 13 }, drawn(letter)));
      column++;
      if (letter === "\n" || column === columns) [row, column] = [row + 1, 0];
      deepest = Math.max(deepest, y + h);
    });
  });
  svg.setAttribute("width", gap + view.texts.length * (columns * w + gap));
  svg.setAttribute("height", deepest + gap);
  return svg;
}
