// The loss chart. Messages bring new points only (see curves.py); what the learner sets lives here and in sessionStorage.
const OKABE_ITO = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#666666"];
const COLUMNS = ["step", "seconds", "characters", "value"];
const PLACES = [...COLUMNS, "flops"]; // flops are computed here: steps times what one step costs
const AXES = { step: "Step", seconds: "Time", characters: "Characters", flops: "FLOPs" };
const RETRY = 3000; // ms to wait for an answer before asking again
const EAGER = 50; // ms between polls until there is a first point
const DEFAULTS = { weight: 0.6, x: "step", logx: false, logy: false, robust: false, zoom: null, hidden: {}, colours: {} };
const views = new WeakMap();
const mounts = {};
const mounted = new Set(); // charts on the page: pointing at one shows the same place in the others

export default function ({ data, parentElement, setTriggerValue }) {
  const message = decode(data);
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = mount(parentElement, message.header)));
  view.send = setTriggerValue;
  readTheme(view);
  if (message.header.serial !== view.header?.serial) receive(view, message); // else only the theme has changed
  showLegend(view);
  showControls(view);
  redraw(view);
  // A call overtaken by the next one is cleaned up too, though the chart stays: only the last call may end it.
  const call = ++view.calls;
  return () => setTimeout(() => view.calls === call && unmount(view, parentElement));
}

// ---- life ----------------------------------------------------------------------------------------------------------

function mount(parent, header) {
  const root = parent.querySelector(".curves");
  const abort = new AbortController();
  const view = { root, abort, curves: new Map(), calls: 0, pointer: null, drag: null, labels: [], askedAt: 0, answeredAt: 0 };
  for (const name of ["controls", "legend", "plot", "base", "over", "tip"]) view[name] = root.querySelector("." + name);
  view.ui = load(header.key);
  mounts[header.key] = (mounts[header.key] ?? 0) + 1;
  root.dataset.mounts = mounts[header.key];
  buildControls(view);
  listen(view);
  view.observer = new ResizeObserver(() => redraw(view));
  view.observer.observe(view.plot);
  mounted.add(view);
  return view;
}

function unmount(view, parent) {
  clearTimeout(view.timer);
  cancelAnimationFrame(view.frameRequest);
  view.observer.disconnect();
  view.abort.abort();
  mounted.delete(view);
  views.delete(parent);
}

function load(key) {
  try {
    return { ...structuredClone(DEFAULTS), ...JSON.parse(sessionStorage.getItem("bardlab.curves." + key)) };
  } catch {
    return structuredClone(DEFAULTS);
  }
}

function changed(view) {
  try {
    sessionStorage.setItem("bardlab.curves." + view.header.key, JSON.stringify(view.ui));
  } catch {
    // storage may be full or forbidden: the chart works without
  }
  showControls(view);
  redraw(view);
}

// ---- points --------------------------------------------------------------------------------------------------------

function decode(bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  return { header, floats: new Float32Array(buffer, 4 + size) };
}

function receive(view, { header, floats }) {
  view.header = header;
  const listed = new Map();
  let at = 0;
  let gap = false;
  for (const { id, label, kind, group, flops: cost, from, n } of header.curves) {
    const curve = view.curves.get(id) ?? { n: 0, room: 0 };
    Object.assign(curve, { id, label, kind, group, cost });
    if (from > curve.n) gap = true;
    else if (n || from < curve.n || !curve.range) append(view, curve, from, n, floats.subarray(at, at + 4 * n));
    at += 4 * n;
    listed.set(id, curve);
  }
  view.curves = listed; // curves no longer listed are dropped
  takeColours(view);
  const known = new Set(groups(view).map((g) => g.id));
  if (view.ui.zoom && known.size && !view.ui.zoom.groups.some((g) => known.has(g))) view.ui.zoom = null; // other runs
  view.plot.style.height = header.height + "px";
  answered(view, gap);
  const data = view.root.dataset;
  data.updates = +data.updates + 1;
  data.sent = at / 4;
  data.points = [...listed.values()].reduce((sum, c) => sum + c.n, 0);
  data.curves = JSON.stringify([...listed.keys()]);
}

function append(view, curve, from, n, block) {
  if (from + n >= curve.room) {
    curve.room = Math.max(256, 2 * (from + n));
    for (const name of [...PLACES, "smooth"]) {
      const wider = new Float32Array(curve.room);
      if (curve[name]) wider.set(curve[name].subarray(0, curve.n));
      curve[name] = wider;
    }
  }
  COLUMNS.forEach((name, i) => curve[name].set(block.subarray(i * n, (i + 1) * n), from));
  for (let i = from; i < from + n; i++) curve.flops[i] = curve.step[i] * curve.cost;
  curve.n = from + n;
  smoothen(curve, view.ui.weight);
}

