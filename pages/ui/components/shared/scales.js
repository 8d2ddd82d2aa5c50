import { compact } from "./format.js";

// From values to pixels (`px`) and back (`at`).
export function scale([lo, hi], from, to, log = false) {
  const t = log ? Math.log10 : Number;
  const [a, k] = [t(lo), (to - from) / (t(hi) - t(lo))];
  const back = (p) => a + (p - from) / k;
  return { lo, hi, log, px: (v) => from + (t(v) - a) * k, at: (p) => (log ? 10 ** back(p) : back(p)) };
}

// 1, 2 or 5 times a power of ten: the distance of about `count` ticks over a span.
function niceStep(span, count) {
  const rough = span / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
}

export function niceValues(lo, hi, count) {
  const step = niceStep(hi - lo, count);
  const found = [];
  for (let i = Math.ceil(lo / step - 1e-9); i <= hi / step + 1e-9; i++) found.push(+(i * step).toPrecision(12));
  return found;
}

// Ticks at nice values, about `count` of them, with what is written there; `unit` divides that.
export function ticks({ lo, hi, log = false }, count, unit = 1) {
  const [low, high] = [lo / unit, hi / unit];
  const decades = log && high / low > 10 ? Math.log10(high / low) : 0;
  const step = decades ? 0 : niceStep(high - low, count * (log ? 1.7 : 1));
  const values = decades ? powers(low, high, decades, count) : [];
  for (let i = Math.ceil(low / step - 1e-9); step && i <= high / step + 1e-9; i++) values.push(i * step);
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const slack = (bound) => 1e-4 * Math.abs(bound);
  const inside = values.filter((v) => v >= low - slack(low) && v <= high + slack(high));
  return inside.map((v) => ({ value: v * unit, text: compact(v, step ? largest : v, step) }));
}

const SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

// Ticks of an axis of seconds since 1970, at whole minutes, hours and days of the visitor's own time.
export function clockTicks({ lo, hi }, count, zone = new Date(1000 * lo).getTimezoneOffset() * 60) {
  const rough = (hi - lo) / count;
  const step = SPANS.find((span) => span >= rough) ?? 86_400 * niceStep(rough / 86_400, 1);
  const found = [];
  for (let at = Math.ceil((lo - zone) / step) * step + zone; at <= hi; at += step) {
    const day = new Date(1000 * (at - zone)).toISOString();
    const midnight = (at - zone) % 86_400 === 0;
    const text = step >= 86_400 || midnight ? day.slice(5, 10) : day.slice(11, step < 60 ? 19 : 16);
    found.push({ value: at, text });
  }
  return found;
}

function powers(low, high, decades, count) {
  const every = Math.max(1, Math.ceil(decades / count));
  const factors = decades < count / 3 ? [1, 2, 5] : [1];
  const values = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const f of e % every ? [] : factors) values.push(f * 10 ** e);
  return values;
}

// The smallest and largest of the first n values that are numbers, and the smallest above zero.
export function extent(values, n = values.length) {
  let [lo, hi, positive] = [Infinity, -Infinity, Infinity];
  for (let i = 0; i < n; i++) {
    const v = values[i];
    if (!Number.isFinite(v)) continue;
    if (v < lo) lo = v;
    if (v > hi) hi = v;
    if (v > 0 && v < positive) positive = v;
  }
  return { lo, hi, positive };
}

// Places for labels, `gap` apart and within [lo, hi], each as near to where it is wanted as the others let it. Labels
// come sorted; those for which there is no room at all are left out from the end of `wanted`.
export function spread(wanted, gap, lo, hi) {
  const room = Math.max(0, Math.floor((hi - lo) / gap) + 1);
  const places = wanted.slice(0, room);
  let floor = lo;
  for (let i = 0; i < places.length; i++) {
    places[i] = Math.max(places[i], floor);
    floor = places[i] + gap;
  }
  let roof = hi;
  for (let i = places.length - 1; i >= 0; i--) {
    places[i] = Math.min(places[i], roof);
    roof = places[i] - gap;
  }
  return places;
}
