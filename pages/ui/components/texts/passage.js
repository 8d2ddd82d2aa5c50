// A passage, character by character: how many bits each model paid for it. One model shades the text by its surprise;
// several are compared by small bars below each character, and the text takes the colour of the first that got it free.
import { asked, mirror } from "../shared/address.js";
import { drawn, isolated, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { arrow, button, clamp, colourKey, element, place, shape, slider, swatch } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { savers } from "../shared/saving.js";
import { shadeAt, surpriseColour, surpriseRamp } from "../shared/theme.js";

const CELL = { w: 14, h: 24 };
const BARS = 24; // pixels of height for the bars of several models
const MOST = 8; // bits at which shading and bars are full
const FREE = { min: 0.1, max: 3, step: 0.1 }; // bits up to which a character may count as nearly for free
const QUOTED = 16; // characters of a context that are shown
const WHO = -1;

export default component(mount, update);

function mount(view) {
  Object.assign(view, { hover: null, kept: null });
  view.controls = element("div", { class: "bar" });
  view.note = element("p", { class: "quiet" });
  view.paper = element("div", { class: "paper", tabindex: 0, role: "application" });
  view.paper.ariaLabel = "The passage: arrow keys move from character to character, Escape lets go";
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  const reading = element("div", { class: "reading" }, view.paper, view.detail);
  view.root.append(view.controls, reading, view.note);
  const at = (event) => {
    const { x, y } = place(event, view.svg);
    return view.index.get(`${Math.floor(y / view.high)},${Math.floor(x / CELL.w)}`) ?? null;
  };
  const hover = (i) => {
    if (i === view.hover) return;
    view.hover = i;
    mark(view);
  };
  view.on(view.paper, "pointermove", (event) => hover(at(event)));
  view.on(view.paper, "pointerleave", () => hover(null));
  view.on(view.paper, "click", (event) => at(event) !== null && keep(view, at(event) === view.kept ? null : at(event)));
  view.on(view.paper, "keydown", (event) => {
    const to = reached(view, event);
    if (to === undefined) return;
    event.preventDefault();
    keep(view, to);
  });
  view.resized(view.paper, () => view.chars && draw(view));
}

// Where a key leads; undefined for other keys.
function reached(view, event) {
  const i = view.kept ?? 0;
  if (event.key === "Escape") return null;
  if (event.key === "Home" || event.key === "End") return event.key === "Home" ? 1 : view.chars.length - 1;
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
  share(view);
  draw(view);
  showControls(view);
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
  const size = { width: columns * CELL.w, height: rows * view.high };
  view.svg = shape("svg", { ...size, "font-family": theme.mono, "font-size": 15, "text-anchor": "middle" });
  view.shades = shape("g");
  const names = chars.map((c, i) => {
    const at = { x: left(view, i) + CELL.w / 2, y: above(view, i) + 17 };
    return shape("text", { ...at, "fill-opacity": /\s/.test(c) ? 0.35 : 1 }, c === " " ? "·" : drawn(c));
  });
  const bars = runs.length > 1 ? runs.map((run, r) => barsOf(view, run, r)) : [];
  const frame = { width: CELL.w, height: view.high - 3, rx: 2, fill: "none", display: "none" };
  view.frame = shape("rect", { ...frame, stroke: theme.accent, "stroke-width": 2 });
  view.ghost = shape("rect", { ...frame, class: "screen-only", stroke: theme.text, "stroke-width": 1.2 });
  view.svg.append(view.shades, ...bars, shape("g", { fill: theme.text }, ...names), view.frame, view.ghost);
  view.paper.replaceChildren(view.svg);
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
  return shape("path", { d: parts.join(""), fill: hueOf(view, r) });
}

function shadeText(view) {
  const { chars, runs, mode, theme } = view;
  const rects = [];
  const earned = new Array(runs.length + 1).fill(0); // the last: nobody
  for (let i = 1; i < chars.length; i++) {
    const who = earner(view, i);
    earned[who < 0 ? runs.length : who]++;
    const at = { x: left(view, i), y: above(view, i), width: CELL.w, height: CELL.h - 1 };
    if (mode !== WHO) {
      const opacity = Math.min(1, runs[mode].bits[i - 1] / MOST) * 0.85;
      rects.push(shape("rect", { ...at, fill: surpriseColour(theme), "fill-opacity": opacity }));
      if ((i - 1) % runs[mode].window === 0 && i > 1) rects.push(windowEdge(at, theme));
    } else if (who >= 0) rects.push(shape("rect", { ...at, fill: hueOf(view, who), "fill-opacity": 0.3 }));
  }
  view.shades.replaceChildren(...rects);
  view.counts?.forEach((node, r) => {
    node.textContent = r < runs.length ? ` ${earned[r]}` : `nobody ${earned[r]}`;
  });
}

// Where the model's window begins anew.
function windowEdge({ x, y }, theme) {
  return shape("line", { x1: x, x2: x, y1: y, y2: y + CELL.h, stroke: theme.text, "stroke-dasharray": "2 2" });
}

// ---- one character --------------------------------------------------------------------------------------------------

function mark(view) {
  const { chars } = view;
  const put = (frame, i) => {
    frame.setAttribute("display", i === null ? "none" : "inline");
    if (i === null) return;
    frame.setAttribute("x", left(view, i));
    frame.setAttribute("y", above(view, i));
  };
  put(view.frame, view.kept);
  put(view.ghost, view.hover);
  const i = view.hover ?? view.kept;
  view.detail.classList.toggle("pointed", i !== null);
  const quiet = (words) => element("p", { class: "quiet" }, words);
  if (i === null) return view.detail.replaceChildren(quiet("Point at a character; click to keep it."));
  view.detail.dataset.at = i;
  const before = isolated(
    chars
      .slice(Math.max(0, i - 24), i)
      .map(visible)
      .join(""),
  );
  const title = element(
    "p",
    {},
    `Character ${i + 1}: ${i > 24 ? "…" : ""}${before}`,
    element("b", {}, spelled(chars[i])),
  );
  view.detail.replaceChildren(title, i ? judged(view, i) : quiet("The first character is given, not predicted."));
}

// What a model could see of the text before character i: its context, as far as its window had begun.
function sawWords(view, { window, context }, i) {
  const seen = Math.min(((i - 1) % window) + 1, context ?? Infinity);
  const last = seen === 1 ? "saw the last character" : `saw the last ${seen} characters`;
  return seen > QUOTED
    ? last
    : `${last}, ${isolated(
        view.chars
          .slice(i - seen, i)
          .map(visible)
          .join(""),
      )}`;
}

function judged(view, i) {
  const { runs, rivals: K, theme } = view;
  const heads = ["", "bits", "probability", "rank"];
  const head = heads.map((words, c) => element("th", { class: c ? "number" : "" }, words));
  const rows = runs.flatMap((run, r) => {
    const bits = run.bits[i - 1];
    const colour = runs.length > 1 ? hueOf(view, r) : surpriseColour(theme);
    const numbers = [Number.isFinite(bits) ? bits.toFixed(3) : "∞", chance(2 ** -bits), `${run.rank[i - 1]}`];
    const expected = Array.from({ length: K }, (_, k) => (i - 1) * K + k).flatMap((at, k) => [
      `${k ? ", " : `${sawWords(view, run, i)}; expected `}`,
      element("b", {}, visible(view.characters[run.ids[at]])),
      ` ${chance(run.chances[at])}`,
    ]);
    const name = element("td", {}, swatch(colour), run.name);
    return [
      element("tr", {}, name, ...numbers.map((words) => element("td", { class: "number" }, words))),
      element("tr", { class: "expected" }, element("td", { colspan: 4 }, ...expected)),
    ];
  });
  return element("table", {}, element("tr", { class: "quiet" }, ...head), ...rows);
}

// ---- controls -------------------------------------------------------------------------------------------------------

function showControls(view) {
  const { runs, mode } = view;
  const several = runs.length > 1;
  view.counts = null;
  const choose = (to) => () => {
    view.mode = to;
    share(view);
    showControls(view);
  };
  const parts = [];
  if (several) {
    const count = () => element("span", { class: "quiet" });
    if (mode === WHO) view.counts = [...runs.map(count), count()];
    const help = "Colour each character by the first model, in the order of the ladder, that got it nearly for free";
    parts.push(button("Who earns it", help, choose(WHO), { "aria-pressed": mode === WHO }));
    runs.forEach((run, r) => {
      const words = [swatch(hueOf(view, r)), run.name, ...(view.counts ? [view.counts[r]] : [])];
      const shade = `Shade the text by how surprised ${run.name} was`;
      parts.push(button(words, shade, choose(r), { "aria-pressed": mode === r }));
    });
    if (view.counts) parts.push(view.counts.at(-1));
  }
  if (mode === WHO) {
    const help = "Nearly for free: at most this many bits. 1 bit is a probability of one half";
    const words = (bits) => (bits === 1 ? "1 bit" : `${bits} bits`);
    const moved = (bits) => {
      view.free = bits;
      share(view);
      shadeText(view);
    };
    parts.push(slider("free up to", help, { ...FREE, value: view.free }, words, moved));
  } else parts.push(colourKey("0 bits", surpriseRamp(view.theme), `${MOST} or more`));
  parts.push(savers(view, "surprise", { picture: () => view.svg, table: () => table(view) }));
  view.controls.replaceChildren(...parts);
  const bars = `Bars: bits paid by each model, up to ${MOST}.`;
  view.note.textContent = several ? bars : "Each character is shaded by -log2 of its probability.";
  shadeText(view); // fills in the counts
}

function table(view) {
  const { chars, runs } = view;
  const head = ["position", "character", ...runs.flatMap((run) => [`${run.name} bits`, `${run.name} rank`])];
  const numbers = (i) => runs.flatMap((run) => (i ? [run.bits[i - 1], run.rank[i - 1]] : ["", ""]));
  return [head, ...chars.map((c, i) => [i + 1, visible(c), ...numbers(i)])];
}
