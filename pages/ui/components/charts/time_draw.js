// How the time machine's charts look.
import { drawn } from "../shared/characters.js";
import { grouped } from "../shared/format.js";
import { disc } from "../shared/pens.js";
import { niceValues } from "../shared/scales.js";
import { colourAt } from "../shared/theme.js";

export const LEFT = 44; // px left of the charts over steps: one axis below another
export const RIGHT = 14;
const FOOT = 22; // px below them
const TRAIL = 8; // frames behind a character on the map

const stepX = (view, width) => (step) => LEFT + (step / Math.max(1, view.header.of)) * (width - LEFT - RIGHT);

// The value of frame `at` (a fraction between two snapshots while playing) of something that each frame has.
export function between(view, pick) {
  const [i, part] = [Math.floor(view.at), view.at % 1];
  const a = pick(view.frames[i]);
  return part ? a + part * (pick(view.frames[Math.min(i + 1, view.frames.length - 1)]) - a) : a;
}

function drawAxes(pen, view, y, yTicks, digits) {
  const { theme, header } = view;
  const { width, height } = pen;
  const small = `11px ${theme.font}`;
  for (const tick of yTicks) {
    const at = Math.round(y(tick)) + 0.5;
    pen.line(LEFT, at, width - RIGHT, at, theme.line);
    pen.text(tick.toFixed(digits), LEFT - 6, y(tick), theme.text, small, "right", 0.75);
  }
  const x = stepX(view, width);
  for (const tick of niceValues(0, header.of, Math.max(2, width / 110)))
    pen.text(grouped(tick), x(tick), height - FOOT + 11, theme.text, small, "center", 0.75);
}

function drawPath(pen, points, colour, alpha, width) {
  const finite = ([x, y]) => Number.isFinite(x) && Number.isFinite(y);
  for (let i = 1; i < points.length; i++)
    if (finite(points[i]) && finite(points[i - 1])) pen.line(...points[i - 1], ...points[i], colour, alpha, width);
}

function drawMarker(pen, view, y, value) {
  const { accent } = view.theme;
  const x = stepX(view, pen.width)(between(view, (f) => f.step));
  pen.line(x, 6, x, pen.height - FOOT, accent, 0.9, 1.5);
  if (Number.isFinite(value)) pen.rect(x - 4, y(value) - 4, 8, 8, accent);
}

// ---- the loss, with the marker that rides on it ---------------------------------------------------------------------

function lossAt(view) {
  const [train, [steps, values]] = view.header.curves;
  const step = between(view, (f) => f.step);
  return !steps.length || step < steps[0] ? valueAt(...train, step) : valueAt(steps, values, step);
}

// What a curve says at a step, in a straight line between two of its points.
export function valueAt(steps, values, step) {
  if (!steps.length) return NaN;
  const next = steps.findIndex((other) => other > step);
  if (next <= 0) return values[next < 0 ? values.length - 1 : 0];
  const [from, to] = [steps[next - 1], steps[next]];
  return values[next - 1] + ((step - from) / (to - from)) * (values[next] - values[next - 1]);
}

export function drawLoss(pen, view) {
  const { theme, header } = view;
  const { width, height } = pen;
  const [train, val] = header.curves;
  const { bigram } = header;
  const all = [...train[1], ...val[1]];
  if (bigram && all.some((v) => v < bigram * 1.3)) all.push(bigram);
  const [least, most] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 5];
  const pad = 0.06 * (most - least) || 0.1;
  const [lo, hi] = [least - pad, most + pad];
  const x = stepX(view, width);
  const y = (v) => 8 + ((hi - v) / (hi - lo)) * (height - 30);
  const small = `11px ${theme.font}`;
  drawAxes(pen, view, y, niceValues(lo, hi, 4), 1);
  if (bigram > lo && bigram < hi) {
    const right = width - RIGHT;
    for (let at = LEFT; at < right; at += 9)
      pen.line(at, y(bigram), Math.min(at + 5, right), y(bigram), theme.text, 0.55);
    pen.text(`counted bigram ${bigram.toFixed(3)}`, right, y(bigram) - 8, theme.text, small, "right", 0.75);
  }
  const points = ([steps, values]) => Array.from(steps, (step, i) => [x(step), y(values[i])]);
  const hue = colourAt(theme, header.hue);
  drawPath(pen, points(train), hue, 0.8, 1.2);
  drawPath(pen, points(val), hue, 1, 2.5);
  pen.ctx.fillStyle = hue;
  for (const [px, py] of points(val)) disc(pen.ctx, px, py, 3);
  for (const { step } of view.frames) pen.line(x(step), height - FOOT, x(step), height - 17, theme.text, 0.7);
  pen.text("thin: train, thick with dots: validation", width - RIGHT, 14, theme.text, small, "right", 0.75);
  drawMarker(pen, view, y, lossAt(view));
}

// ---- careers --------------------------------------------------------------------------------------------------------

export function careerScale(view, height) {
  const all = view.frames.flatMap((f) => [...f.careers[view.career]]).filter(Number.isFinite);
  const [lo, hi] = [Math.min(0, ...all), Math.max(0.5, ...all) + 0.05];
  return { lo, hi, y: (v) => 8 + ((hi - v) / (hi - lo)) * (height - 30) };
}

