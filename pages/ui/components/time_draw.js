// How the time machine's charts look. They share the pens of attention_draw.js, so what is on the page can be saved.

const LEFT = 44; // px left of the charts over steps: one axis below another
const RIGHT = 14;
const TRAIL = 8; // frames behind a character on the map

const clamp = (v, lo, hi) => Math.max(lo, Math.min(hi, v));
const fixed = (v, digits = 3) => (Number.isFinite(v) ? v.toFixed(digits) : "–");
const grouped = (n) => Math.round(n).toLocaleString("en");
const stepX = (view, width) => (step) => LEFT + (step / Math.max(1, view.header.of)) * (width - LEFT - RIGHT);

function niceTicks(lo, hi, count) {
  const rough = (hi - lo) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
  const made = [];
  for (let i = Math.ceil(lo / step - 1e-9); i <= hi / step + 1e-9; i++) made.push(+(i * step).toPrecision(12));
  return made;
}

// The value of frame `at` (a fraction between two snapshots while playing) of something that each frame has.
function between(view, pick) {
  const [i, part] = [Math.floor(view.at), view.at % 1];
  const a = pick(view.frames[i]);
  return part ? a + part * (pick(view.frames[Math.min(i + 1, view.frames.length - 1)]) - a) : a;
}

function axes(pen, view, width, height, y, yTicks, digits) {
  const { theme } = view;
  const small = `11px ${theme.font}`;
  const bottom = height - 22;
  for (const tick of yTicks) {
    pen.line(LEFT, Math.round(y(tick)) + 0.5, width - RIGHT, Math.round(y(tick)) + 0.5, theme.line);
    pen.text(tick.toFixed(digits), LEFT - 6, y(tick), theme.text, small, "right", 0.75);
  }
  const x = stepX(view, width);
  for (const tick of niceTicks(0, view.header.of, Math.max(2, width / 110))) pen.text(grouped(tick), x(tick), bottom + 11, theme.text, small, "center", 0.75);
}

function path(pen, xs, ys, x, y, colour, alpha, width) {
  for (let i = 1; i < xs.length; i++)
    if (Number.isFinite(ys[i]) && Number.isFinite(ys[i - 1])) pen.line(x(xs[i - 1]), y(ys[i - 1]), x(xs[i]), y(ys[i]), colour, alpha, width);
}

function drawMarker(pen, view, width, height, y, value) {
  const { theme } = view;
  const x = stepX(view, width)(between(view, (f) => f.step));
  pen.line(x, 6, x, height - 22, theme.primary, 0.9, 1.5);
  if (Number.isFinite(value)) pen.rect(x - 4, y(value) - 4, 8, 8, theme.primary);
}

// ---- the loss, with the marker that rides on it ----------------------------------------------------------------------

function lossAt(view) {
  const [steps, values] = view.curves.val;
  const step = between(view, (f) => f.step);
  if (!steps.length || step < steps[0]) return valueAt(...view.curves.train, step);
  return valueAt(steps, values, step);
}

function valueAt(steps, values, step) {
  if (!steps.length) return NaN;
  let i = 0;
  while (i < steps.length - 1 && steps[i + 1] <= step) i++;
  if (i === steps.length - 1 || step <= steps[i]) return values[i];
  return values[i] + ((step - steps[i]) / (steps[i + 1] - steps[i])) * (values[i + 1] - values[i]);
}

function drawLoss(pen, view, { width, height }) {
  const { theme, header, curves } = view;
  const all = [...curves.train[1], ...curves.val[1]];
  if (header.bigram && all.some((v) => v < header.bigram * 1.3)) all.push(header.bigram);
  let [lo, hi] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 5];
  const pad = 0.06 * (hi - lo) || 0.1;
  [lo, hi] = [lo - pad, hi + pad];
  const x = stepX(view, width);
  const y = (v) => 8 + ((hi - v) / (hi - lo)) * (height - 30);
  axes(pen, view, width, height, y, niceTicks(lo, hi, 4), 1);
  const small = `11px ${theme.font}`;
  if (header.bigram > lo && header.bigram < hi) {
    for (let at = LEFT; at < width - RIGHT; at += 9) pen.line(at, y(header.bigram), Math.min(at + 5, width - RIGHT), y(header.bigram), theme.text, 0.55);
    pen.text(`counted bigram ${header.bigram.toFixed(3)}`, width - RIGHT, y(header.bigram) - 8, theme.text, small, "right", 0.75);
  }
  path(pen, ...curves.train, x, y, theme.palette[0], 0.45, 1.25);
  path(pen, ...curves.val, x, y, theme.palette[1], 1, 2);
  for (let i = 0; i < curves.val[0].length; i++) pen.rect(x(curves.val[0][i]) - 2, y(curves.val[1][i]) - 2, 4, 4, theme.palette[1]);
  for (const frame of view.frames) pen.line(x(frame.step), height - 22, x(frame.step), height - 17, theme.text, 0.7);
  pen.text("train", width - RIGHT - 70, 14, theme.palette[0], small, "right");
  pen.text("validation", width - RIGHT, 14, theme.palette[1], small, "right");
  drawMarker(pen, view, width, height, y, lossAt(view));
}

