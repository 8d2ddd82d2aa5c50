// Which part of the values a chart of curves shows, and where that lies on the screen.

import { clipped, textWidth } from "../shared/pens.js";
import { clockTicks, scale, spread, ticks } from "../shared/scales.js";
import { shownCurves } from "./curves_state.js";

const NARROW = 560; // px of width below which landmarks go by their value
const LINE = 15; // px a label takes
const TITLES = {
  step: "step",
  clock: "clock on the wall",
  characters: "characters trained on",
  flops: "floating-point operations",
};

function xRange({ x, logx, room = 0 }, shown) {
  const ranges = shown.map((curve) => curve.range[x]);
  const lo = Math.min(...ranges.map((range) => (logx ? range.positive : range.lo)));
  const hi = Math.max(...ranges.map((range) => range.hi));
  if (!(lo <= hi)) return [logx ? 1 : 0, 100];
  if (x === "clock") return [lo, Math.max(hi + 0.01 * (hi - lo), lo + 1)];
  if (lo === hi) return logx ? [lo / 2, hi * 2] : [Math.min(0, lo), hi > 0 ? hi * 1.25 : 1];
  if (logx) return [lo / (hi / lo) ** room, hi * (hi / lo) ** (room || 0.01)];
  if (room) return [lo - room * (hi - lo), hi + room * (hi - lo)];
  return [lo > 0 && lo < 0.1 * hi ? 0 : lo, hi + 0.01 * (hi - lo)];
}

// The smoothed lines and the validation points fit wholly; raw noise only as far as a quarter beyond them; landmarks
// only where they lie in or near all this, so that a far one does not squash the curves.
export function yRange({ logy, robust }, shown, landmarks) {
  const t = logy ? Math.log10 : Number;
  const back = (lo, hi, room) => (logy ? [10 ** (lo - room), 10 ** (hi + room)] : [lo - room, hi + room]);
  const ends = (name) => {
    const found = shown.map((curve) => curve.range[name]);
    return [t(Math.min(...found.map((r) => (logy ? r.positive : r.lo)))), t(Math.max(...found.map((r) => r.hi)))];
  };
  const inner = robust && percentiles(shown, logy)?.map(t);
  if (inner) return back(...inner, 0.05 * (inner[1] - inner[0]) || 0.05 * Math.abs(inner[1]) || 1);
  const [smoothLo, smoothHi] = ends("smooth");
  const [rawLo, rawHi] = ends("value");
  let [lo, hi] = logy ? [0, 1] : [0, Math.max(1, ...landmarks.map((mark) => mark.value))];
  if (rawLo <= rawHi) {
    const reach = smoothHi > smoothLo ? 0.25 * (smoothHi - smoothLo) : Infinity;
    [lo, hi] = [Math.max(rawLo, smoothLo - reach), Math.min(rawHi, smoothHi + reach)];
    const near = 0.15 * (hi - lo);
    const close = landmarks.map((mark) => t(mark.value)).filter((v) => v >= lo - near && v <= hi + near);
    [lo, hi] = [Math.min(lo, ...close), Math.max(hi, ...close)];
  }
  return back(lo, hi, hi > lo ? 0.05 * (hi - lo) : 0.05 * Math.abs(hi) || 1);
}

// From the 5th to the 95th percentile of what is drawn, and every curve's last point; null if there is nothing.
function percentiles(shown, log) {
  const usable = (v) => Number.isFinite(v) && (!log || v > 0);
  const drawn = shown.map((curve) => curve.smooth.subarray(0, curve.n));
  const values = drawn.flatMap((smooth) => Array.from(smooth).filter(usable)).sort((a, b) => a - b);
  if (!values.length) return null;
  const at = (share) => values[Math.round(share * (values.length - 1))];
  const last = drawn.map((smooth) => smooth.findLast(usable)).filter((v) => v !== undefined);
  return [Math.min(at(0.05), ...last), Math.max(at(0.95), ...last)];
}

