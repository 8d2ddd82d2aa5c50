// Draws one picture a step. The server sends all steps at once; playing them is the browser's own affair.
const SECONDS = 6; // a whole walk takes about this long to play
const BANDS = 18; // shades of a landscape
const PAD = { left: 46, right: 10, top: 8, bottom: 34 };
const views = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = mount(parentElement)));
  view.send = setTriggerValue;
  if (data.serial !== view.data?.serial) receive(view, data);
  readTheme(view);
  go(view, view.step, true);
  const call = ++view.calls;
  return () =>
    setTimeout(() => {
      if (view.calls !== call) return;
      cancelAnimationFrame(view.frame);
      view.observer.disconnect();
      views.delete(parentElement);
    });
}

function mount(parent) {
  const root = parent.querySelector(".descent");
  const view = { root, calls: 0, step: 0, buttons: {}, picture: root.querySelector(".picture"), loss: root.querySelector(".loss") };
  view.controls = root.querySelector(".controls");
  view.legend = root.querySelector(".legend");
  view.controls.replaceChildren();
  const add = (name, label, title, act) => {
    const button = element("button", label, view.controls);
    Object.assign(button, { title, type: "button" });
    button.addEventListener("click", act);
    view.buttons[name] = button;
  };
  add("play", "Play", "Walk from the start", () => play(view));
  add("back", "Back", "One step back", () => go(view, view.step - 1));
  add("next", "Step", "One step on", () => go(view, view.step + 1));
  add("first", "«", "To the start", () => go(view, 0));
  add("last", "»", "To the end", () => go(view, Infinity));
  view.buttons.play.className = "main";
  view.slider = element("input", "", view.controls);
  Object.assign(view.slider, { type: "range", min: 0, ariaLabel: "Step" });
  view.slider.addEventListener("input", () => go(view, +view.slider.value));
  view.where = element("span", "", view.controls);
  view.where.className = "where";
  view.picture.addEventListener("click", (event) => {
    if (!view.data.clickable) return;
    const box = view.picture.getBoundingClientRect();
    const { x, y } = scales(view, box.width, box.height);
    const place = { x: x.from(event.clientX - box.left), y: y.from(event.clientY - box.top) };
    const inside = (v, [lo, hi]) => v >= lo && v <= hi;
    if (inside(place.x, view.data.x) && inside(place.y, view.data.y)) view.send("place", place);
  });
  view.observer = new ResizeObserver(() => view.data && draw(view));
  view.observer.observe(root);
  return view;
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function receive(view, data) {
  stop(view);
  view.data = data;
  view.fields = unpack(data.fields);
  view.lines = unpack(data.lines);
  view.shaded = null;
  view.step = data.steps; // the whole walk at first; Play shows how it came about
  view.slider.max = data.steps;
  view.picture.classList.toggle("clickable", data.clickable);
  view.picture.ariaLabel = data.walkers.map((w) => `${w.label}: ${w.end || short(w.losses[w.losses.length - 1])}`).join("; ");
}

function unpack(packed) {
  if (!packed) return null;
  const bytes = Uint8Array.from(atob(packed.base64), (c) => c.charCodeAt(0));
  return { shape: packed.shape, values: new Float32Array(bytes.buffer) };
}

function readTheme(view) {
  const style = getComputedStyle(view.root);
  const read = (name) => style.getPropertyValue(name).trim();
  const theme = { text: read("--st-text-color"), back: read("--st-background-color"), font: read("--st-font") };
  if (JSON.stringify(theme) !== JSON.stringify(view.theme)) view.shaded = null;
  view.theme = theme;
}

// ---- time ----------------------------------------------------------------------------------------------------------

function go(view, step, keepPlaying = false) {
  if (!keepPlaying) stop(view);
  view.step = Math.max(0, Math.min(view.data.steps, step));
  const whole = Math.floor(view.step);
  view.slider.value = whole;
  view.where.textContent = `step ${whole} of ${view.data.steps}`;
  view.root.dataset.step = whole;
  view.buttons.back.disabled = view.buttons.first.disabled = whole === 0;
  view.buttons.next.disabled = view.buttons.last.disabled = whole === view.data.steps;
  showLegend(view, whole);
  draw(view);
}

function play(view) {
  if (view.frame) return stop(view);
  if (view.step >= view.data.steps) view.step = 0;
  view.buttons.play.textContent = "Pause";
  let before = performance.now();
  const tick = (now) => {
    const rate = view.data.steps / SECONDS / 1000;
    view.frame = requestAnimationFrame(tick);
    go(view, view.step + (now - before) * Math.min(rate, 0.06), true);
    before = now;
    if (view.step >= view.data.steps) stop(view);
  };
  view.frame = requestAnimationFrame(tick);
}

function stop(view) {
  cancelAnimationFrame(view.frame);
  view.frame = null;
  view.buttons.play.textContent = "Play";
}

function showLegend(view, step) {
  view.legend.replaceChildren();
  for (const { label, colour, losses, end } of view.data.walkers) {
    const entry = element("span", "", view.legend);
    element("i", "", entry).style.background = colour;
    element("b", label, entry);
    const ended = step >= losses.length - 1 && end;
    element("span", short(losses[Math.min(step, losses.length - 1)]), entry).hidden = Boolean(ended);
    if (ended) element("span", end, entry).className = "end";
  }
}

function short(number) {
  if (number !== 0 && (Math.abs(number) < 1e-3 || Math.abs(number) >= 1e4)) return number.toExponential(1).replace("-", "−");
  return number.toPrecision(3).replace("-", "−");
}

// ---- pictures ------------------------------------------------------------------------------------------------------

function draw(view) {
  drawPicture(view);
  drawLoss(view);
}

function prepared(view, canvas) {
  const { clientWidth: w, clientHeight: h } = canvas;
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, w, h);
  ctx.font = `11px ${view.theme.font || "sans-serif"}`;
  return { ctx, w, h };
}