// The exponential mean of TensorBoard: from zero, divided by 1 - w^t; points that are not numbers do not count.
function smoothen(curve, weight) {
  const { value, smooth, n } = curve;
  curve.range = Object.fromEntries(PLACES.map((name) => [name, extent(curve[name], n)]));
  if (curve.kind !== "train" || !weight || curve.range.value.lo === curve.range.value.hi) {
    smooth.set(value.subarray(0, n));
  } else {
    let mean = 0;
    let decay = 1;
    for (let i = 0; i < n; i++) {
      if (!Number.isFinite(value[i])) {
        smooth[i] = NaN;
        continue;
      }
      mean = weight * mean + (1 - weight) * value[i];
      decay *= weight;
      smooth[i] = mean / (1 - decay);
    }
  }
  curve.range.smooth = extent(smooth, n);
}

function extent(array, n) {
  let lo = Infinity;
  let hi = -Infinity;
  let positive = Infinity;
  for (let i = 0; i < n; i++) {
    const v = array[i];
    if (!Number.isFinite(v)) continue;
    if (v < lo) lo = v;
    if (v > hi) hi = v;
    if (v > 0 && v < positive) positive = v;
  }
  return { lo, hi, positive };
}

// ---- polling: one timer, so at most one question is open -----------------------------------------------------------

function answered(view, gap) {
  view.answeredAt = performance.now();
  const again = gap && view.answeredAt - (view.gapAt ?? -RETRY) > 1000; // a gap is asked about at once, but not in a loop
  if (gap) view.gapAt = view.answeredAt;
  view.gap = gap;
  schedule(view, again ? 0 : undefined);
}

function schedule(view, delay) {
  clearTimeout(view.timer);
  if (document.hidden || !(view.header.live || view.gap)) return;
  const eager = view.header.eager && ![...view.curves.values()].some((c) => c.n);
  const pause = Math.min(eager ? EAGER : Infinity, view.header.interval * 1000);
  const open = view.askedAt > view.answeredAt;
  const due = view.askedAt + (open ? RETRY : pause) - performance.now();
  view.timer = setTimeout(poll, delay ?? Math.max(due, pause / 4), view);
}

function poll(view) {
  const have = Object.fromEntries([...view.curves.values()].map((c) => [c.id, c.n]));
  view.askedAt = performance.now();
  view.root.dataset.polls = +(view.root.dataset.polls ?? 0) + 1;
  schedule(view);
  view.send("poll", { have });
}

// ---- what is shown -------------------------------------------------------------------------------------------------

const slot = (curve) => `${curve.group}|${curve.kind}`;
const visible = (view) => [...view.curves.values()].filter((c) => !view.ui.hidden[slot(c)]);

function groups(view) {
  const found = new Map();
  for (const c of view.curves.values()) {
    if (!found.has(c.group)) found.set(c.group, { id: c.group, label: c.label, kinds: [] });
    const kinds = found.get(c.group).kinds;
    if (!kinds.includes(c.kind)) kinds.push(c.kind);
  }
  return [...found.values()];
}

// A group keeps its colour while others come and go, and when it comes back. Past the palette, lines are dashed.
function takeColours(view) {
  const known = view.ui.colours;
  const present = groups(view).map((g) => g.id);
  for (const id of present) {
    if (id in known) continue;
    if (Object.keys(known).length >= view.theme.palette.length)
      for (const old of Object.keys(known)) if (!present.includes(old)) delete known[old];
    const taken = new Set(Object.values(known));
    known[id] = 0;
    while (taken.has(known[id])) known[id]++;
  }
}

const colour = (view, group) => view.theme.palette[view.ui.colours[group] % view.theme.palette.length];
const dashed = (view, group) => view.ui.colours[group] >= view.theme.palette.length;

function readTheme(view) {
  const style = getComputedStyle(view.root);
  const get = (name) => style.getPropertyValue("--st-" + name).trim();
  const palette = get("chart-categorical-colors").split(",").map((c) => c.trim()).filter((c) => window.CSS.supports("color", c));
  view.theme = {
    palette: palette.length ? palette : OKABE_ITO,
    text: get("text-color") || "#333",
    paper: get("background-color") || "#fff",
    line: get("border-color") || "#ddd",
    font: get("font") || "sans-serif",
  };
}

function toggle(view, slots) {
  const { hidden } = view.ui;
  const shown = slots.some((s) => !hidden[s]);
  for (const s of slots) shown ? (hidden[s] = true) : delete hidden[s];
  changed(view);
}

function solo(view, slots) {
  const others = [...view.curves.values()].map(slot).filter((s) => !slots.includes(s));
  const alone = others.every((s) => view.ui.hidden[s]) && slots.every((s) => !view.ui.hidden[s]);
  view.ui.hidden = alone ? {} : Object.fromEntries(others.map((s) => [s, true]));
  changed(view);
}

// ---- controls and legend -------------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const HELP = {
  weight: "How much of the past each point of a training curve carries: 0 draws the points as they are, 0.99 only the trend. The raw line stays behind it, faint.",
  x: "What runs along the bottom: optimiser steps, seconds of training, characters trained on, or floating-point operations (evaluations left out).",
  logx: "Logarithmic x axis: shows the first steps in detail. Only values above 0 are drawn.",
  logy: "Logarithmic y axis: shows small improvements late in training. Only values above 0 are drawn.",
  robust: "Ignores outliers: the y axis shows the 5th to the 95th percentile of the curves, and where each of them ends.",
  fit: "Back to the whole data, following new points. Double click on the chart does the same.",
  chart: "Drag to zoom into a box, Shift + drag to move, Ctrl or Alt + wheel to zoom, double click to see everything.",
  legend: "Click shows or hides it. Double click, or Shift + click, shows it alone.",
};

