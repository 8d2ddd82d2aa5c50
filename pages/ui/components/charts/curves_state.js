// What a chart of curves holds: their points, and what the learner has set.
import { asked } from "../shared/address.js";
import { extent } from "../shared/scales.js";
import { store, stored } from "../shared/storage.js";
import { colourAt, RUN_SHADES, shadeAt } from "../shared/theme.js";
import { smoothed, stepUnit } from "./smoothing.js";

const COLUMNS = ["step", "seconds", "characters", "value"];
const PLACES = [...COLUMNS, "flops", "clock"]; // flops are computed here: steps times what one step costs
const FEW = 300; // points below which a curve is drawn as it is, unless the learner says otherwise
export const AXES = { step: "Step", seconds: "Time", clock: "Wall clock", characters: "Characters", flops: "FLOPs" };
export const WEIGHT = 0.6;
const DEFAULTS = { weight: null, x: "step", logx: false, logy: false, robust: false, zoom: null, hidden: {} };

// What was set on this chart before, as far as the address does not say otherwise.
export function load({ key, main, log = "" }) {
  const usual = { ...structuredClone(DEFAULTS), logx: log.includes("x"), logy: log.includes("y") };
  return { ...usual, ...stored(`curves.${key}`, "sessionStorage"), ...(main ? fromAddress(asked) : {}) };
}

export const keep = (key, ui) => store(`curves.${key}`, ui, "sessionStorage");

// What an address says of a chart; what is none of its words is passed over.
export function fromAddress(get) {
  const ui = {};
  const [x, log, smooth, y, zoom] = ["x", "log", "smooth", "y", "zoom"].map(get);
  if (Object.hasOwn(AXES, x ?? "")) ui.x = x;
  if (log !== null) Object.assign(ui, { logx: log.includes("x"), logy: log.includes("y") });
  if (/^0(\.\d+)?$/.test(smooth ?? "")) ui.weight = Math.min(0.99, Number(smooth));
  if (y === "robust") ui.robust = true;
  const ends = (zoom ?? "").split(",").map(Number);
  if (zoom && ends.length === 4 && ends.every(Number.isFinite) && ends[0] < ends[1] && ends[2] < ends[3])
    ui.zoom = { x: ends.slice(0, 2), y: ends.slice(2), groups: null };
  return ui;
}

// The other way round; null for what is as usual.
export function toAddress({ x, logx, logy, weight, robust, zoom }, { log = "" }) {
  const logs = (logx ? "x" : "") + (logy ? "y" : "");
  return {
    x: x === DEFAULTS.x ? null : x,
    log: logs === log ? null : logs || "none",
    smooth: weight === null ? null : weight,
    y: robust ? "robust" : null,
    zoom: zoom && zoomed(zoom),
  };
}

export const zoomed = ({ x, y }) => [...x, ...y].map((v) => +v.toPrecision(6)).join(",");

// Take in what a message brings of the curves; those no longer listed are dropped. True if points are missing.
export function merge(view, listed) {
  const curves = new Map();
  let gap = false;
  for (const { id, flops: cost, from, n, columns, clock, band, names, ...about } of listed) {
    const curve = view.curves.get(id) ?? { n: 0, room: 0, names: [] };
    Object.assign(curve, about, { id, cost });
    if (from > curve.n) gap = true;
    else if (n || from < curve.n || !curve.range) {
      append(curve, from, n, { columns, clock, band });
      curve.names.splice(from, Infinity, ...(names ?? []));
    }
    curves.set(id, curve);
  }
  view.curves = curves;
  smoothAll(view);
  return gap;
}

function append(curve, from, n, { columns, clock, band }) {
  if (from + n >= curve.room) {
    curve.room = Math.max(256, 2 * (from + n));
    for (const name of [...PLACES, "smooth", ...(band ? ["low", "high"] : [])]) {
      const wider = new (name === "clock" ? Float64Array : Float32Array)(curve.room); // a date needs more digits
      if (curve[name]) wider.set(curve[name].subarray(0, curve.n));
      curve[name] = wider;
    }
  }
  for (const [i, name] of COLUMNS.entries()) curve[name].set(columns.subarray(i * n, (i + 1) * n), from);
  for (const [i, name] of (band ? ["low", "high"] : []).entries())
    curve[name].set(band.subarray(i * n, (i + 1) * n), from);
  for (let i = from; i < from + n; i++) {
    curve.flops[i] = curve.step[i] * curve.cost;
    curve.clock[i] = clock ? curve.since + clock[i - from] : NaN;
  }
  curve.n = from + n;
  curve.range = Object.fromEntries(PLACES.map((name) => [name, extent(curve[name], curve.n)]));
  curve.smoothedAs = null;
}

