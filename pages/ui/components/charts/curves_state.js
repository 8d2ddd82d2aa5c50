// What a chart of curves holds: their points, and what the learner has set.
import { extent } from "../shared/scales.js";
import { smoothed, stepUnit } from "../shared/smoothing.js";
import { colourAt, SHADES, shadeAt } from "../shared/theme.js";

const COLUMNS = ["step", "seconds", "characters", "value"];
const PLACES = [...COLUMNS, "flops"]; // flops are computed here: steps times what one step costs
const FEW = 300; // points below which a curve is drawn as it is, unless the learner says otherwise
export const WEIGHT = 0.6;
const DEFAULTS = {
  weight: null,
  x: "step",
  logx: false,
  logy: false,
  robust: false,
  zoom: null,
  hidden: {},
  places: {},
};

export function load(key) {
  try {
    return { ...structuredClone(DEFAULTS), ...JSON.parse(sessionStorage.getItem(`bardlab.curves.${key}`)) };
  } catch {
    return structuredClone(DEFAULTS);
  }
}

export function keep(key, ui) {
  try {
    sessionStorage.setItem(`bardlab.curves.${key}`, JSON.stringify(ui));
  } catch {
    // storage may be full or forbidden: the chart works without
  }
}

// Take in what a message brings of the curves; those no longer listed are dropped. True if points are missing.
export function merge(view, listed) {
  const curves = new Map();
  let gap = false;
  for (const { id, label, kind, group, flops: cost, ghost, hue, twin, from, n, columns } of listed) {
    const curve = view.curves.get(id) ?? { n: 0, room: 0 };
    Object.assign(curve, { id, label, kind, group, cost, ghost, hue, twin });
    if (from > curve.n) gap = true;
    else if (n || from < curve.n || !curve.range) append(curve, from, n, columns);
    curves.set(id, curve);
  }
  view.curves = curves;
  smoothAll(view);
  return gap;
}

function append(curve, from, n, block) {
  if (from + n >= curve.room) {
    curve.room = Math.max(256, 2 * (from + n));
    for (const name of [...PLACES, "smooth"]) {
      const wider = new Float32Array(curve.room);
      if (curve[name]) wider.set(curve[name].subarray(0, curve.n));
      curve[name] = wider;
    }
  }
  for (const [i, name] of COLUMNS.entries()) curve[name].set(block.subarray(i * n, (i + 1) * n), from);
  for (let i = from; i < from + n; i++) curve.flops[i] = curve.step[i] * curve.cost;
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
  }
}

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

// A group keeps its colour while others come and go. Runs of one rung are shades of its colour; whatever has no hue of
// its own takes a colour that is free. Past the shades, or the palette, lines are dashed.
export function takeColours(view) {
  const { places } = view.ui;
  const present = new Set(groups(view).map(({ id }) => id));
  for (const { id, hue, twin } of groups(view)) {
    if (places[id]?.hue === hue && places[id].twin === twin) continue;
    const alike = () => Object.entries(places).filter(([, place]) => place.hue === hue && !place.twin);
    if (hue !== null || alike().length >= view.theme.palette.length)
      for (const [old] of alike()) if (!present.has(old)) delete places[old];
    const taken = new Set(alike().map(([, { nth }]) => nth));
    let nth = 0;
    while (!twin && taken.has(nth)) nth++;
    places[id] = { hue, twin, nth };
  }
}

export function colour(view, group) {
  const { hue, nth } = view.ui.places[group];
  return hue === null ? colourAt(view.theme, nth) : shadeAt(view.theme, hue, nth);
}

export function dashed(view, group) {
  const { hue, nth } = view.ui.places[group];
  return nth >= (hue === null ? view.theme.palette.length : SHADES);
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
