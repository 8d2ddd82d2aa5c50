// How a chart of curves looks, on the page and in saved pictures.

import { faintest, rgb } from "../shared/colours.js";
import { disc, segment, textWidth, write } from "../shared/pens.js";
import { colour, dashed, groups, nearest, shownCurves, slot } from "./curves_state.js";

const [THIN, THICK] = [1.2, 2.5]; // training and validation, here and wherever they are drawn
const TWIN = { train: 0.7, val: 1.3 }; // one of several alike
const GHOST = 0.4; // opacity of a run that was there before
const LEGEND = { line: 18, gap: 26 }; // of saved pictures, px

export function draw(ctx, view, f) {
  drawAxes(ctx, view, f);
  ctx.save();
  ctx.beginPath();
  ctx.rect(f.left, f.top, f.right - f.left, f.bottom - f.top);
  ctx.clip();
  drawLandmarks(ctx, view, f);
  const ghosts = f.shown.filter((curve) => curve.ghost);
  const present = f.shown.filter((curve) => !curve.ghost);
  const [train, fits, val] = ["train", "fit", "val"].map((kind) => present.filter((curve) => curve.kind === kind));
  for (const curve of present) if (curve.low) drawBand(ctx, view, f, curve);
  for (const curve of fits) drawLine(ctx, view, f, curve, "smooth", 1.5, 1);
  for (const curve of ghosts) drawLine(ctx, view, f, curve, "smooth", 1.5, Math.max(GHOST, faintness(view, curve)));
  for (const curve of train) if (!curve.raw) drawLine(ctx, view, f, curve, "value", 1, faintness(view, curve));
  for (const curve of train) drawLine(ctx, view, f, curve, "smooth", curve.twin ? TWIN.train : THIN, 1);
  for (const curve of val) drawLine(ctx, view, f, curve, "smooth", curve.twin ? TWIN.val : THICK, 1, true);
  const dotted = ({ kind, n }) => kind === "val" || kind === "points" || n === 1;
  for (const curve of present.filter(dotted)) drawDots(ctx, view, f, curve);
  ctx.restore();
  drawMarks(ctx, view, f);
  drawLabels(ctx, view, f);
  if (!f.shown.length) drawNothing(ctx, view, f);
}

const faintness = (view, curve) => faintest(rgb(colour(view, curve.group)), rgb(view.theme.paper));
const yTitle = (view) => view.header.y_label + (view.ui.logy ? ", log" : "");

function drawNothing(ctx, view, f) {
  ctx.font = `14px ${view.theme.font}`;
  ctx.fillStyle = view.theme.text;
  const words = [...view.curves.values()].some((curve) => curve.n) ? "All curves are hidden" : "No points yet";
  const [x, y, w] = [(f.left + f.right) / 2, (f.top + f.bottom) / 2, textWidth(words, ctx.font)];
  ctx.clearRect(x - w / 2 - 8, y - 10, w + 16, 20);
  write(ctx, words, x, y, "center", 0.7);
}

function drawAxes(ctx, view, f) {
  Object.assign(ctx, { font: f.font, fillStyle: view.theme.text, strokeStyle: view.theme.line });
  Object.assign(ctx, { textBaseline: "middle", lineWidth: 1 });
  for (const { value, text } of f.yTicks) {
    const y = Math.round(f.y.px(value)) + 0.5;
    ctx.globalAlpha = 0.55;
    segment(ctx, f.left, y, f.right, y);
    write(ctx, text, f.left - 8, y, "right", 0.75);
  }
  segment(ctx, f.left, f.bottom + 0.5, f.right, f.bottom + 0.5);
  for (const { value, text } of f.xTicks) {
    const x = Math.round(f.x.px(value)) + 0.5;
    segment(ctx, x, f.bottom, x, f.bottom + 4);
    write(ctx, text, Math.min(x, f.width - textWidth(text, f.font) / 2), f.bottom + 14, "center", 0.75);
  }
  write(ctx, yTitle(view), 0, 9, "left", 0.75);
  write(ctx, f.xTitle + (f.x.log ? ", log" : ""), f.right, f.height - 7, "right", 0.75);
}