function buildControls(view) {
  const { ui } = view;
  const set = (name, value) => ((ui[name] = value), changed(view));
  view.weight = element("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": "Smoothing" });
  view.weight.oninput = () => {
    ui.weight = +view.weight.value;
    for (const c of view.curves.values()) if (c.n) smoothen(c, ui.weight);
    changed(view);
  };
  view.weightShown = element("output");
  view.smoothing = element("label", { title: HELP.weight }, "Smoothing", view.weight, view.weightShown);
  view.axis = element("select", { "aria-label": "x axis" });
  for (const [value, name] of Object.entries(AXES)) view.axis.append(element("option", { value }, name));
  view.axis.onchange = () => ((ui.zoom = null), set("x", view.axis.value));
  view.logs = ["logx", "logy", "robust"].map((name) =>
    element("button", { type: "button", title: HELP[name], "data-name": name, onclick: () => ((ui.zoom = null), set(name, !ui[name])) }, name.replace("g", "g ")),
  );
  view.fit = element("button", { type: "button", class: "fit", title: HELP.fit, onclick: () => set("zoom", null) }, "Fit");
  const help = element("span", { class: "help", tabindex: 0, role: "note", title: HELP.chart, "aria-label": HELP.chart }, "?");
  const axis = element("label", { title: HELP.x }, "x axis", view.axis);
  view.controls.append(view.smoothing, axis, element("span", { class: "pair" }, ...view.logs), element("span", { class: "pair end" }, view.fit, help));
}

function showControls(view) {
  const { ui } = view;
  view.smoothing.hidden = view.curves.size > 0 && ![...view.curves.values()].some((c) => c.kind === "train");
  view.weight.value = ui.weight;
  view.weight.style.setProperty("--at", ui.weight / 0.99);
  view.weightShown.textContent = ui.weight.toFixed(2);
  const counted = !view.curves.size || [...view.curves.values()].some((c) => c.cost);
  view.axis.querySelector("[value=flops]").hidden = !counted;
  if (!counted && ui.x === "flops") ui.x = "step";
  view.axis.value = ui.x;
  for (const button of view.logs) button.setAttribute("aria-pressed", ui[button.dataset.name]);
  view.fit.disabled = !ui.zoom;
  view.root.dataset.zoom = ui.zoom ? [...ui.zoom.x, ...ui.zoom.y].map((v) => +v.toPrecision(6)).join(",") : "";
  for (const b of view.legend.querySelectorAll("button"))
    b.setAttribute("aria-pressed", b.slots.some((s) => !ui.hidden[s]));
}

function showLegend(view) {
  const all = groups(view);
  const signature = JSON.stringify([all, view.theme.palette]);
  if (signature === view.signature) return; // keeps the focus of a button in use
  view.signature = signature;
  const button = (kind, slots, ...content) => {
    const made = element("button", { type: "button", class: kind, title: HELP.legend }, ...content);
    made.slots = slots;
    made.onclick = (event) => (event.shiftKey ? solo : toggle)(view, slots);
    made.ondblclick = () => solo(view, slots);
    return made;
  };
  const entries = all.map(({ id, label, kinds }) => {
    const swatch = element("i", { class: dashed(view, id) ? "dashed" : "" });
    const entry = element("span", { class: "entry", style: `--c:${colour(view, id)}` }, button("name", kinds.map((kind) => slot({ group: id, kind })), swatch, element("span", {}, label)));
    if (kinds.length > 1)
      for (const kind of kinds) entry.append(button("kind " + kind, [slot({ group: id, kind })], kind));
    return entry;
  });
  view.legend.replaceChildren(...entries);
}

// ---- scales --------------------------------------------------------------------------------------------------------

function scale([lo, hi], from, to, log) {
  const a = log ? Math.log10(lo) : lo;
  const k = (to - from) / ((log ? Math.log10(hi) : hi) - a);
  const px = log ? (v) => from + (Math.log10(v) - a) * k : (v) => from + (v - a) * k;
  const at = (p) => (log ? 10 ** (a + (p - from) / k) : a + (p - from) / k);
  return { lo, hi, log, px, at };
}

function xRange(view, shown) {
  const { x, logx } = view.ui;
  const ranges = shown.map((c) => c.range[x]);
  const lo = Math.min(...ranges.map((r) => (logx ? r.positive : r.lo)));
  const hi = Math.max(...ranges.map((r) => r.hi));
  if (!(lo <= hi)) return [logx ? 1 : 0, 100];
  if (lo === hi) return logx ? [lo / 2, hi * 2] : [Math.min(0, lo), hi > 0 ? hi * 1.25 : 1];
  if (logx) return [lo, hi * (hi / lo) ** 0.01];
  return [lo > 0 && lo < 0.1 * hi ? 0 : lo, hi + 0.01 * (hi - lo)];
}

