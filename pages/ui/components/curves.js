// Live curves. The server sends appended points as float32 columns; everything the viewer chooses stays here.

const COLUMNS = ["step", "seconds", "characters", "value"];
const X_TITLES = { step: "step", seconds: "seconds of training", characters: "characters seen" };
const PAD = { left: 58, right: 14, top: 10, bottom: 42 };
const FALLBACK = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const instances = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let chart = instances.get(parentElement);
  if (!chart) {
    chart = create(parentElement);
    instances.set(parentElement, chart);
  }
  chart.send = (have) => setTriggerValue("poll", { have });
  receive(chart, data);
  return () => destroy(chart, parentElement);
}

// --- life ----------------------------------------------------------------------------------------------------------

function create(parent) {
  const root = parent.querySelector(".root");
  root.innerHTML = `
    <div class="controls">
      <label title="Averages the noisy training loss over recent points, without bias at the start; the raw line stays, faint">
        smoothing <input class="smooth" type="range" min="0" max="0.99" step="0.01" aria-label="smoothing"><output></output></label>
      <label title="What the horizontal axis counts">x <select class="x" aria-label="horizontal axis">
        <option value="step">step</option><option value="seconds">seconds</option>
        <option value="characters">characters</option></select></label>
      <label title="Logarithmic horizontal axis: learning curves are often straight there">
        <input class="logx" type="checkbox">log x</label>
      <label title="Logarithmic vertical axis"><input class="logy" type="checkbox">log y</label>
      <button class="fit" title="Show everything again and follow new points (double click does the same). Drag to zoom, shift and drag to move, ctrl and wheel to zoom.">Fit</button>
    </div>
    <div class="plot" role="img"><canvas class="main"></canvas><canvas class="over"></canvas><div class="tip"></div></div>
    <div class="legend" aria-label="curves: click to hide or show, double click to show only one"></div>`;
  const find = (name) => root.querySelector(name);
  const chart = {
    root, plot: find(".plot"), main: find(".main"), over: find(".over"), tip: find(".tip"), legend: find(".legend"),
    controls: { smooth: find(".smooth"), x: find(".x"), logx: find(".logx"), logy: find(".logy"), fit: find(".fit") },
    curves: new Map(), colours: new Map(), header: null, view: null, zoom: null, pointer: null, drag: null,
    updates: 0, asked: 0, timer: 0,
  };
  chart.observer = new ResizeObserver(() => draw(chart));
  chart.observer.observe(chart.plot);
  chart.onVisible = () => schedule(chart);
  document.addEventListener("visibilitychange", chart.onVisible);
  listen(chart);
  return chart;
}

function destroy(chart, parent) {
  clearTimeout(chart.timer);
  chart.observer.disconnect();
  document.removeEventListener("visibilitychange", chart.onVisible);
  instances.delete(parent);
}

function restore(chart) {
  const saved = JSON.parse(sessionStorage.getItem(`curves:${chart.header.key}`) ?? "{}");
  chart.view = { smooth: 0.6, x: "step", logx: false, logy: false, hidden: [], ...saved };
  const { smooth, x, logx, logy } = chart.controls;
  smooth.value = chart.view.smooth;
  x.value = chart.view.x;
  logx.checked = chart.view.logx;
  logy.checked = chart.view.logy;
  smooth.nextElementSibling.value = Number(chart.view.smooth).toFixed(2);
}

function change(chart, changes) {
  Object.assign(chart.view, changes);
  sessionStorage.setItem(`curves:${chart.header.key}`, JSON.stringify(chart.view));
  draw(chart);
}

// --- data ----------------------------------------------------------------------------------------------------------

function receive(chart, bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  chart.header = header;
  if (!chart.view) restore(chart);
  let offset = 4 + length, sent = 0, gap = false;
  const listed = new Set();
  for (const row of header.curves) {
    const columns = {};
    for (const name of COLUMNS) {
      columns[name] = new Float32Array(buffer, offset, row.count);
      offset += 4 * row.count;
    }
    listed.add(row.id);
    sent += row.count;
    gap = !merge(chart, row, columns) || gap;
  }
  for (const id of chart.curves.keys()) if (!listed.has(id)) chart.curves.delete(id);
  chart.asked = 0;
  chart.updates += 1;
  const points = [...chart.curves.values()].reduce((n, c) => n + c.count, 0);
  Object.assign(chart.root.dataset, { updates: chart.updates, sent, points, live: header.live });
  chart.plot.style.height = `${header.height}px`;
  drawLegend(chart);
  draw(chart);
  schedule(chart, gap ? 0 : undefined);
}