function axis([lo, hi], a, b) {
  return { to: (v) => a + ((v - lo) / (hi - lo)) * (b - a), from: (p) => lo + ((p - a) / (b - a)) * (hi - lo) };
}

function scales(view, w, h) {
  return { x: axis(view.data.x, PAD.left, w - PAD.right), y: axis(view.data.y, h - PAD.bottom, PAD.top) };
}

function frameAt(view) {
  const steps = view.data.frameSteps;
  let i = 0;
  while (i + 1 < steps.length && steps[i + 1] <= view.step) i++;
  return i;
}

function drawPicture(view) {
  const { ctx, w, h } = prepared(view, view.picture);
  if (w < 80) return;
  const { x, y } = scales(view, w, h);
  const inner = [PAD.left, PAD.top, w - PAD.left - PAD.right, h - PAD.top - PAD.bottom];
  ctx.save();
  ctx.beginPath();
  ctx.rect(...inner);
  ctx.clip();
  if (view.fields) ctx.drawImage(shade(view, frameAt(view), Math.round(inner[2]), Math.round(inner[3])), ...inner);
  if (view.lines) drawLine(view, ctx, x, y);
  for (const dot of view.data.dots) drawDot(view, ctx, x.to(dot.x), y.to(dot.y), dot.kind);
  for (const walker of view.data.walkers) if (walker.places.length) drawPath(view, ctx, x, y, walker);
  ctx.restore();
  frame(view, ctx, inner, view.data.x, view.data.y, x, y, view.data.labels);
}