// The smoothed lines and the validation points fit wholly; raw noise only as far as a quarter beyond them; landmarks
// only where they lie in or near all this, so that a far one does not squash the curves.
function yRange(view, shown) {
  const log = view.ui.logy;
  const t = log ? Math.log10 : Number;
  const ends = (name) => {
    const found = shown.map((c) => c.range[name]);
    return [t(Math.min(...found.map((r) => (log ? r.positive : r.lo)))), t(Math.max(...found.map((r) => r.hi)))];
  };
  let [lo, hi] = ends("smooth");
  const [rawLo, rawHi] = ends("value");
  const inner = view.ui.robust && percentiles(shown, log);
  if (inner) {
    const room = 0.05 * (t(inner[1]) - t(inner[0])) || 0.05 * Math.abs(t(inner[1])) || 1;
    return log ? [10 ** (t(inner[0]) - room), 10 ** (t(inner[1]) + room)] : [inner[0] - room, inner[1] + room];
  }
  if (!(rawLo <= rawHi)) [lo, hi] = log ? [0, 1] : [0, Math.max(1, ...view.header.landmarks.map((m) => m.value))];
  else {
    const reach = hi > lo ? 0.25 * (hi - lo) : Infinity;
    [lo, hi] = [Math.max(rawLo, lo - reach), Math.min(rawHi, hi + reach)];
    const near = 0.15 * (hi - lo);
    const close = view.header.landmarks.map((m) => t(m.value)).filter((v) => v >= lo - near && v <= hi + near);
    [lo, hi] = [Math.min(lo, ...close), Math.max(hi, ...close)];
  }
  const pad = hi > lo ? 0.05 * (hi - lo) : 0.05 * Math.abs(hi) || 1;
  return log ? [10 ** (lo - pad), 10 ** (hi + pad)] : [lo - pad, hi + pad];
}

// From the 5th to the 95th percentile of what is drawn, and every curve's last point; null if there is nothing.
function percentiles(shown, log) {
  const usable = (v) => Number.isFinite(v) && (!log || v > 0);
  const values = shown.flatMap((c) => Array.from(c.smooth.subarray(0, c.n)).filter(usable)).sort((a, b) => a - b);
  if (!values.length) return null;
  const at = (share) => values[Math.round(share * (values.length - 1))];
  const last = shown.map((c) => c.smooth.subarray(0, c.n).findLast(usable)).filter((v) => v !== undefined);
  return [Math.min(at(0.05), ...last), Math.max(at(0.95), ...last)];
}

const UNITS = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];

function compact(value, largest, step) {
  const [unit, suffix] = (largest >= 1e4 && UNITS.find(([u]) => largest >= u)) || [1, ""];
  const scaled = value / unit;
  if (!value) return "0";
  return (step ? scaled.toFixed(Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-6))) : +scaled.toPrecision(3)) + suffix;
}