// Lines of heads ("layer.head") are coloured by their layer, others each by itself.
export function careerColours({ lines }) {
  const layers = lines.map((line) => /^(\d+)\.\d+$/.exec(line)?.[1]);
  return lines.map((_, i) => Number(layers[i] ?? i));
}

export function drawCareers(pen, view) {
  const career = view.header.careers[view.career];
  const { lo, hi, y } = careerScale(view, pen.height);
  const x = stepX(view, pen.width);
  drawAxes(pen, view, y, niceValues(lo, hi - 0.05, 4), 1);
  const colours = careerColours(career);
  for (const line of career.lines.keys()) {
    const points = view.frames.map(({ step, careers }) => [x(step), y(careers[view.career][line])]);
    const colour = colourAt(view.theme, colours[line]);
    const [alpha, thick] = view.line === null ? [0.9, 1.75] : view.line === line ? [1, 3] : [0.25, 1.25];
    drawPath(pen, points, colour, alpha, thick);
    const [px, py] = points[0];
    if (points.length === 1 && Number.isFinite(py)) pen.rect(px - 2, py - 2, 4, 4, colour);
  }
  drawMarker(pen, view, y, NaN);
}

// ---- what the units of each hidden layer give: a histogram a layer -----------------------------------------------

const [RIDGE, NAMES] = [30, 104]; // px a layer, and for their names
const VISIBLE = 0.002; // a bin that holds less at every snapshot is not worth room

export const ridgesHeight = (view) => view.header.hidden.length * RIDGE + 12 + FOOT;

export function drawActivations(pen, view) {
  const { theme, header, frames } = view;
  const { edges, hidden } = header;
  const bins = edges.length - 1;
  const used = ({ activations }) =>
    [...activations.keys()].filter((i) => activations[i] > VISIBLE).map((i) => i % bins);
  view.usedBins ??= frames.flatMap(used).reduce(([lo, hi], b) => [Math.min(lo, b), Math.max(hi, b + 1)], [bins, 0]);
  const [lo, hi] = view.usedBins;
  const wide = (pen.width - NAMES - RIGHT) / Math.max(1, hi - lo);
  const small = `11px ${theme.font}`;
  for (const [m, name] of hidden.entries()) {
    const foot = (m + 1) * RIDGE + 8;
    const shares = Array.from({ length: bins }, (_, b) => between(view, (f) => f.activations[m * bins + b]));
    const [first, second] = [...shares].sort((a, b) => b - a);
    const clipped = first > 4 * second; // such as the zeros of a ReLU: cut off, and said
    const most = Math.max(1e-9, clipped ? 2 * second : first);
    const colour = colourAt(theme, m);
    for (let b = lo; b < hi; b++) {
      const high = Math.sqrt(Math.min(1, shares[b] / most)) * (RIDGE - 4); // by its root, so that rare values show
      if (high > 0) pen.rect(NAMES + (b - lo) * wide, foot - high, Math.max(1, wide - 0.5), high, colour, 0.8);
    }
    if (clipped) {
      const words = `${(100 * first).toFixed(0)} % in the bar that is cut off`;
      pen.text(words, pen.width - RIGHT, foot - RIDGE + 10, theme.text, small, "right", 0.9);
    }
    pen.line(NAMES, foot + 0.5, pen.width - RIGHT, foot + 0.5, theme.line);
    pen.text(name, NAMES - 8, foot - RIDGE / 2 + 4, theme.text, small, "right", 0.85);
  }
  const at = (value) => NAMES + (edges.findIndex((edge) => edge >= value) - lo) * wide;
  for (const tick of [-100, -10, -1, 0, 1, 10, 100]) {
    if (tick < edges[lo] || tick > edges[hi]) continue;
    pen.line(at(tick), 8, at(tick), pen.height - FOOT, theme.line, 0.7);
    pen.text(String(tick), at(tick), pen.height - FOOT + 11, theme.text, small, "center", 0.75);
  }
}

// ---- the map, with trails -------------------------------------------------------------------------------------------

export function drawPlaces(pen, view) {
  const { theme, header, reach } = view;
  const { width, height } = pen;
  const k = Math.min(width - 30, height - 30) / 2 / reach;
  const screen = (x, y) => [width / 2 + k * x, height / 2 - k * y];
  const place = (f, i) => screen(f.places[2 * i], f.places[2 * i + 1]);
  pen.line(width / 2, 6, width / 2, height - 6, theme.line);
  pen.line(6, height / 2, width - 6, height / 2, theme.line);
  const now = Math.floor(view.at);
  view.spots = header.characters.map((label, i) => {
    const colour = colourAt(theme, header.classes[i]);
    const at = screen(
      between(view, (f) => f.places[2 * i]),
      between(view, (f) => f.places[2 * i + 1]),
    );
    const chosen = view.chosen === i;
    for (let f = Math.max(0, chosen ? 0 : now - TRAIL); (view.trails || chosen) && f <= now; f++) {
      const to = f === now ? at : place(view.frames[f + 1], i);
      const alpha = chosen ? 0.9 : 0.08 + 0.4 * (1 - (now - f) / (TRAIL + 1));
      pen.line(...place(view.frames[f], i), ...to, colour, alpha, chosen ? 2 : 1.25);
    }
    if (chosen) pen.frame(at[0] - 9, at[1] - 9, 18, 18, theme.text, 1.5);
    pen.text(drawn(label), ...at, colour, `${chosen ? 17 : 14}px ${theme.mono}`, "center");
    return at;
  });
}