function merge(chart, row, columns) {
  let curve = chart.curves.get(row.id);
  if (!curve || row.from === 0) {
    curve = { count: 0, capacity: 0, smoothed: null };
    chart.curves.set(row.id, curve);
  }
  Object.assign(curve, { id: row.id, label: row.label, kind: row.kind, group: row.group });
  if (row.from > curve.count) return false; // something was missed: ask again from what is here
  const total = row.from + row.count;
  if (total > curve.capacity) {
    curve.capacity = Math.max(256, 2 * total);
    for (const name of COLUMNS) {
      const wider = new Float32Array(curve.capacity);
      if (curve[name]) wider.set(curve[name].subarray(0, curve.count));
      curve[name] = wider;
    }
  }
  for (const name of COLUMNS) curve[name].set(columns[name], row.from);
  if (row.count || total < curve.count) curve.smoothed = null;
  curve.count = Math.max(total, row.from);
  return true;
}

function schedule(chart, delay) {
  clearTimeout(chart.timer);
  if (!chart.header?.live || document.hidden) return;
  const started = [...chart.curves.values()].some((c) => c.count);
  const wait = delay ?? 1000 * chart.header.interval * (started ? 1 : 0.25);
  chart.timer = setTimeout(() => ask(chart), chart.asked ? 3000 : wait);
}

function ask(chart) {
  chart.asked = 1;
  chart.send(Object.fromEntries([...chart.curves.values()].map((c) => [c.id, c.count])));
  schedule(chart);
}

// A moving average that starts unbiased: the sum of weights so far divides out (as Adam corrects its moments).
function smoothed(curve, weight) {
  if (curve.smoothed?.weight === weight && curve.smoothed.count === curve.count) return curve.smoothed.values;
  const values = new Float32Array(curve.count);
  let sum = 0, mass = 0;
  for (let i = 0; i < curve.count; i++) {
    const y = curve.value[i];
    if (Number.isFinite(y)) {
      sum = weight * sum + (1 - weight) * y;
      mass = weight * mass + (1 - weight);
      values[i] = sum / mass;
    } else values[i] = NaN;
  }
  curve.smoothed = { weight, count: curve.count, values };
  return values;
}

// --- scales --------------------------------------------------------------------------------------------------------

function shownCurves(chart) {
  return [...chart.curves.values()].filter((c) => !chart.view.hidden.includes(`${c.group}|${c.kind}`));
}

function dataRange(chart) {
  const { x, logx, logy } = chart.view;
  const range = [Infinity, -Infinity, Infinity, -Infinity];
  for (const curve of shownCurves(chart)) {
    const ys = curve.kind === "train" ? smoothed(curve, Number(chart.view.smooth)) : curve.value;
    for (let i = 0; i < curve.count; i++) {
      const px = curve[x][i], py = ys[i];
      if (!Number.isFinite(py) || (logx && px <= 0) || (logy && py <= 0)) continue;
      if (px < range[0]) range[0] = px;
      if (px > range[1]) range[1] = px;
      if (py < range[2]) range[2] = py;
      if (py > range[3]) range[3] = py;
    }
  }
  if (range[0] > range[1]) return null;
  return range;
}

function fitRange(chart) {
  const range = dataRange(chart) ?? [logxStart(chart), 100, 1, Math.max(4.5, ...chart.header.landmarks.map((m) => m.value))];
  if (range[0] === range[1]) range[1] = range[0] + Math.max(1, Math.abs(range[0]) * 0.05);
  const reach = Math.max(range[3] - range[2], 0.05);
  for (const { value } of chart.header.landmarks) { // landmarks near the data belong in the picture
    if (value > range[3] && value < range[3] + 0.35 * reach) range[3] = value;
    if (value < range[2] && value > range[2] - 0.35 * reach) range[2] = value;
  }
  const pad = 0.06 * Math.max(range[3] - range[2], 1e-3);
  if (chart.view.logy) return [range[0], range[1], range[2] / 1.05, range[3] * 1.05];
  return [range[0], range[1], range[2] - pad, range[3] + pad];
}

const logxStart = (chart) => (chart.view.logx ? 1 : 0);

