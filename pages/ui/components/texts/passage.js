// A passage, character by character: how many bits each model paid for it. One model shades the text by its surprise;
// several are compared by small bars below each character, and the text takes the colour of the first that got it free.
import { asked, mirror } from "../shared/address.js";
import { drawn, isolated, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { arrow, button, clamp, element, place, pointed, slider, swatch } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { MOST, shareOfTint, surpriseKey, tintsFrom } from "../shared/letters.js";
import { savers } from "../shared/saving.js";
import { shadeAt, surpriseColour } from "../shared/theme.js";
import { html, render, svg } from "../shared/vendor/lit-html.js";

const CELL = { w: 14, h: 24 };
const BARS = 24; // pixels of height for the bars of several models
const FREE = { min: 0.1, max: 3, step: 0.1 }; // bits up to which a character may count as nearly for free
const QUOTED = 16; // characters of a context that are shown
const LED = 24; // characters before the one that is told of
const WHO = -1;
const HELP = {
  who: "Colour each character by the first model, in the order of the ladder, that got it nearly for free",
  free: "Nearly for free: at most this many bits. 1 bit is a probability of one half",
  paper: "The passage: arrow keys move from character to character, Escape lets go",
};

export default component(mount, update);

function mount(view) {
  Object.assign(view, { hover: null, kept: null });
  view.controls = element("div", { class: "bar" });
  view.note = element("p", { class: "quiet" });
  view.paper = element("div", { class: "paper", tabindex: 0, role: "application", "aria-label": HELP.paper });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.root.append(view.controls, element("div", { class: "reading" }, view.paper, view.detail), view.note);
  const at = (event) => {
    const { x, y } = place(event, view.paper);
    return view.index.get(`${Math.floor(y / view.high)},${Math.floor(x / CELL.w)}`) ?? null;
  };
  const hover = (i) => {
    if (i === view.hover) return;
    view.hover = i;
    mark(view);
  };
  const pressed = (event) => {
    const to = reached(view, event);
    return to === undefined ? false : keep(view, to);
  };
  pointed(view, view.paper, at, { hover, pressed, keep: (i) => keep(view, i === view.kept ? null : i) });
  view.resized(view.paper, () => view.chars && draw(view));
}

// Where a key leads; undefined for other keys.
function reached(view, event) {
  const i = view.kept ?? 0;
  const ends = { Escape: null, Home: 1, End: view.chars.length - 1 };
  if (event.key in ends) return ends[event.key];
  const step = arrow(event);
  if (!step) return undefined;
  if (step[0]) return i + step[0];
  const { row, column } = view.places[i];
  for (let c = column; c >= 0; c--)
    if (view.index.has(`${row + step[1]},${c}`)) return view.index.get(`${row + step[1]},${c}`);
  return i;
}

function keep(view, i) {
  view.kept = i === null ? null : clamp(i, 0, view.chars.length - 1);
  share(view);
  mark(view);
}

function update(view, message) {
  const first = view.text === undefined;
  const other = message.text !== view.text;
  Object.assign(view, { text: message.text, chars: [...message.text], runs: message.runs });
  Object.assign(view, { characters: message.characters, rivals: message.rivals });
  if (first) {
    const [free, marked] = [Number(asked("free") ?? 1), Number(asked("mark"))];
    view.free = free >= FREE.min && free <= FREE.max ? free : 1;
    view.kept = marked >= 1 ? Math.min(marked, view.chars.length) - 1 : null;
    view.mode = view.runs.findIndex((run) => run.slug === asked("shade"));
  } else if (other) [view.kept, view.hover] = [null, null];
  if (view.mode >= view.runs.length) view.mode = WHO;
  if (view.runs.length === 1) view.mode = 0;
  tintsFrom(view);
  share(view);
  draw(view);
}

function share(view) {
  mirror(view, {
    shade: view.runs.length > 1 && view.mode !== WHO ? view.runs[view.mode].slug : null,
    free: view.free === 1 ? null : String(view.free),
    mark: view.kept === null ? null : String(view.kept + 1),
  });
}

// ---- the text -------------------------------------------------------------------------------------------------------

// The first run, in the order of the ladder, that paid at most `free` bits; -1 if none did.
const earner = (view, i) => view.runs.findIndex((run) => run.bits[i - 1] <= view.free);

// Lines break at a line break, and where the paper ends: after the last space if there is one.
function layOut(chars, columns) {
  const places = [];
  let [row, column, space] = [0, 0, -1];
  chars.forEach((c, i) => {
    if (column >= columns) {
      const from = space >= 0 && i - space < columns ? space + 1 : i;
      row++;
      column = 0;
      for (let j = from; j < i; j++) places[j] = { row, column: column++ };
      space = -1;
    }
    places[i] = { row, column: column++ };
    if (c === " ") space = i;
    if (c === "\n") [row, column, space] = [row + 1, 0, -1];
  });
  return places;
}

const left = (view, i) => view.places[i].column * CELL.w;
const above = (view, i) => view.places[i].row * view.high;

function draw(view) {
  const { chars, runs, theme } = view;
  const columns = Math.max(10, Math.floor(view.paper.clientWidth / CELL.w));
  view.high = CELL.h + (runs.length > 1 ? BARS + 8 : 6);
  view.places = layOut(chars, columns);
  view.index = new Map(view.places.map(({ row, column }, i) => [`${row},${column}`, i]));
  const rows = 1 + Math.max(...view.places.map((p) => p.row));
  const letter = (c, i) => svg`<text x=${left(view, i) + CELL.w / 2} y=${above(view, i) + 17}
    fill-opacity=${/\s/.test(c) ? 0.35 : 1}>${c === " " ? "·" : drawn(c)}</text>`;
  const bars = runs.length > 1 ? runs.map((run, r) => barsOf(view, run, r)) : [];
  const picture = html`<svg width=${columns * CELL.w} height=${rows * view.high} font-family=${theme.mono}
    font-size="15" text-anchor="middle"><g class="shades"></g>${bars}<g fill=${theme.text}>${chars.map(letter)}</g>
    <g class="frames" fill="none"></g></svg>`;
  render(picture, view.paper);
  shadeText(view);
  mark(view);
}

// Its rung's colour; of the second run of a rung, a shade of it.
function hueOf({ theme, runs }, r) {
  const before = runs.slice(0, r).filter(({ hue }) => hue === runs[r].hue).length;
  return shadeAt(theme, runs[r].hue, before);
}

function barsOf(view, run, r) {
  const w = (CELL.w - 2) / view.runs.length;
  const parts = Array.from(run.bits, (bits, at) => {
    const h = Math.max(0.4, (Math.min(MOST, bits) / MOST) * BARS);
    const [x, y] = [left(view, at + 1) + 1 + r * w, above(view, at + 1) + CELL.h + BARS];
    return `M${x.toFixed(1)} ${y.toFixed(1)}v${(-h).toFixed(1)}h${(w * 0.85).toFixed(2)}v${h.toFixed(1)}z`;
  });
  return svg`<path d=${parts.join("")} fill=${hueOf(view, r)}></path>`;
}

function shadeText(view) {
  const { chars, runs, mode, theme } = view;
  const earned = new Array(runs.length + 1).fill(0); // the last: nobody
  const hues = runs.map((_, r) => hueOf(view, r));
  const shade = (i) => {
    const who = earner(view, i);
    earned[who < 0 ? runs.length : who]++;
    const [x, y] = [left(view, i), above(view, i)];
    const rect = (fill, opacity) => svg`<rect x=${x} y=${y} width=${CELL.w} height=${CELL.h - 1} fill=${fill}
      fill-opacity=${opacity}></rect>`;
    if (mode === WHO) return who < 0 ? "" : rect(hues[who], 0.3);
    const begins = (i - 1) % runs[mode].window === 0 && i > 1; // the model's window, anew
    const edge = () => svg`<line x1=${x} x2=${x} y1=${y} y2=${y + CELL.h} stroke=${theme.text}
      stroke-dasharray="2 2"></line>`;
    return [rect(surpriseColour(theme), shareOfTint(runs[mode].bits[i - 1])), begins ? edge() : ""];
  };
  render(
    chars.slice(1).map((_, at) => shade(at + 1)),
    view.paper.querySelector(".shades"),
  );
  controls(view, earned);
}

// ---- one character --------------------------------------------------------------------------------------------------

function mark(view) {
  const { chars, theme } = view;
  const frame = (i, stroke, width, kind) =>
    i === null
      ? ""
      : svg`<rect class=${kind} x=${left(view, i)} y=${above(view, i)} width=${CELL.w} height=${view.high - 3} rx="2"
        stroke=${stroke} stroke-width=${width}></rect>`;
  const frames = [frame(view.kept, theme.accent, 2, ""), frame(view.hover, theme.text, 1.2, "screen-only")];
  render(frames, view.paper.querySelector(".frames"));
  const i = view.hover ?? view.kept;
  view.detail.classList.toggle("pointed", i !== null);
  if (i !== null) view.detail.dataset.at = i;
  const quiet = (words) => html`<p class="quiet">${words}</p>`;
  if (i === null) return render(quiet("Point at a character; click to keep it."), view.detail);
  const before = `${i > LED ? "…" : ""}${signs(chars.slice(Math.max(0, i - LED), i))}`;
  const said = i ? judged(view, i) : quiet("The first character is given, not predicted.");
  render(html`<p>Character ${i + 1}: ${before}<b>${spelled(chars[i])}</b></p>${said}`, view.detail);
}

const signs = (chars) => isolated(chars.map(visible).join(""));

// What a model could see of the text before character i: its context, as far as its window had begun.
function sawWords({ chars }, { window, context }, i) {
  const seen = Math.min(((i - 1) % window) + 1, context ?? Infinity);
  const last = seen === 1 ? "saw the last character" : `saw the last ${seen} characters`;
  return seen > QUOTED ? last : `${last}, ${signs(chars.slice(i - seen, i))}`;
}

function judged(view, i) {
  const { runs, rivals: K, theme } = view;
  const row = (run, r) => {
    const bits = run.bits[i - 1];
    const colour = runs.length > 1 ? hueOf(view, r) : surpriseColour(theme);
    const numbers = [Number.isFinite(bits) ? bits.toFixed(3) : "∞", chance(2 ** -bits), run.rank[i - 1]];
    const expected = Array.from({ length: K }, (_, k) => (i - 1) * K + k).map(
      (at, k) => html`${k ? ", " : ""}<b>${visible(view.characters[run.ids[at]])}</b> ${chance(run.chances[at])}`,
    );
    return html`<tr><td>${swatch(colour)}${run.name}</td>${numbers.map((n) => html`<td class="number">${n}</td>`)}</tr>
      <tr class="expected"><td colspan="4">${sawWords(view, run, i)}; expected ${expected}</td></tr>`;
  };
  const head = ["bits", "probability", "rank"].map((words) => html`<th class="number">${words}</th>`);
  return html`<table><tr class="quiet"><th></th>${head}</tr>${runs.map(row)}</table>`;
}

// ---- controls -------------------------------------------------------------------------------------------------------

function controls(view, earned) {
  const { runs, mode } = view;
  const several = runs.length > 1;
  const choose = (to) => () => {
    view.mode = to;
    share(view);
    shadeText(view);
  };
  const count = (words) => (mode === WHO ? html`<span class="quiet">${words}</span>` : "");
  const models = runs.map((run, r) => {
    const words = [swatch(hueOf(view, r)), run.name, count(` ${earned[r]}`)];
    return button(words, `Shade the text by how surprised ${run.name} was`, choose(r), { pressed: mode === r });
  });
  const words = (bits) => (bits === 1 ? "1 bit" : `${bits} bits`);
  const moved = (bits) => {
    view.free = bits;
    share(view);
    shadeText(view);
  };
  const saved = { picture: () => view.paper.querySelector("svg"), table: () => table(view) };
  const bar = html`
    ${several ? [button("Who earns it", HELP.who, choose(WHO), { pressed: mode === WHO }), models] : ""}
    ${several ? count(`nobody ${earned.at(-1)}`) : ""}
    ${mode === WHO ? slider("free up to", HELP.free, { ...FREE, value: view.free }, words, moved) : surpriseKey()}
    ${savers(view, "surprise", saved)}`;
  render(bar, view.controls);
  const bars = `Bars: bits paid by each model, up to ${MOST}.`;
  view.note.textContent = several ? bars : "Each character is shaded by -log2 of its probability.";
}

function table(view) {
  const { chars, runs } = view;
  const head = ["position", "character", ...runs.flatMap((run) => [`${run.name} bits`, `${run.name} rank`])];
  const numbers = (i) => runs.flatMap((run) => (i ? [run.bits[i - 1], run.rank[i - 1]] : ["", ""]));
  return [head, ...chars.map((c, i) => [i + 1, visible(c), ...numbers(i)])];
}