// ---- careers ---------------------------------------------------------------------------------------------------------

function careerScale(view, height) {
  const all = view.frames.flatMap((f) => [...f.careers[view.career]]).filter(Number.isFinite);
  const [lo, hi] = [Math.min(0, ...all), Math.max(0.5, ...all)];
  return { lo, hi: hi + 0.05, y: (v) => 8 + ((hi + 0.05 - v) / (hi + 0.05 - lo)) * (height - 30) };
}

// Lines of heads ("layer.head") are coloured by their layer, others each by itself.
function lineColour(view, line) {
  const { lines } = view.header.careers[view.career];
  const layer = /^(\d+)\.\d+$/.exec(lines[line]);
  return view.theme.palette[(layer ? +layer[1] : line) % view.theme.palette.length];
}

function drawCareers(pen, view, { width, height }) {
  const { lo, hi, y } = careerScale(view, height);
  const x = stepX(view, width);
  const { lines } = view.header.careers[view.career];
  axes(pen, view, width, height, y, niceTicks(lo, hi, 4), 1);
  const steps = view.frames.map((f) => f.step);
  lines.forEach((_, line) => {
    const values = view.frames.map((f) => f.careers[view.career][line]);
    const [alpha, thick] = view.line === null ? [0.9, 1.75] : view.line === line ? [1, 3] : [0.25, 1.25];
    path(pen, steps, values, x, y, lineColour(view, line), alpha, thick);
    if (steps.length === 1 && Number.isFinite(values[0])) pen.rect(x(steps[0]) - 2, y(values[0]) - 2, 4, 4, lineColour(view, line));
  });
  drawMarker(pen, view, width, height, y, NaN);
}

// ---- the map, with trails --------------------------------------------------------------------------------------------

function drawPlaces(pen, view, { width, height }) {
  const { theme, header, reach } = view;
  const k = Math.min(width - 30, height - 30) / 2 / reach;
  const place = (f, i) => [width / 2 + k * f.places[2 * i], height / 2 - k * f.places[2 * i + 1]];
  pen.line(width / 2, 6, width / 2, height - 6, theme.line);
  pen.line(6, height / 2, width - 6, height / 2, theme.line);
  const now = Math.floor(view.at);
  header.characters.forEach((label, i) => {
    const colour = theme.palette[header.classes[i] % theme.palette.length];
    const at = [width / 2 + k * between(view, (f) => f.places[2 * i]), height / 2 - k * between(view, (f) => f.places[2 * i + 1])];
    const chosen = view.chosen === i;
    if (view.trails || chosen)
      for (let f = Math.max(0, chosen ? 0 : now - TRAIL); f <= now; f++) {
        const [from, to] = [place(view.frames[f], i), f === now ? at : place(view.frames[f + 1], i)];
        pen.line(...from, ...to, colour, chosen ? 0.9 : 0.08 + 0.4 * (1 - (now - f) / (TRAIL + 1)), chosen ? 2 : 1.25);
      }
    if (chosen) pen.frame(at[0] - 9, at[1] - 9, 18, 18, theme.text, 1.5);
    pen.text(label, ...at, colour, `${chosen ? 17 : 14}px ${theme.code}`, "center");
  });
  view.spots = header.characters.map((_, i) => [width / 2 + k * between(view, (f) => f.places[2 * i]), height / 2 - k * between(view, (f) => f.places[2 * i + 1])]);
}