function makeScales(chart) {
  const { clientWidth: width, clientHeight: height } = chart.plot;
  const [x0, x1, y0, y1] = chart.zoom ?? fitRange(chart);
  const axis = (low, high, from, to, log) => {
    const f = log ? Math.log : (v) => v;
    const g = log ? Math.exp : (v) => v;
    const a = f(Math.max(low, log ? 1e-9 : -Infinity)), b = f(Math.max(high, log ? 1e-9 : -Infinity));
    const span = b - a || 1;
    return { low, high, from, to, log, at: (v) => from + ((f(v) - a) / span) * (to - from), back: (p) => g(a + ((p - from) / (to - from)) * span) };
  };
  return {
    width, height,
    x: axis(x0, x1, PAD.left, width - PAD.right, chart.view.logx),
    y: axis(y0, y1, height - PAD.bottom, PAD.top, chart.view.logy),
  };
}

function ticks(axis, wanted) {
  const { low, high, log } = axis;
  if (log && high / low > 8) {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of high / low > 1000 ? [1] : [1, 2, 5]) found.push(m * 10 ** e);
    return found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  }
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return found;
}

function short(v) {
  const size = Math.abs(v);
  if (size >= 1e9) return `${+(v / 1e9).toPrecision(3)}G`;
  if (size >= 1e6) return `${+(v / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(v / 1e3).toPrecision(3)}k`;
  return `${+v.toPrecision(4)}`;
}

// --- drawing -------------------------------------------------------------------------------------------------------

function css(chart, name) {
  return getComputedStyle(chart.root).getPropertyValue(name).trim();
}

function colour(chart, group) { // a run keeps its colour when others come and go
  if (!chart.colours.has(group)) {
    const taken = new Set(chart.colours.values());
    let next = 0;
    while (taken.has(next)) next += 1;
    chart.colours.set(group, next);
  }
  const palette = css(chart, "--st-chart-categorical-colors").split(",").filter(Boolean);
  const from = palette.length ? palette : FALLBACK;
  return from[chart.colours.get(group) % from.length];
}

