// Several models write from one prompt, side by side, as the server writes; each character is tinted by the surprise of
// the model that wrote it.
import { drawn, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { colourKey, element, shape } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { letterOf, MOST, shareOfTint, tintsFrom } from "../shared/letters.js";
import { savers } from "../shared/saving.js";
import { colourAt, surpriseColour, surpriseRamp } from "../shared/theme.js";

const PAUSE = 30; // ms between an answer and the next question
const RETRY = 3000; // ms to wait for an answer before asking again
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
  view.polls = 0;
  view.ended = () => clearTimeout(view.timer);
}

function update(view, message) {
  const known = view.of === message.of && view.texts.length === message.columns.length;
  if (!known) view.texts = message.columns.map((column) => ({ ...column, chars: [], bits: [] }));
  Object.assign(view, { of: message.of, prompt: message.prompt, lacking: false });
  message.columns.forEach((column, c) => {
    const text = view.texts[c];
    Object.assign(text, { title: column.title, name: column.name, facts: column.facts, done: column.done });
    Object.assign(text, { slug: column.slug, hue: column.hue });
    if (column.from > text.chars.length) view.lacking = true;
    else {
      text.chars.splice(column.from, Infinity, ...column.text);
      text.bits.splice(column.from, Infinity, ...column.bits);
    }
  });
  tintsFrom(view);
  const colours = surpriseColour(view.theme) + colourAt(view.theme, 0);
  const shorter = known && view.texts.some(({ chars }, c) => view.papers[c].letters > chars.length);
  if (!known || shorter || colours !== view.colours) build(view);
  view.colours = colours;
  for (const c of view.texts.keys()) grow(view, c);
  view.root.dataset.shown = Math.min(...view.texts.map(({ chars }) => chars.length));
  clearTimeout(view.timer);
  const writing = view.lacking || view.texts.some(({ done }) => !done);
  view.root.setAttribute("aria-busy", writing);
  if (writing) view.timer = setTimeout(poll, PAUSE, view);
}

function poll(view) {
  view.timer = setTimeout(poll, document.hidden ? 500 : RETRY, view);
  if (document.hidden) return;
  const counts = Object.fromEntries(view.texts.map(({ slug, chars }) => [slug, chars.length]));
  view.trigger("poll", { of: view.of, counts, asked: ++view.polls });
}

function build(view) {
  view.papers = view.texts.map((text) => card(view, text));
  view.cards.replaceChildren(...view.papers.map(({ node }) => node));
  const count = view.papers.length;
  view.cards.style.setProperty("--columns", count > 4 ? Math.ceil(count / 2) : Math.max(1, count)); // rows alike
  view.controls.replaceChildren(
    colourKey("0 bits", surpriseRamp(view.theme), `${MOST} or more`),
    savers(view, "side-by-side", { picture: () => picture(view), table: () => table(view) }),
  );
  tell(view, null);
}

function card(view, { title, name, hue }) {
  const quiet = (tag, words) => element(tag, { class: "quiet" }, words);
  const facts = element("div", { class: "facts" });
  const text = element("pre", { tabindex: 0, class: "prose", "aria-label": `Written by ${name}` });
  text.append(quiet("span", view.prompt));
  const style = `border-top-color: ${colourAt(view.theme, hue)}`;
  const node = element("article", { class: "card", style }, element("h2", {}, title), quiet("p", name), facts, text);
  return { node, facts, text, letters: 0 };
}

// Add to a card what its model has written since.
function grow(view, c) {
  const [{ facts, chars, bits, done }, paper] = [view.texts[c], view.papers[c]];
  const fresh = chars.slice(paper.letters).map((letter, at) => {
    const i = paper.letters + at;
    return letterOf(letter, bits[i], { "data-at": `${c},${i}` });
  });
  paper.text.append(...fresh);
  paper.text.classList.toggle("writing", !done);
  paper.letters = chars.length;
  const told = facts.flatMap(([fact, value]) => [
    element("span", {}, element("span", { class: "quiet" }, fact), ` ${value}`),
  ]);
  paper.facts.replaceChildren(...told);
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
  const length = Math.max(...view.texts.map(({ chars }) => chars.length));
  return [head, ...Array.from({ length }, (_, i) => [i + 1, ...row(i)])];
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