const timeUnit = (hi) => (hi >= 3 * 3600 ? [3600, "hours"] : hi >= 300 ? [60, "minutes"] : [1, "seconds"]);

export function frameOf(view, width, height) {
  const { ui, header, theme } = view;
  const shown = shownCurves(view).filter((curve) => curve.n);
  const present = shown.filter((curve) => !curve.ghost); // what was there before does not stretch the axes
  const fitted = present.length ? present : shown;
  const { zoom, logy } = ui;
  const x = header.x_label ? "step" : ui.x;
  const logx = ui.logx && x !== "clock";
  const font = `12px ${theme.font}`;
  const [top, bottom] = [26, height - 40];
  const y = scale(zoom ? zoom.y : yRange(ui, fitted, header.landmarks), bottom, top, logy);
  const yTicks = ticks(y, Math.max(2, (bottom - top) / 45));
  const left = Math.max(...yTicks.map((tick) => tick.text.length), 3) * 7 + 12;
  const labels = placeLabels(header.landmarks, y, { top, bottom, width, font });
  const right = width - Math.max(12, ...labels.map((label) => label.width + 16));
  for (const label of labels) Object.assign(label, { left: right + 12, right: right + 12 + label.width });
  const across = scale(zoom ? zoom.x : xRange({ x, logx, room: header.x_label ? 0.02 : 0 }, fitted), left, right, logx);
  const [unit, unitName] = x === "seconds" ? timeUnit(across.hi) : [1, ""];
  const whole = header.x_label && !logx && fitted.every(({ step, n }) => step.subarray(0, n).every(Number.isInteger));
  const count = Math.max(2, Math.min((right - left) / 85, whole ? across.hi - across.lo : Infinity));
  const xTicks = x === "clock" ? clockTicks(across, count) : ticks(across, count, unit);
  const xTitle = header.x_label || (x === "seconds" ? `time (${unitName})` : TITLES[x]);
  return { width, height, left, right, top, bottom, x: across, by: x, y, xTicks, yTicks, xTitle, shown, labels, font };
}

// A label "name: value" that is too long loses the end of its name, never its value.
function shortened(label, room, font) {
  const colon = label.lastIndexOf(": ");
  const value = colon < 0 || textWidth(label, font) <= room ? "" : label.slice(colon + 1);
  return clipped(value ? label.slice(0, colon) : label, room - textWidth(value, font), font) + value;
}

// Below everything where a logarithmic axis has no place for it.
const lineAt = (y, value) => (Number.isNaN(y.px(value)) ? Infinity : y.px(value));

// Labels of landmarks stand in the margin at the right, each beside its line or as near as the others let it. Lines out
// of sight are pointed to with an arrow, the nearest ones, as far as there is room.
export function placeLabels(landmarks, y, { top, bottom, width, font }) {
  const all = landmarks.map((mark) => ({ ...mark, at: lineAt(y, mark.value) })).sort((a, b) => a.at - b.at);
  const room = Math.floor((bottom - top) / LINE);
  const inside = all.filter(({ at }) => at >= top && at <= bottom);
  const outside = all.filter((mark) => !inside.includes(mark));
  const away = ({ at }) => (at < top ? top - at : at > bottom ? at - bottom : Infinity);
  const pointed = outside.sort((a, b) => away(a) - away(b)).slice(0, Math.max(0, room - inside.length));
  const kept = all.filter((mark) => inside.includes(mark) || pointed.includes(mark));
  const places = spread(
    kept.map(({ at }) => Math.min(at, bottom)),
    LINE,
    top + 6,
    bottom - 6,
  );
  return kept.slice(0, places.length).map((mark, i) => {
    const arrow = mark.at < top ? "↑ " : inside.includes(mark) ? "" : "↓ ";
    const words = width < NARROW ? mark.value.toPrecision(3) : mark.label;
    const text = arrow + shortened(words, Math.max(40, 0.24 * width), font);
    return { ...mark, text, y: places[i], inside: !arrow, width: textWidth(text, font) };
  });
}