function shade(view, index, w, h) {
  const name = [index, w, h].join();
  if (view.shaded?.name === name) return view.shaded.canvas;
  const canvas = new OffscreenCanvas(w, h);
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(w, h);
  const [, rows, columns] = view.fields.shape;
  const offset = index * rows * columns;
  const { values } = view.fields;
  const landscape = !view.data.colours.length;
  const scale = landscape ? shades(view) : view.data.colours.map(rgb);
  const bands = new Int16Array(w * h);
  for (let j = 0; j < h; j++) {
    const v = ((h - 1 - j) / (h - 1)) * (rows - 1);
    const r = Math.min(rows - 2, Math.floor(v));
    for (let i = 0; i < w; i++) {
      const u = (i / (w - 1)) * (columns - 1);
      const c = Math.min(columns - 2, Math.floor(u));
      const at = offset + r * columns + c;
      const low = values[at] * (1 - u + c) + values[at + 1] * (u - c);
      const high = values[at + columns] * (1 - u + c) + values[at + columns + 1] * (u - c);
      const value = Math.max(0, Math.min(1, low * (1 - v + r) + high * (v - r)));
      bands[j * w + i] = Math.floor(value * BANDS);
      const place = (landscape ? Math.floor(value * BANDS) / BANDS : value) * (scale.length - 1);
      const k = Math.min(scale.length - 2, Math.floor(place));
      for (let p = 0; p < 3; p++) image.data[4 * (j * w + i) + p] = scale[k][p] + (scale[k + 1][p] - scale[k][p]) * (place - k);
      image.data[4 * (j * w + i) + 3] = landscape ? 255 : 190;
    }
  }
  if (landscape) {
    const ink = rgb(view.theme.text);
    for (let n = w; n < bands.length; n++) {
      if (bands[n] === bands[n - w] && (n % w === 0 || bands[n] === bands[n - 1])) continue;
      for (let p = 0; p < 3; p++) image.data[4 * n + p] = 0.75 * image.data[4 * n + p] + 0.25 * ink[p];
    }
  }
  ctx.putImageData(image, 0, 0);
  view.shaded = { name, canvas };
  return canvas;
}

// From the page's own background (low) a third of the way to its text colour (high): paths stand out on it.
function shades(view) {
  const [a, b] = [rgb(view.theme.back), rgb(view.theme.text)];
  return [0, 0.38].map((t) => a.map((v, i) => v + (b[i] - v) * t));
}