function surface(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function draw(chart) {
  if (!chart.header || !chart.plot.clientWidth) return;
  const scales = (chart.scales = makeScales(chart));
  const pen = surface(chart.main, scales.width, scales.height);
  pen.font = `12px ${css(chart, "--st-font") || "sans-serif"}`;
  chart.ink = css(chart, "--st-text-color") || "#222";
  drawAxes(chart, pen, scales);
  pen.save();
  pen.beginPath();
  pen.rect(PAD.left, PAD.top, scales.width - PAD.left - PAD.right, scales.height - PAD.top - PAD.bottom);
  pen.clip();
  const curves = shownCurves(chart);
  for (const curve of curves.filter((c) => c.kind === "train")) {
    const weight = Number(chart.view.smooth);
    if (weight > 0) line(chart, pen, curve, curve.value, 0.22, 1);
    line(chart, pen, curve, smoothed(curve, weight), 1, 1.6);
  }
  for (const curve of curves.filter((c) => c.kind !== "train")) {
    line(chart, pen, curve, curve.value, 1, 2);
    dots(chart, pen, curve);
  }
  pen.restore();
  drawLandmarks(chart, pen, scales);
  drawMarks(chart, pen, scales);
  if (!curves.some((c) => c.count)) centred(pen, scales, chart, "No points yet");
  chart.controls.fit.disabled = !chart.zoom;
  chart.root.dataset.zoom = chart.zoom ? chart.zoom.map((v) => +v.toPrecision(6)).join(",") : "";
  const last = curves.map((c) => (c.count ? `${c.label} ${c.kind} ${c.value[c.count - 1].toFixed(3)}` : "")).filter(Boolean);
  chart.plot.setAttribute("aria-label", `${chart.header.yLabel} against ${X_TITLES[chart.view.x]}. ${last.join("; ") || "No points yet"}`);
  drawOver(chart);
}

function drawAxes(chart, pen, { x, y, width, height }) {
  pen.strokeStyle = css(chart, "--st-border-color") || "#ddd";
  pen.fillStyle = chart.ink;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.9;
  pen.textBaseline = "middle";
  for (const v of ticks(y, Math.max(3, height / 60))) {
    const at = Math.round(y.at(v)) + 0.5;
    stroke(pen, PAD.left, at, width - PAD.right, at);
    pen.textAlign = "right";
    pen.fillText(short(v), PAD.left - 7, at);
  }
  pen.textBaseline = "top";
  let free = -Infinity;
  for (const v of ticks(x, Math.max(2, width / 110))) {
    const at = Math.round(x.at(v)) + 0.5, label = short(v), half = pen.measureText(label).width / 2;
    if (at - half < free) continue;
    free = at + half + 8;
    stroke(pen, at, height - PAD.bottom, at, height - PAD.bottom + 4);
    pen.textAlign = "center";
    pen.fillText(label, Math.min(at, width - half), height - PAD.bottom + 7);
  }
  pen.textAlign = "center";
  pen.globalAlpha = 0.75;
  pen.fillText(X_TITLES[chart.view.x], (PAD.left + width - PAD.right) / 2, height - 15);
  pen.save();
  pen.translate(11, (PAD.top + height - PAD.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(chart.header.yLabel, 0, -6);
  pen.restore();
  pen.globalAlpha = 1;
}

function stroke(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

// Many points on one pixel column are drawn as the first, the lowest, the highest and the last of them.
function line(chart, pen, curve, ys, alpha, width) {
  const { x, y } = chart.scales, xs = curve[chart.view.x];
  pen.globalAlpha = alpha;
  pen.strokeStyle = colour(chart, curve.group);
  pen.lineWidth = width;
  pen.lineJoin = "round";
  pen.beginPath();
  let column = NaN, low = 0, high = 0, last = 0, open = false;
  for (let i = 0; i < curve.count; i++) {
    const v = ys[i];
    if (!Number.isFinite(v) || (y.log && v <= 0) || (x.log && xs[i] <= 0)) {
      if (open) pen.lineTo(column, last);
      open = false;
      column = NaN;
      continue;
    }
    const px = x.at(xs[i]), py = y.at(v), pixel = Math.round(px);
    if (open && pixel === Math.round(column)) {
      low = Math.max(low, py);
      high = Math.min(high, py);
      last = py;
      continue;
    }
    if (open) {
      if (low !== high) { pen.lineTo(column, low); pen.lineTo(column, high); }
      pen.lineTo(column, last);
      pen.lineTo(px, py);
    } else pen.moveTo(px, py);
    column = px;
    low = high = last = py;
    open = true;
  }
  if (open) {
    if (low !== high) { pen.lineTo(column, low); pen.lineTo(column, high); }
    pen.lineTo(column, last);
  }
  pen.stroke();
  pen.globalAlpha = 1;
}

function dots(chart, pen, curve) {
  const { x, y } = chart.scales, xs = curve[chart.view.x];
  pen.fillStyle = colour(chart, curve.group);
  const every = Math.max(1, Math.ceil(curve.count / 200));
  for (let i = 0; i < curve.count; i += every) {
    if (!Number.isFinite(curve.value[i]) || (x.log && xs[i] <= 0)) continue;
    pen.beginPath();
    pen.arc(x.at(xs[i]), y.at(curve.value[i]), 3, 0, 7);
    pen.fill();
  }
}

function drawLandmarks(chart, pen, { y, width, height }) {
  const inside = [], outside = [];
  for (const mark of chart.header.landmarks) {
    const at = y.at(mark.value);
    (at >= PAD.top && at <= height - PAD.bottom ? inside : outside).push({ ...mark, at });
  }
  pen.fillStyle = pen.strokeStyle = chart.ink;
  pen.textAlign = "right";
  pen.textBaseline = "bottom";
  let above = Infinity;
  for (const mark of inside.sort((a, b) => b.at - a.at)) { // from the bottom up, pushing labels apart
    pen.globalAlpha = 0.5;
    pen.setLineDash([5, 4]);
    stroke(pen, PAD.left, mark.at, width - PAD.right, mark.at);
    pen.setLineDash([]);
    const label = Math.max(PAD.top + 13, Math.min(mark.at - 2, above - 14));
    above = label;
    pen.globalAlpha = 0.8;
    pen.fillText(mark.label, width - PAD.right - 4, label);
  }
  const up = outside.filter((m) => m.at < PAD.top).map((m) => m.label);
  const down = outside.filter((m) => m.at >= PAD.top).map((m) => m.label);
  pen.globalAlpha = 0.6;
  pen.textBaseline = "top";
  const fits = (words) => (pen.measureText(words).width < width - PAD.left - PAD.right - 8 ? words : words.slice(0, 34) + "…");
  if (up.length) pen.fillText(fits(`↑ ${up.join(" · ")}`), width - PAD.right - 4, PAD.top + 2);
  pen.textBaseline = "bottom";
  if (down.length) pen.fillText(fits(`↓ ${down.join(" · ")}`), width - PAD.right - 4, height - PAD.bottom - 3);
  pen.globalAlpha = 1;
}

function drawMarks(chart, pen, { x, height }) {
  if (chart.view.x !== "step") return;
  for (const mark of chart.header.marks) {
    const at = x.at(mark.step), foot = height - PAD.bottom;
    pen.fillStyle = colour(chart, mark.group);
    pen.beginPath();
    pen.moveTo(at, foot - 8);
    pen.lineTo(at - 5, foot);
    pen.lineTo(at + 5, foot);
    pen.fill();
  }
}

function centred(pen, { width, height }, chart, words) {
  pen.globalAlpha = 0.6;
  pen.fillStyle = chart.ink;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(words, (PAD.left + width - PAD.right) / 2, height / 2);
  pen.globalAlpha = 1;
}

function drawLegend(chart) {
  const names = [...chart.curves.values()].map((c) => [c.group, c.kind, c.label]);
  const signature = JSON.stringify(names);
  if (chart.legendSignature === signature) return paintLegend(chart);
  chart.legendSignature = signature;
  chart.legend.replaceChildren();
  for (const [group, kind, label] of names) {
    const button = document.createElement("button");
    button.dataset.id = `${group}|${kind}`;
    button.title = "Click to hide or show, double click to show only this";
    const swatch = document.createElement("span");
    swatch.className = `swatch ${kind}`;
    button.append(swatch, `${label} · ${kind === "val" ? "validation" : "training"}`);
    button.onclick = () => toggle(chart, button.dataset.id);
    button.ondblclick = () => solo(chart, button.dataset.id);
    chart.legend.append(button);
  }
  paintLegend(chart);
}

function paintLegend(chart) {
  for (const button of chart.legend.children) {
    button.setAttribute("aria-pressed", String(!chart.view.hidden.includes(button.dataset.id)));
    button.firstChild.style.borderColor = colour(chart, button.dataset.id.split("|")[0]);
  }
}

function toggle(chart, id) {
  const hidden = new Set(chart.view.hidden);
  hidden.has(id) ? hidden.delete(id) : hidden.add(id);
  change(chart, { hidden: [...hidden] });
  paintLegend(chart);
}

function solo(chart, id) {
  const others = [...chart.legend.children].map((b) => b.dataset.id).filter((other) => other !== id);
  const alone = others.every((other) => chart.view.hidden.includes(other));
  change(chart, { hidden: alone ? [] : others });
  paintLegend(chart);
}

// --- mouse and touch -----------------------------------------------------------------------------------------------

function listen(chart) {
  const { smooth, x, logx, logy, fit } = chart.controls;
  smooth.oninput = () => {
    smooth.nextElementSibling.value = Number(smooth.value).toFixed(2);
    change(chart, { smooth: Number(smooth.value) });
  };
  x.onchange = () => { chart.zoom = null; change(chart, { x: x.value }); };
  logx.onchange = () => { chart.zoom = null; change(chart, { logx: logx.checked }); };
  logy.onchange = () => { chart.zoom = null; change(chart, { logy: logy.checked }); };
  const reset = () => { chart.zoom = null; draw(chart); };
  fit.onclick = chart.over.ondblclick = reset;
  const place = (event) => {
    const box = chart.over.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  chart.over.onpointerdown = (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    chart.over.setPointerCapture(event.pointerId);
    chart.drag = { from: place(event), pan: event.shiftKey, scales: chart.scales };
  };
  chart.over.onpointermove = (event) => {
    chart.pointer = place(event);
    if (chart.drag?.pan) pan(chart);
    drawOver(chart);
  };
  chart.over.onpointerup = (event) => {
    const drag = chart.drag;
    chart.drag = null;
    if (drag && !drag.pan) box(chart, drag.from, place(event));
    drawOver(chart);
  };
  chart.over.onpointerleave = chart.over.onpointercancel = () => { chart.pointer = null; drawOver(chart); };
  chart.over.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.altKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    zoomAt(chart, place(event), event.deltaY > 0 ? 1.2 : 1 / 1.2);
  }, { passive: false });
}

function box(chart, a, b) {
  if (Math.abs(a.x - b.x) < 6 && Math.abs(a.y - b.y) < 6) return;
  const { x, y } = chart.scales;
  const wide = Math.abs(a.x - b.x) >= 6, tall = Math.abs(a.y - b.y) >= 12; // a flat drag zooms along x alone
  const [x0, x1] = wide ? [x.back(Math.min(a.x, b.x)), x.back(Math.max(a.x, b.x))] : [x.low, x.high];
  const [y0, y1] = tall ? [y.back(Math.max(a.y, b.y)), y.back(Math.min(a.y, b.y))] : [y.low, y.high];
  chart.zoom = [x0, x1, y0, y1];
  draw(chart);
}

function pan(chart) {
  const { from, scales } = chart.drag, dx = chart.pointer.x - from.x, dy = chart.pointer.y - from.y;
  const move = (axis, d) => [axis.back(axis.at(axis.low) - d), axis.back(axis.at(axis.high) - d)];
  chart.zoom = [...move(scales.x, dx), ...move(scales.y, dy)];
  draw(chart);
}

function zoomAt(chart, at, factor) {
  const around = (axis, p) => [axis.back(p + (axis.from - p) * factor), axis.back(p + (axis.to - p) * factor)];
  chart.zoom = [...around(chart.scales.x, at.x), ...around(chart.scales.y, at.y)];
  draw(chart);
}

function drawOver(chart) {
  const { width, height } = chart.scales ?? {};
  if (!width) return;
  const pen = surface(chart.over, width, height);
  const p = chart.pointer;
  chart.tip.style.display = "none";
  if (!p) return;
  pen.strokeStyle = pen.fillStyle = chart.ink;
  if (chart.drag && !chart.drag.pan) {
    const { from } = chart.drag;
    pen.globalAlpha = 0.12;
    pen.fillRect(from.x, from.y, p.x - from.x, p.y - from.y);
    pen.globalAlpha = 0.6;
    pen.strokeRect(from.x, from.y, p.x - from.x, p.y - from.y);
    return;
  }
  if (p.x < PAD.left || p.x > width - PAD.right || p.y < PAD.top || p.y > height - PAD.bottom) return;
  pen.globalAlpha = 0.35;
  stroke(pen, p.x, PAD.top, p.x, height - PAD.bottom);
  tooltip(chart, p, pen);
}

function nearest(curve, xs, target) {
  let low = 0, high = curve.count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    xs[middle] < target ? (low = middle + 1) : (high = middle);
  }
  return low > 0 && target - xs[low - 1] < xs[low] - target ? low - 1 : low;
}

function tooltip(chart, p, pen) {
  const { x, y, width, height } = chart.scales, target = x.back(p.x), rows = [];
  for (const curve of shownCurves(chart)) {
    if (!curve.count) continue;
    const i = nearest(curve, curve[chart.view.x], target);
    const value = curve.kind === "train" ? smoothed(curve, Number(chart.view.smooth))[i] : curve.value[i];
    rows.push({ curve, i, value, away: Math.abs(y.at(value) - p.y) });
    pen.globalAlpha = 1;
    pen.fillStyle = colour(chart, curve.group);
    pen.beginPath();
    pen.arc(x.at(curve[chart.view.x][i]), y.at(value), 4, 0, 7);
    pen.fill();
  }
  if (!rows.length) return;
  const near = rows.reduce((a, b) => (b.away < a.away ? b : a));
  const table = document.createElement("table");
  for (const row of rows.slice(0, 12)) {
    const { curve, i, value } = row, tr = document.createElement("tr");
    if (row === near) tr.className = "near";
    const raw = curve.kind === "train" && chart.view.smooth > 0 ? ` (raw ${curve.value[i].toFixed(4)})` : "";
    const cells = ["●", curve.label, curve.kind, value.toFixed(4) + raw, `step ${short(curve.step[i])}`, `${short(+curve.seconds[i].toFixed(1))} s`];
    for (const words of cells) tr.append(Object.assign(document.createElement("td"), { textContent: words }));
    tr.firstChild.style.color = colour(chart, curve.group);
    table.append(tr);
  }
  const mark = chart.header.landmarks.find((m) => Math.abs(y.at(m.value) - p.y) < 6);
  const said = chart.header.marks.filter((m) => chart.view.x === "step" && Math.abs(x.at(m.step) - p.x) < 6).map((m) => m.label);
  if (mark) said.push(`${mark.label}. ${mark.help}`);
  chart.tip.replaceChildren(table, ...said.map((words) => Object.assign(document.createElement("div"), { textContent: words })));
  chart.tip.style.display = "block";
  const room = width - p.x - 24, wide = chart.tip.offsetWidth;
  chart.tip.style.left = `${Math.max(2, room > wide ? p.x + 14 : Math.min(p.x - wide - 14, width - wide - 2))}px`;
  chart.tip.style.top = `${Math.min(p.y + 12, height - chart.tip.offsetHeight - 4)}px`;
}
