// Several models write from one prompt, side by side, as the server writes; each character is tinted by the surprise of
// the model that wrote it.
import { drawn, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { element, made, numberAt } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { letterOf, shareOfTint, surpriseKey, tintsFrom } from "../shared/letters.js";
import { savers } from "../shared/saving.js";
import { colourAt, surpriseColour } from "../shared/theme.js";
import { html, render, svg } from "../shared/vendor/lit-html.js";

const PAUSE = 30; // ms between an answer and the next question
const PRINT = { w: 8, h: 18, columns: 36, gap: 24 }; // of the saved picture, px

export default component(mount, update);

function mount(view) {
  view.controls = element("div", { class: "bar" });
  view.cards = element("div", { class: "cards" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.root.append(view.controls, view.cards, view.detail);
  const saved = { picture: () => picture(view), table: () => table(view) };
  render(html`${surpriseKey()}${savers(view, "side-by-side", saved)}`, view.controls);
  const over = (event) => tell(view, numberAt(event, "c"), numberAt(event, "at"));
  view.on(view.cards, "pointerover", over);
  view.on(view.cards, "click", over);
  view.polls = 0;
}

function update(view, message) {
  const known = view.of === message.of && view.texts.length === message.columns.length;
  if (!known) view.texts = message.columns.map(() => ({ chars: [], bits: [] }));
  Object.assign(view, { of: message.of, prompt: message.prompt, lacking: false });
  for (const [c, { from, text, bits, ...about }] of message.columns.entries()) {
    const column = Object.assign(view.texts[c], about);
    if (from > column.chars.length) view.lacking = true;
    else {
      column.chars.splice(from, Infinity, ...text);
      column.bits.splice(from, Infinity, ...bits);
    }
  }
  tintsFrom(view);
  cards(view, known);
  if (!known) tell(view, null);
  view.root.dataset.shown = Math.min(...view.texts.map(({ chars }) => chars.length));
  const writing = view.lacking || view.texts.some(({ done }) => !done);
  view.root.setAttribute("aria-busy", writing);
  if (writing) view.poll(PAUSE, question);
  else view.quiet();
}

function question(view) {
  const counts = Object.fromEntries(view.texts.map(({ slug, chars }) => [slug, chars.length]));
  return { of: view.of, counts, asked: ++view.polls };
}

function cards(view, known) {
  const fact = ([name, value]) => html`<span><span class="quiet">${name}</span> ${value}</span>`;
  const card = ({ title, name, hue, facts, done }) => html`<article class="card"
    style="border-top-color: ${colourAt(view.theme, hue)}"><h2>${title}</h2><p class="quiet">${name}</p>
    <div class="facts">${facts.map(fact)}</div>
    <pre tabindex="0" class="prose ${done ? "" : "writing"}" aria-label="Written by ${name}"></pre></article>`;
  render(view.texts.map(card), view.cards);
  const count = view.texts.length;
  view.cards.style.setProperty("--columns", count > 4 ? Math.ceil(count / 2) : Math.max(1, count)); // rows alike
  for (const [c, paper] of view.cards.querySelectorAll("pre").entries()) {
    const { chars, bits } = view.texts[c];
    if (!known || paper.childElementCount > 1 + chars.length)
      paper.replaceChildren(made(html`<span class="quiet">${view.prompt}</span>`));
    const from = paper.childElementCount - 1;
    const letter = (character, at) => letterOf(character, bits[from + at], { "data-c": c, "data-at": from + at });
    paper.append(...chars.slice(from).map(letter));
  }
}

function tell(view, c, i) {
  const { name, bits, chars } = view.texts[c] ?? {};
  const said = () =>
    html`<p>${name}, character ${i + 1}: <b>${spelled(chars[i])}</b> had probability ${chance(
      2 ** -bits[i],
    )} under the model, ${bits[i].toFixed(3)} bits.</p>`;
  const asked = html`<p class="quiet">Point at a character to see what its writer thought of it.</p>`;
  render(chars ? said() : asked, view.detail);
}

function table(view) {
  const head = ["position", ...view.texts.flatMap(({ name }) => [name, `${name} bits`])];
  const row = (i) => view.texts.flatMap(({ chars, bits }) => [visible(chars[i] ?? ""), bits[i] ?? ""]);
  const length = Math.max(...view.texts.map(({ chars }) => chars.length));
  return [head, ...Array.from({ length }, (_, i) => [i + 1, ...row(i)])];
}

function picture({ theme, texts }) {
  const { w, h, columns, gap } = PRINT;
  let deepest = 0;
  const column = ({ title, facts, chars, bits }, c) => {
    const x0 = gap + c * (columns * w + gap);
    const fact = ([name, value], i) =>
      svg`<text x=${x0} y=${44 + 16 * i} font-size="11" fill-opacity="0.8">${name} ${value}</text>`;
    let [row, at] = [0, 0];
    const letter = (character, i) => {
      const [x, y] = [x0 + at++ * w, 44 + 16 * facts.length + row * h];
      if (character === "\n" || at === columns) [row, at] = [row + 1, 0];
      deepest = Math.max(deepest, y + h);
      return svg`<rect x=${x} y=${y} width=${w} height=${h - 1} fill=${surpriseColour(theme)}
        fill-opacity=${shareOfTint(bits[i])}></rect><text x=${x} y=${y + 13}>${drawn(character)}</text>`;
    };
    return svg`<text x=${x0} y="24" font-weight="700" font-size="15">${title}</text>${facts.map(fact)}
      ${chars.map(letter)}`;
  };
  const content = texts.map(column);
  return made(html`<svg font-family=${theme.mono} font-size="13" fill=${theme.text}
    width=${gap + texts.length * (columns * w + gap)} height=${deepest + gap}>${content}</svg>`);
}