// Adds the line through the points to the path. A pixel column with many points is filled at once, from its lowest to
// its highest and on to the column before: looks the same, and is several times as fast as stroking the zigzag.
function trace(ctx, xs, ys, n, f, thick, dash) {
  const [sx, sy, fine] = [f.x.px, f.y.px, window.devicePixelRatio || 1];
  let [column, count, x, first, low, high, last] = [NaN, 0, 0, 0, 0, 0, 0];
  let [pen, fromX, fromY] = [false, NaN, 0]; // pen: the path is at (fromX, fromY); NaN: no point to come from
  let [barColumn, barLow, barHigh] = [NaN, 0, 0];
  const sideOf = (px) => (px < f.left ? -1 : px > f.right ? 1 : 0);
  const go = (px, py) => {
    const known = !Number.isNaN(fromX);
    if (!pen) ctx.moveTo(known ? fromX : px, known ? fromY : py);
    ctx.lineTo(px, py);
    [pen, fromX, fromY] = [true, px, py];
  };
  const bar = () => {
    if (barColumn !== column - 1) go(x, first);
    else if (low > barHigh) low = barHigh;
    else if (high < barLow) high = barLow;
    if (!dash || column % 12 < 8) ctx.fillRect(column / fine, low - thick / 2, 1 / fine, high - low + thick);
    [barColumn, barLow, barHigh] = [column, low, high];
    [pen, fromX, fromY] = [false, x, last];
  };
  const flush = () => {
    if (count > 3) bar();
    else if (count) {
      go(x, first);
      for (const y of low < high ? [low, high, last] : []) go(x, y);
    }
    count = 0;
  };
  for (let i = 0; i < n; i++) {
    const [px, py] = [sx(xs[i]), sy(ys[i])];
    const side = sideOf(px);
    if (!Number.isFinite(px) || !Number.isFinite(py)) {
      flush();
      [pen, fromX, column] = [false, NaN, NaN];
    } else if (side) {
      flush(); // out of sight: only a segment that comes into sight or leaves it is drawn
      if (!Number.isNaN(fromX) && sideOf(fromX) !== side) go(px, py);
      [pen, fromX, fromY, column] = [false, px, py, NaN];
    } else {
      const c = Math.floor(px * fine);
      if (c !== column) {
        flush();
        [column, x, first, low, high] = [c, px, py, py, py];
      } else if (py < low) low = py;
      else if (py > high) high = py;
      last = py;
      count++;
    }
  }
  flush();
}

function drawLine(ctx, view, f, curve, name, width, alpha, outlined = false) {
  const solid = alpha === 1;
  const dash = (dashed(view, curve.group) || curve.kind === "fit") && solid;
  const line = colour(view, curve.group);
  Object.assign(ctx, { fillStyle: line, strokeStyle: line, globalAlpha: alpha });
  Object.assign(ctx, { lineJoin: solid ? "round" : "bevel", lineCap: solid ? "round" : "butt" });
  ctx.beginPath();
  trace(ctx, curve[f.by], curve[name], curve.n, f, width, dash);
  if (outlined) {
    // keeps a validation line apart from the noise it runs through
    Object.assign(ctx, { strokeStyle: view.theme.paper, lineWidth: width + 2.5 });
    ctx.stroke();
    ctx.strokeStyle = line;
  }
  ctx.lineWidth = width;
  ctx.setLineDash(dash ? [8, 4] : []);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

function drawBand(ctx, view, f, curve) {
  const places = Array.from({ length: curve.n }, (_, i) => f.x.px(curve[f.by][i]));
  const inside = (y) => (Number.isFinite(y) ? y : f.bottom + 1); // zero on a logarithmic axis lies below everything
  ctx.beginPath();
  for (const [i, x] of places.entries()) ctx.lineTo(x, inside(f.y.px(curve.high[i])));
  for (const [i, x] of [...places.entries()].reverse()) ctx.lineTo(x, inside(f.y.px(curve.low[i])));
  Object.assign(ctx, { fillStyle: colour(view, curve.group), globalAlpha: 0.18 });
  ctx.fill();
  ctx.globalAlpha = 1;
}

function drawDots(ctx, view, f, curve) {
  const xs = Array.from(curve[f.by].subarray(0, curve.n), f.x.px);
  Object.assign(ctx, { fillStyle: colour(view, curve.group), strokeStyle: view.theme.paper, lineWidth: 1 });
  if (curve.kind === "points") {
    for (const [i, x] of xs.entries()) dot(ctx, x, f.y.px(curve.smooth[i]), 4.5);
    return;
  }
  const gaps = xs.slice(1).flatMap((x, i) => (x >= f.left && x <= f.right ? [x - xs[i]] : []));
  const known = gaps.filter((gap) => !Number.isNaN(gap));
  const apart = known.reduce((sum, gap) => sum + gap, 0) / known.length;
  const most = curve.twin ? 2.5 : 3.5;
  const radius = Math.min(most, known.length ? apart * 0.35 : most); // crowded dots shrink and go
  if (radius < 1) return;
  for (const [i, x] of xs.entries()) dot(ctx, x, f.y.px(curve.smooth[i]), radius);
}

export function dot(ctx, x, y, radius) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  disc(ctx, x, y, radius);
  ctx.stroke();
}