// Smooth again what has changed: points, weight, or the unit in which steps are counted, the same for all curves.
export function smoothAll({ curves, ui }) {
  const all = [...curves.values()].filter((curve) => curve.range);
  const unit = stepUnit(Math.max(0, ...all.map(({ range }) => range.step.hi - range.step.lo)));
  for (const curve of all) {
    const { step, value, smooth, n, range, kind } = curve;
    const weight = ui.weight ?? (n < FEW ? 0 : WEIGHT);
    const as = `${n} ${weight} ${unit}`;
    if (curve.smoothedAs === as) continue;
    curve.smoothedAs = as;
    curve.raw = kind !== "train" || !weight || range.value.lo === range.value.hi;
    if (curve.raw) smooth.set(value.subarray(0, n));
    else smoothed(step, value, n, weight, unit, smooth);
    range.smooth = extent(smooth, n);
    if (!curve.low) continue;
    for (const name of ["smooth", "value"])
      range[name] = joined(range[name], extent(curve.low, n), extent(curve.high, n));
  }
}

const joined = (...ranges) => ({
  lo: Math.min(...ranges.map(({ lo }) => lo)),
  hi: Math.max(...ranges.map(({ hi }) => hi)),
  positive: Math.min(...ranges.map(({ positive }) => positive)),
});

export const hasPoints = (view) => [...view.curves.values()].some((curve) => curve.n);

// ---- what is shown --------------------------------------------------------------------------------------------------

export const slot = (curve) => `${curve.group}|${curve.kind}`;
export const shownCurves = (view) => [...view.curves.values()].filter((curve) => !view.ui.hidden[slot(curve)]);

export function groups(view) {
  const found = new Map();
  for (const { group: id, label, kind, hue, twin } of view.curves.values()) {
    if (!found.has(id)) found.set(id, { id, label, kinds: [], hue: hue ?? null, twin: Boolean(twin) });
    const { kinds } = found.get(id);
    if (!kinds.includes(kind)) kinds.push(kind);
  }
  return [...found.values()];
}

// A group that has no hue of its own keeps its colour on every chart of the same palette, from one visit to the next. A
// new one takes the first colour that no known group has, else that none here has; when there is none left, its line is
// dashed. Runs of one rung are shades of its colour, past those dashed; twins are all of it.
const LATEST = 100; // groups whose colours are remembered

export function takeColours(view) {
  const { header, theme } = view;
  const name = `colours.${header.palette}`;
  const known = stored(name) ?? {};
  const all = groups(view);
  const free = all.filter(({ hue }) => hue === null).map(({ id }) => id);
  const colours = coloursFor(free, known, theme.palette.length);
  view.places = placesFor(all, view.places ?? {}, colours);
  const others = Object.entries(known).filter(([id]) => !free.includes(id));
  store(name, Object.fromEntries([...others, ...Object.entries(colours)].slice(-LATEST)));
}

// For each group its hue, null for none, and which shade of it or which colour it has; one that stays keeps its shade.
export function placesFor(all, before, colours) {
  const found = {};
  for (const { id, hue, twin } of all) {
    if (hue === null) found[id] = { hue, nth: colours[id] };
    else if (twin) found[id] = { hue, nth: 0 };
    else if (before[id]?.hue === hue) found[id] = before[id];
  }
  for (const { id, hue, twin } of all) {
    if (id in found) continue;
    const alike = all.filter((other) => other.hue === hue && !other.twin && other.id in found);
    const taken = alike.map((other) => found[other.id].nth);
    let nth = 0;
    while (!twin && taken.includes(nth)) nth++;
    found[id] = { hue, nth };
  }
  return found;
}

export function coloursFor(present, known, most) {
  const found = {};
  for (const id of present) if (id in known && !Object.values(found).includes(known[id])) found[id] = known[id];
  for (const id of present.filter((group) => !(group in found))) {
    const here = Object.values(found);
    const free = (taken) => Array.from({ length: most }, (_, i) => i).find((i) => !taken.includes(i));
    found[id] = free([...here, ...Object.values(known)]) ?? free(here) ?? Math.max(most - 1, ...here) + 1;
  }
  return found;
}

export function colour(view, group) {
  const { hue, nth } = view.places[group];
  return hue === null ? colourAt(view.theme, nth) : shadeAt(view.theme, hue, nth);
}

export function dashed(view, group) {
  const { hue, nth } = view.places[group];
  return nth >= (hue === null ? view.theme.palette.length : RUN_SHADES);
}

export function toggle({ ui }, slots) {
  const shown = slots.some((name) => !ui.hidden[name]);
  for (const name of slots)
    if (shown) ui.hidden[name] = true;
    else delete ui.hidden[name];
}

export function solo(view, slots) {
  const { ui } = view;
  const others = [...view.curves.values()].map(slot).filter((name) => !slots.includes(name));
  const alone = others.every((name) => ui.hidden[name]) && slots.every((name) => !ui.hidden[name]);
  ui.hidden = alone ? {} : Object.fromEntries(others.map((name) => [name, true]));
}

// The index of the point of a curve that is nearest in a column; -1 if it has none.
export function nearest(curve, name, target) {
  const places = curve[name];
  let [best, away] = [-1, Infinity];
  for (let i = 0; i < curve.n; i++) {
    const distance = Math.abs(places[i] - target);
    if (distance < away && Number.isFinite(curve.value[i])) [best, away] = [i, distance];
  }
  return best;
}