// Ticks at 1, 2 or 5 times a power of ten, about `count` of them; `unit` divides what is written.
function ticks({ lo, hi, log }, count, unit = 1) {
  [lo, hi] = [lo / unit, hi / unit];
  const made = [];
  if (log && hi / lo > 10) {
    const decades = Math.log10(hi / lo);
    const every = Math.max(1, Math.ceil(decades / count));
    const factors = decades < count / 3 ? [1, 2, 5] : [1];
    for (let e = Math.floor(Math.log10(lo)); e <= Math.log10(hi); e++)
      for (const f of e % every ? [] : factors) made.push([f * 10 ** e, 0]);
  } else {
    const rough = (hi - lo) / count / (log ? 1.7 : 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
    for (let i = Math.ceil(lo / step - 1e-9); i <= hi / step + 1e-9; i++) made.push([i * step, step]);
  }
  const largest = Math.max(Math.abs(lo), Math.abs(hi));
  return made.filter(([v]) => v >= lo * 0.9999 && v <= hi * 1.0001 || v === 0).map(([v, step]) => ({ value: v * unit, text: compact(v, step ? largest : v, step) }));
}

function timeUnit(hi) {
  return hi >= 3 * 3600 ? [3600, "hours"] : hi >= 300 ? [60, "minutes"] : [1, "seconds"];
}

function frame(view) {
  const width = view.plot.clientWidth;
  const height = view.plot.clientHeight;
  const shown = visible(view).filter((c) => c.n);
  const { zoom, x, logx, logy } = view.ui;
  const top = 26;
  const bottom = height - 40;
  const y = scale(zoom ? zoom.y : yRange(view, shown), bottom, top, logy);
  const yTicks = ticks(y, Math.max(2, (bottom - top) / 45));
  const left = Math.max(...yTicks.map((tick) => tick.text.length), 3) * 7 + 12;
  const right = width - 12;
  const across = scale(zoom ? zoom.x : xRange(view, shown), left, right, logx);
  const [unit, unitName] = x === "seconds" ? timeUnit(across.hi) : [1, ""];
  const xTicks = ticks(across, Math.max(2, (right - left) / 85), unit);
  const xTitle = { step: "step", seconds: `time (${unitName})`, characters: "characters trained on", flops: "floating-point operations" }[x];
  const ratio = window.devicePixelRatio || 1;
  return { width, height, ratio, left, right, top, bottom, x: across, y, xTicks, yTicks, xTitle, shown };
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function redraw(view) {
  view.frameRequest ??= requestAnimationFrame(() => {
    view.frameRequest = null;
    if (!view.plot.clientWidth || !view.header) return;
    view.frame = frame(view);
    draw(view, view.frame);
    hover(view);
    describe(view);
  });
}

function context(canvas, { width, height, ratio }) {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

function draw(view, f) {
  const ctx = context(view.base, f);
  drawAxes(ctx, view, f);
  ctx.save();
  ctx.beginPath();
  ctx.rect(f.left, f.top, f.right - f.left, f.bottom - f.top);
  ctx.clip();
  drawLandmarks(ctx, view, f);
  const smoothed = view.ui.weight > 0;
  for (const c of f.shown) if (c.kind === "train" && smoothed) drawLine(ctx, view, f, c, c.value, 1, 0.25);
  for (const c of f.shown) if (c.kind === "train") drawLine(ctx, view, f, c, c.smooth, 1.75, 1);
  for (const c of f.shown) if (c.kind !== "train") drawLine(ctx, view, f, c, c.smooth, 1.75, 1, true);
  for (const c of f.shown) if (c.kind !== "train" || c.n === 1) drawDots(ctx, view, f, c);
  ctx.restore();
  drawMarks(ctx, view, f);
  drawLabels(ctx, view, f);
  if (!f.shown.length) {
    ctx.font = `14px ${view.theme.font}`;
    const words = [...view.curves.values()].some((c) => c.n) ? "All curves are hidden" : "No points yet";
    const [x, y, w] = [(f.left + f.right) / 2, (f.top + f.bottom) / 2, ctx.measureText(words).width];
    ctx.clearRect(x - w / 2 - 8, y - 10, w + 16, 20);
    write(ctx, words, x, y, "center", 0.6);
  }
}

const yTitle = (view) => view.header.y_label + (view.ui.logy ? ", log" : "");

function write(ctx, text, x, y, align, alpha) {
  ctx.textAlign = align;
  ctx.globalAlpha = alpha;
  ctx.fillText(text, x, y);
  ctx.globalAlpha = 1;
}

function segment(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

function drawAxes(ctx, view, f) {
  const { text, line, font } = view.theme;
  ctx.font = `12px ${font}`;
  ctx.fillStyle = text;
  ctx.textBaseline = "middle";
  ctx.strokeStyle = line;
  ctx.lineWidth = 1;
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
    write(ctx, text, Math.min(x, f.width - ctx.measureText(text).width / 2), f.bottom + 14, "center", 0.75);
  }
  write(ctx, yTitle(view), 0, 9, "left", 0.75);
  write(ctx, f.xTitle + (view.ui.logx ? ", log" : ""), f.right, f.height - 7, "right", 0.75);
}

// Adds the line through the points to the path. A pixel column with many points is filled at once, from its lowest to
// its highest and on to the column before: looks the same, and is several times as fast as stroking the zigzag.
function trace(ctx, xs, ys, n, f, thick, dash) {
  const [sx, sy, fine] = [f.x.px, f.y.px, f.ratio];
  let [column, count, x, first, low, high, last] = [NaN, 0, 0, 0, 0, 0, 0];
  let [pen, fromX, fromY] = [false, NaN, 0]; // pen: the path is at (fromX, fromY); NaN: no point to come from
  let [barColumn, barLow, barHigh] = [NaN, 0, 0];
  const go = (px, py) => {
    if (!pen) ctx.moveTo(fromX === fromX ? fromX : px, fromX === fromX ? fromY : py);
    ctx.lineTo(px, py);
    [pen, fromX, fromY] = [true, px, py];
  };
  const flush = () => {
    if (!count) return;
    if (count < 4) {
      go(x, first);
      if (low < high) go(x, low), go(x, high), go(x, last);
    } else {
      if (barColumn !== column - 1) go(x, first);
      else if (low > barHigh) low = barHigh;
      else if (high < barLow) high = barLow;
      if (!dash || column % 12 < 8) ctx.fillRect(column / fine, low - thick / 2, 1 / fine, high - low + thick);
      [barColumn, barLow, barHigh] = [column, low, high];
      [pen, fromX, fromY] = [false, x, last];
    }
    count = 0;
  };
  for (let i = 0; i < n; i++) {
    const px = sx(xs[i]);
    const py = sy(ys[i]);
    const side = px < f.left ? -1 : px > f.right ? 1 : 0;
    if (!Number.isFinite(px) || !Number.isFinite(py)) {
      flush();
      [pen, fromX, column] = [false, NaN, NaN];
    } else if (side) {
      flush(); // out of sight: only a segment that comes into sight or leaves it is drawn
      const was = fromX < f.left ? -1 : fromX > f.right ? 1 : 0;
      if (fromX === fromX && was !== side) go(px, py);
      [pen, fromX, fromY, column] = [false, px, py, NaN];
    } else {
      const c = Math.floor(px * fine);
      if (c !== column) {
        flush();
        column = c;
        x = px;
        first = low = high = py;
      } else if (py < low) low = py;
      else if (py > high) high = py;
      last = py;
      count++;
    }
  }
  flush();
}

function drawLine(ctx, view, f, curve, ys, width, alpha, outlined = false) {
  const dash = dashed(view, curve.group) && alpha === 1;
  ctx.fillStyle = ctx.strokeStyle = colour(view, curve.group);
  ctx.globalAlpha = alpha;
  ctx.beginPath();
  trace(ctx, curve[view.ui.x], ys, curve.n, f, width, dash);
  ctx.lineJoin = alpha < 1 ? "bevel" : "round";
  ctx.lineCap = alpha < 1 ? "butt" : "round";
  if (outlined) { // keeps a validation line apart from the noise it runs through
    ctx.strokeStyle = view.theme.paper;
    ctx.lineWidth = width + 2.5;
    ctx.stroke();
    ctx.strokeStyle = ctx.fillStyle;
  }
  ctx.lineWidth = width;
  ctx.setLineDash(dash ? [8, 4] : []);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

function drawDots(ctx, view, f, curve) {
  const xs = curve[view.ui.x];
  let [before, sum, seen] = [NaN, 0, 0];
  for (let i = 0; i < curve.n; i++) {
    const px = f.x.px(xs[i]);
    if (px >= f.left && px <= f.right && before === before) (sum += px - before), seen++;
    before = px;
  }
  const radius = Math.min(3, seen ? (sum / seen) * 0.35 : 3); // crowded dots shrink and go
  if (radius < 1) return;
  ctx.fillStyle = colour(view, curve.group);
  ctx.strokeStyle = view.theme.paper;
  ctx.lineWidth = 1;
  for (let i = 0; i < curve.n; i++) dot(ctx, f.x.px(xs[i]), f.y.px(curve.smooth[i]), radius);
}

function dot(ctx, x, y, radius) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 7);
  ctx.fill();
  ctx.stroke();
}

function drawLandmarks(ctx, view, f) {
  ctx.strokeStyle = view.theme.text;
  ctx.lineWidth = 1;
  ctx.globalAlpha = 0.45;
  ctx.setLineDash([5, 4]);
  for (const { value } of view.header.landmarks) {
    const y = Math.round(f.y.px(value)) + 0.5;
    if (y >= f.top && y <= f.bottom) segment(ctx, f.left, y, f.right, y);
  }
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

// Labels sit above their lines at the right end, at least a row apart. Those of lines out of sight stand outside the
// plot, beside the axis titles, with an arrow, nearest first and as many as there is room for.
function drawLabels(ctx, view, f) {
  ctx.font = `12px ${view.theme.font}`;
  ctx.textBaseline = "middle";
  ctx.fillStyle = view.theme.text;
  const all = view.header.landmarks.map((mark) => ({ ...mark, at: f.y.px(mark.value) })).sort((a, b) => a.at - b.at);
  const inside = all.filter((m) => m.at >= f.top && m.at <= f.bottom);
  for (const m of inside) m.y = m.at - 9 < f.top ? m.at + 10 : m.at - 9;
  let floor = f.top + 8;
  for (const m of inside) floor = (m.y = Math.max(m.y, floor)) + 15;
  let roof = f.bottom - 9;
  for (const m of inside.toReversed()) roof = (m.y = Math.min(m.y, roof)) - 15;
  for (const m of inside) Object.assign(m, { right: f.right - 4, left: f.right - 4 - ctx.measureText(m.label).width });
  const above = all.filter((m) => m.at < f.top).reverse();
  const below = all.filter((m) => !(m.at <= f.bottom));
  beside(ctx, above, "↑", 9, f.right, ctx.measureText(yTitle(view)).width + 20);
  beside(ctx, below, "↓", f.height - 7, f.right - ctx.measureText(f.xTitle).width - 50, f.left);
  view.labels = [...inside, ...above, ...below].filter((m) => m.left !== undefined);
  ctx.strokeStyle = view.theme.paper;
  ctx.lineWidth = 4;
  ctx.lineJoin = "round";
  for (const m of view.labels) {
    ctx.textAlign = "right";
    if (inside.includes(m)) ctx.strokeText(m.label, m.right, m.y);
    write(ctx, m.label, m.right, m.y, "right", inside.includes(m) ? 0.85 : 0.65);
  }
}

function beside(ctx, marks, arrow, y, right, limit) {
  for (const m of marks) {
    m.label = `${arrow} ${m.label}`;
    const left = right - ctx.measureText(m.label).width;
    if (left < limit) return;
    Object.assign(m, { y, left, right });
    right = left - 14;
  }
}

function drawMarks(ctx, view, f) {
  view.flags = [];
  for (const { group, step, label } of view.header.marks) {
    const curve = f.shown.find((c) => c.group === group);
    if (!curve) continue;
    const at = view.ui.x === "step" ? step : curve[view.ui.x][nearest(curve, "step", step)];
    const x = Math.round(f.x.px(at)) + 0.5;
    if (!(x >= f.left && x <= f.right)) continue;
    ctx.fillStyle = ctx.strokeStyle = colour(view, group);
    ctx.lineWidth = 1.5;
    segment(ctx, x, f.bottom, x, f.bottom - 14);
    ctx.beginPath();
    ctx.moveTo(x, f.bottom - 15);
    ctx.lineTo(x + 8, f.bottom - 11.5);
    ctx.lineTo(x, f.bottom - 8);
    ctx.fill();
    view.flags.push({ x, label });
  }
}

function describe(view) {
  const latest = (c) => c.smooth.subarray(0, c.n).findLast(Number.isFinite)?.toFixed(3) ?? "no value";
  const parts = view.frame.shown.slice(0, 8).map((c) => `${c.label} ${c.kind} ${latest(c)} at step ${Math.round(c.step[c.n - 1])}`);
  const summary = `Chart of ${view.header.y_label} by ${view.frame.xTitle}. ${parts.join("; ") || "No points yet"}.`;
  if (view.plot.ariaLabel !== summary) view.plot.ariaLabel = summary;
}

// ---- pointer -------------------------------------------------------------------------------------------------------

function nearest(curve, name, target) {
  const xs = curve[name];
  let [best, away] = [-1, Infinity];
  for (let i = 0; i < curve.n; i++) {
    const d = Math.abs(xs[i] - target);
    if (d < away && Number.isFinite(curve.value[i])) [best, away] = [i, d];
  }
  return best;
}

function hover(view) {
  const { frame: f, drag } = view;
  const p = view.pointer ?? followed(view);
  const ctx = context(view.over, f);
  view.tip.hidden = true;
  if (drag && !drag.pan && p) return drawBox(ctx, view, f, drag, p);
  if (!p || drag || !view.labels) return;
  const label = view.labels.find((l) => p.x >= l.left && p.x <= l.right && Math.abs(p.y - l.y) < 8 && l.help);
  const flag = view.flags.find((m) => Math.abs(m.x + 3 - p.x) < 8 && p.y > f.bottom - 18 && m.label);
  if (label || flag) return placeTip(view, f, p, [element("p", {}, label ? label.help : flag.label)]);
  if (p.x < f.left || p.x > f.right || p.y < f.top || p.y > f.bottom) return;
  const found = f.shown.map((curve) => ({ curve, i: nearest(curve, view.ui.x, f.x.at(p.x)) })).filter(({ i }) => i >= 0);
  for (const each of found) each.y = f.y.px(each.curve.smooth[each.i]);
  if (!found.length) return;
  const away = (each) => Math.abs(each.y - p.y);
  const closest = found.reduce((a, b) => (away(b) < away(a) ? b : a));
  ctx.strokeStyle = view.theme.text;
  ctx.globalAlpha = 0.35;
  segment(ctx, Math.round(p.x) + 0.5, f.top, Math.round(p.x) + 0.5, f.bottom);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = view.theme.paper;
  for (const { curve, i, y } of found) {
    const x = f.x.px(curve[view.ui.x][i]);
    if (x < f.left || x > f.right || y < f.top || y > f.bottom) continue;
    ctx.fillStyle = colour(view, curve.group);
    dot(ctx, x, y, 4.5);
  }
  const rows = found.length > 12 ? found.filter((each) => found.filter((o) => away(o) < away(each)).length < 12) : found;
  placeTip(view, f, p, tipTable(view, rows, closest, found.length - rows.length));
}

// Where another chart on the page is pointed at, if both have the same x axis.
function followed(view) {
  if (view.follow == null) return null;
  const { left, right, top, bottom, x } = view.frame;
  const at = x.px(view.follow);
  return at >= left && at <= right ? { x: at, y: (top + bottom) / 2 } : null;
}

function lead(view) {
  const p = view.pointer;
  const inside = p && !view.drag && p.x >= view.frame.left && p.x <= view.frame.right;
  for (const other of mounted) {
    if (other === view || other.ui.x !== view.ui.x) continue;
    other.follow = inside ? view.frame.x.at(p.x) : null;
    if (other.frame) hover(other);
  }
}

function tipTable(view, rows, closest, left) {
  const cell = (text, name = "") => element("td", { class: name }, text);
  const head = element("tr", {}, ...["", "smoothed", "value", "step", "time"].map((t) => element("th", {}, t)));
  const body = rows.map(({ curve, i }, at) => {
    const name = cell(`${curve.label} `, "who");
    name.prepend(element("i", { style: `--c:${colour(view, curve.group)}`, class: curve.kind }));
    name.append(element("small", {}, curve.kind));
    const smooth = curve.kind === "train" ? curve.smooth[i].toFixed(4) : "–";
    const numbers = [smooth, curve.value[i].toFixed(4), Math.round(curve.step[i]).toLocaleString("en"), clock(curve.seconds[i])];
    return element("tr", { class: rows[at].curve === closest.curve ? "near" : "" }, name, ...numbers.map((t) => cell(t)));
  });
  const more = left > 0 ? [element("p", {}, `and ${left} more`)] : [];
  return [element("table", {}, head, ...body), ...more];
}

function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const [h, m, s] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  return h ? `${h} h ${String(m).padStart(2, "0")} min` : `${m} min ${String(s).padStart(2, "0")} s`;
}

function placeTip(view, f, p, content) {
  const { tip } = view;
  tip.replaceChildren(...content);
  tip.hidden = false;
  const [w, h] = [tip.offsetWidth, tip.offsetHeight];
  const right = p.x + 16;
  const x = right + w <= f.width ? right : p.x - 16 - w >= 0 ? p.x - 16 - w : Math.max(0, (f.width - w) / 2);
  const beside = x === right || x === p.x - 16 - w;
  const y = beside ? p.y - h / 2 : p.y > (f.top + f.bottom) / 2 ? p.y - h - 24 : p.y + 24; // never under the finger
  tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(Math.max(-40, Math.min(y, f.height - h)))}px)`;
}

function drawBox(ctx, view, f, drag, p) {
  const [x0, x1, y0, y1] = box(f, drag, p);
  ctx.strokeStyle = ctx.fillStyle = view.theme.text;
  ctx.lineWidth = 1;
  ctx.globalAlpha = 0.08;
  ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
  ctx.globalAlpha = 0.5;
  ctx.strokeRect(Math.round(x0) + 0.5, Math.round(y0) + 0.5, Math.round(x1 - x0), Math.round(y1 - y0));
  ctx.globalAlpha = 1;
}

// A box nearly flat zooms x alone.
function box(f, drag, p) {
  const clampX = (v) => Math.max(f.left, Math.min(v, f.right));
  const clampY = (v) => Math.max(f.top, Math.min(v, f.bottom));
  const flat = Math.abs(p.y - drag.y) < 12;
  const ys = flat ? [f.top, f.bottom] : [clampY(Math.min(p.y, drag.y)), clampY(Math.max(p.y, drag.y))];
  return [clampX(Math.min(p.x, drag.x)), clampX(Math.max(p.x, drag.x)), ...ys];
}

// Zoom to the given pixels of frame `f`: left, right, top, bottom.
function zoomTo(view, f, [x0, x1, y0, y1]) {
  const [x, y] = [[f.x.at(x0), f.x.at(x1)], [f.y.at(y1), f.y.at(y0)]];
  if (!(x[1] - x[0] > 1e-9 * Math.abs(x[1])) || !(y[1] - y[0] > 1e-9 * Math.abs(y[1]))) return;
  view.ui.zoom = { x, y, groups: groups(view).map((g) => g.id) };
  changed(view);
}

function listen(view) {
  const { plot, abort } = view;
  const on = (target, name, handle, options = {}) => target.addEventListener(name, handle, { signal: abort.signal, ...options });
  const place = (event) => {
    const box = plot.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const later = () => (view.hoverRequest ??= requestAnimationFrame(() => ((view.hoverRequest = null), view.frame && (hover(view), lead(view)))));
  on(plot, "pointermove", (event) => {
    view.pointer = place(event);
    const { drag, pointer: p } = view;
    if (!drag?.pan) return later();
    const [dx, dy] = [p.x - drag.x, p.y - drag.y];
    const { left, right, top, bottom } = drag.frame;
    zoomTo(view, drag.frame, [left - dx, right - dx, top - dy, bottom - dy]);
  });
  on(plot, "pointerdown", (event) => {
    view.pointer = place(event);
    if (event.pointerType === "touch") return later(); // a finger reads values; zooming stays with mouse and pen
    if (event.button || !view.frame) return;
    plot.setPointerCapture(event.pointerId);
    view.drag = { ...view.pointer, pan: event.shiftKey, frame: view.frame };
    plot.classList.toggle("panning", event.shiftKey);
  });
  const drop = (event) => {
    const { drag } = view;
    [view.drag, view.pointer] = [null, place(event)];
    plot.classList.remove("panning");
    if (drag && !drag.pan && event.type === "pointerup" && Math.abs(view.pointer.x - drag.x) > 8)
      zoomTo(view, view.frame, box(view.frame, drag, view.pointer));
    later();
  };
  on(plot, "pointerup", drop);
  on(plot, "pointercancel", drop);
  on(plot, "pointerleave", (event) => event.pointerType !== "touch" && ((view.pointer = null), later()));
  on(plot, "dblclick", () => ((view.ui.zoom = null), changed(view)));
  on(plot, "wheel", (event) => {
    if (!(event.ctrlKey || event.altKey) || !view.frame) return; // a plain wheel scrolls the page
    event.preventDefault();
    const p = place(event);
    const k = Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.003);
    const f = view.frame;
    zoomTo(view, f, [p.x - (p.x - f.left) * k, p.x + (f.right - p.x) * k, p.y - (p.y - f.top) * k, p.y + (f.bottom - p.y) * k]);
  }, { passive: false });
  on(document, "pointerdown", (event) => !event.composedPath().includes(plot) && view.pointer && ((view.pointer = null), later()));
  on(document, "visibilitychange", () => view.header && schedule(view));
}