function drawLandmarks(ctx, view, f) {
  Object.assign(ctx, { strokeStyle: view.theme.text, lineWidth: 1, globalAlpha: 0.45 });
  ctx.setLineDash([5, 4]);
  for (const { value } of view.header.landmarks) {
    const y = Math.round(f.y.px(value)) + 0.5;
    if (y >= f.top && y <= f.bottom) segment(ctx, f.left, y, f.right, y);
  }
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

function drawLabels(ctx, view, f) {
  Object.assign(ctx, {
    font: f.font,
    textBaseline: "middle",
    fillStyle: view.theme.text,
    strokeStyle: view.theme.text,
  });
  ctx.lineWidth = 1;
  for (const label of f.labels) {
    ctx.globalAlpha = 0.45;
    if (label.inside) segment(ctx, f.right + 1, label.at, f.right + 9, label.y);
    write(ctx, label.text, label.left, label.y, "left", label.inside ? 0.9 : 0.7);
  }
}

function drawMarks(ctx, view, f) {
  f.flags = [];
  for (const { group, step, label } of view.header.marks) {
    const curve = f.shown.find((other) => other.group === group);
    if (!curve) continue;
    const at = f.by === "step" ? step : curve[f.by][nearest(curve, "step", step)];
    const x = Math.round(f.x.px(at)) + 0.5;
    if (!(x >= f.left && x <= f.right)) continue;
    Object.assign(ctx, { fillStyle: colour(view, group), strokeStyle: colour(view, group), lineWidth: 1.5 });
    segment(ctx, x, f.bottom, x, f.bottom - 14);
    ctx.beginPath();
    ctx.moveTo(x, f.bottom - 15);
    ctx.lineTo(x + 8, f.bottom - 11.5);
    ctx.lineTo(x, f.bottom - 8);
    ctx.fill();
    f.flags.push({ x, label });
  }
}

// ---- saved pictures: the legend stands above the chart --------------------------------------------------------------

export function legendOf(view, width) {
  const font = `12px ${view.theme.font}`;
  const visible = new Set(shownCurves(view).map(slot));
  let [x, y] = [0, 12];
  const entries = groups(view).flatMap(({ id, label, kinds }) => {
    const shown = kinds.filter((kind) => visible.has(slot({ group: id, kind })));
    if (!shown.length) return [];
    const words = view.header.x_label ? label : `${label} (${shown.join(", ")})`;
    const wide = 20 + textWidth(words, font);
    if (x && x + wide > width) [x, y] = [0, y + LEGEND.line];
    const entry = { words, group: id, x, y };
    x += wide + LEGEND.gap;
    return [entry];
  });
  return { entries, font, height: entries.length ? y + LEGEND.line : 0 };
}

export function drawLegend(ctx, view, { entries, font }) {
  Object.assign(ctx, { font, textBaseline: "middle", lineWidth: 3, lineCap: "round" });
  for (const { words, group, x, y } of entries) {
    ctx.strokeStyle = colour(view, group);
    ctx.setLineDash(dashed(view, group) ? [6, 4] : []);
    segment(ctx, x + 2, y, x + 14, y);
    ctx.fillStyle = view.theme.text;
    write(ctx, words, x + 20, y, "left", 0.9);
  }
  ctx.setLineDash([]);
}