function rgb(colour) {
  const ctx = new OffscreenCanvas(1, 1).getContext("2d");
  ctx.fillStyle = colour;
  ctx.fillRect(0, 0, 1, 1);
  return [...ctx.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function drawLine(view, ctx, x, y) {
  const n = view.lines.shape[1];
  const offset = frameAt(view) * n;
  const [lo, hi] = view.data.x;
  ctx.beginPath();
  for (let i = 0; i < n; i++) ctx.lineTo(x.to(lo + ((hi - lo) * i) / (n - 1)), y.to(view.lines.values[offset + i]));
  ctx.strokeStyle = view.data.walkers[0].colour;
  ctx.lineWidth = 2.5;
  ctx.stroke();
}

function drawDot(view, ctx, x, y, kind) {
  ctx.strokeStyle = view.theme.text;
  ctx.fillStyle = view.theme.back;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  if (kind === "minimum") {
    ctx.moveTo(x - 7, y);
    ctx.lineTo(x + 7, y);
    ctx.moveTo(x, y - 7);
    ctx.lineTo(x, y + 7);
  } else if (kind === "low") ctx.rect(x - 4.5, y - 4.5, 9, 9);
  else ctx.arc(x, y, kind === "start" ? 6 : 5, 0, 7);
  if (kind === "high") ctx.fillStyle = view.theme.text;
  if (kind !== "minimum" && kind !== "start") ctx.fill();
  ctx.stroke();
}

function drawPath(view, ctx, x, y, { places, colour, end }) {
  const last = Math.min(Math.floor(view.step), places.length - 1);
  ctx.beginPath();
  for (let i = 0; i <= last; i++) ctx.lineTo(x.to(places[i][0]), y.to(places[i][1]));
  ctx.lineJoin = "round";
  ctx.strokeStyle = view.theme.back;
  ctx.lineWidth = 4;
  ctx.stroke();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2;
  ctx.stroke();
  ctx.fillStyle = colour;
  if (places.length <= 120) {
    for (let i = 0; i <= last; i++) {
      ctx.beginPath();
      ctx.arc(x.to(places[i][0]), y.to(places[i][1]), 2, 0, 7);
      ctx.fill();
    }
  }
  if (end && last === places.length - 1) return;
  ctx.beginPath();
  ctx.arc(x.to(places[last][0]), y.to(places[last][1]), 5.5, 0, 7);
  ctx.fill();
  ctx.strokeStyle = view.theme.back;
  ctx.lineWidth = 1.5;
  ctx.stroke();
}

function frame(view, ctx, [left, top, w, h], xRange, yRange, x, y, [xLabel, yLabel], log = false) {
  ctx.globalAlpha = 0.35;
  ctx.strokeStyle = view.theme.text;
  ctx.lineWidth = 1;
  ctx.strokeRect(left + 0.5, top + 0.5, w - 1, h - 1);
  ctx.globalAlpha = 0.8;
  ctx.fillStyle = view.theme.text;
  ctx.textAlign = "center";
  for (const v of ticks(xRange, Math.max(2, w / 70))) ctx.fillText(short0(v), x.to(v), top + h + 14);
  ctx.fillText(xLabel, left + w / 2, top + h + 28);
  ctx.textAlign = "right";
  if (log) {
    const every = Math.ceil((yRange[1] - yRange[0]) / 7);
    for (let e = Math.ceil(yRange[0]); e <= yRange[1]; e += every) ctx.fillText(`1e${e}`.replace("-", "−"), left - 5, y.to(e) + 4);
  } else for (const v of ticks(yRange, h / 50)) ctx.fillText(short0(v), left - 5, y.to(v) + 4);
  ctx.save();
  ctx.translate(10, top + h / 2);
  ctx.rotate(-Math.PI / 2);
  ctx.textAlign = "center";
  ctx.fillText(yLabel, 0, 0);
  ctx.restore();
  ctx.globalAlpha = 1;
}

function ticks([lo, hi], about) {
  const rough = (hi - lo) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(lo / step) * step; v <= hi + step / 1e6; v += step) found.push(v);
  return found;
}

const short0 = (v) => String(+v.toPrecision(3)).replace("-", "−");

function drawLoss(view) {
  const { ctx, w, h } = prepared(view, view.loss);
  if (w < 80) return;
  const inner = [PAD.left, PAD.top, w - PAD.left - PAD.right, h - PAD.top - PAD.bottom];
  const logs = view.data.walkers.flatMap((walker) => walker.losses.map(Math.log10)).filter(Number.isFinite);
  if (!logs.length) return;
  const [lo, hi] = [Math.min(...logs), Math.max(...logs)];
  const yRange = [lo - 0.05 * (hi - lo) - 0.02, hi + 0.05 * (hi - lo) + 0.02];
  const xRange = [0, Math.max(1, view.data.steps)];
  const x = axis(xRange, inner[0], inner[0] + inner[2]);
  const y = axis(yRange, inner[1] + inner[3], inner[1]);
  for (const { losses, colour, end } of view.data.walkers) {
    const last = Math.min(Math.floor(view.step), losses.length - 1);
    for (const [until, alpha] of [[losses.length - 1, 0.2], [last, 1]]) {
      ctx.beginPath();
      for (let i = 0; i <= until; i++) ctx.lineTo(x.to(i), y.to(Math.log10(losses[i])));
      ctx.globalAlpha = alpha;
      ctx.strokeStyle = colour;
      ctx.lineWidth = 2;
      ctx.stroke();
    }
    ctx.fillStyle = colour;
    ctx.beginPath();
    if (!(end && last === losses.length - 1)) ctx.arc(x.to(last), y.to(Math.log10(losses[last])), 4, 0, 7);
    ctx.fill();
  }
  frame(view, ctx, inner, xRange, yRange, x, y, ["step", view.data.lossLabel], true);
}
