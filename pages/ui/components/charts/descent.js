// Draws one picture a step. The server sends all steps at once; playing them is the browser's own affair.
import { mix, rgb } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { element, place } from "../shared/dom.js";
import { short } from "../shared/format.js";
import { canvasContext, disc } from "../shared/pens.js";
import { Player } from "../shared/player.js";
import { drawing, savers } from "../shared/saving.js";
import { niceValues, scale } from "../shared/scales.js";
import { html, render } from "../shared/vendor/lit-html.js";

const SECONDS = 6; // a whole walk takes about this long to play
const BANDS = 18; // shades of a landscape
const PAD = { left: 58, right: 10, top: 8, bottom: 34 };
const NAMES = { play: "Walk from the start", back: "One step back", next: "One step on" };

export default component(mount, update);

function mount(view) {
  const names = { ...NAMES, first: "To the start", end: "To the end", main: "play" };
  const pace = () => Math.min(view.data.steps / SECONDS / 1000, 0.06);
  view.player = new Player(view, { names, pace, whole: false, show: () => show(view) });
  view.legend = element("div", { class: "legend" });
  const part = (name, kind, label, draw, rows) => {
    const canvas = element("canvas", { class: name, role: "img", "aria-label": label });
    view[name] = canvas;
    const file = () => `${name}-step-${now(view)}`;
    const picture = drawing(canvas, (ctx) => draw(view, ctx, canvas));
    const row = savers(view, file, { picture, table: () => rows(view), title: name });
    return html`<div class=${kind}><div class="bar">${row}</div>${canvas}</div>`;
  };
  const plots = element("div", { class: "plots" });
  const picture = part("picture", "plot wide", null, drawPicture, places);
  render([picture, part("loss", "plot", "Loss at each step", drawLoss, losses)], plots);
  view.root.append(view.player.bar, view.legend, plots);
  view.on(view.picture, "click", (event) => clicked(view, event));
  view.resized(view.root, () => view.data && draw(view));
}

function update(view, data) {
  const theme = JSON.stringify(view.theme);
  if (view.fresh || theme !== view.drawnIn) view.shaded = null;
  view.drawnIn = theme;
  view.data = data;
  view.picture.classList.toggle("clickable", data.clickable);
  view.picture.ariaLabel = data.walkers.map((w) => `${w.label}: ${w.end || short(w.losses.at(-1))}`).join("; ");
  if (view.fresh)
    view.player.reset(data.steps); // the whole walk at first; Play shows how it came about
  else draw(view);
}

function clicked(view, event) {
  if (!view.data.clickable) return;
  const { x, y } = scales(view, view.picture);
  const at = place(event, view.picture);
  const chosen = { x: x.at(at.x), y: y.at(at.y) };
  const inside = (v, { lo, hi }) => v >= lo && v <= hi;
  if (inside(chosen.x, x) && inside(chosen.y, y)) view.trigger("place", chosen);
}

const now = (view) => Math.floor(view.player.step);

function show(view) {
  const entry = ({ label, colour, losses: values, end }) => {
    const ended = end && now(view) >= values.length - 1;
    const value = short(values[Math.min(now(view), values.length - 1)]);
    return html`<span><i style="background:${colour}"></i><b>${label}</b><span class=${ended ? "end" : ""}>${
      ended ? end : value
    }</span></span>`;
  };
  render(view.data.walkers.map(entry), view.legend);
  view.root.dataset.step = now(view);
  draw(view);
  return html`<span class="where">step ${now(view)} of ${view.data.steps}</span>`;
}

function losses(view) {
  const { walkers, steps } = view.data;
  const row = (step) => [step, ...walkers.map(({ losses: values }) => values[step] ?? "")];
  return [["step", ...walkers.map(({ label }) => label)], ...Array.from({ length: steps + 1 }, (_, step) => row(step))];
}

function places(view) {
  const [x, y] = view.data.labels;
  const rows = view.data.walkers.flatMap(({ label, places: path }) => path.map((at, step) => [label, step, ...at]));
  return [["what", "step", x, y], ...rows];
}

// ---- pictures -------------------------------------------------------------------------------------------------------

function draw(view) {
  const draws = { picture: drawPicture, loss: drawLoss };
  for (const [name, drawInto] of Object.entries(draws)) {
    const { clientWidth: w, clientHeight: h } = view[name];
    if (w >= 80) drawInto(view, canvasContext(view[name], w, h), view[name]);
  }
}

function innerOf({ clientWidth: w, clientHeight: h }) {
  return { left: PAD.left, top: PAD.top, w: w - PAD.left - PAD.right, h: h - PAD.top - PAD.bottom };
}

function scales(view, canvas) {
  const { left, top, w, h } = innerOf(canvas);
  return { x: scale(view.data.x, left, left + w), y: scale(view.data.y, top + h, top) };
}

function frameAt({ data, player }) {
  const next = data.frameSteps.findIndex((step) => step > player.step);
  return (next < 0 ? data.frameSteps.length : Math.max(1, next)) - 1;
}

function drawPicture(view, ctx, canvas) {
  const { data } = view;
  const { x, y } = scales(view, canvas);
  const inner = innerOf(canvas);
  const box = [inner.left, inner.top, inner.w, inner.h];
  ctx.save();
  ctx.beginPath();
  ctx.rect(...box);
  ctx.clip();
  if (data.fields) ctx.drawImage(shade(view, frameAt(view), Math.round(inner.w), Math.round(inner.h)), ...box);
  if (data.lines) drawLine(view, ctx, x, y);
  for (const dot of data.dots) drawDot(view, ctx, x.px(dot.x), y.px(dot.y), dot.kind);
  for (const walker of data.walkers) if (walker.places.length) drawPath(view, ctx, x, y, walker);
  ctx.restore();
  const across = niceValues(...data.x, Math.max(2, inner.w / 70)).map((v) => [x.px(v), short0(v)]);
  const up = niceValues(...data.y, inner.h / 50).map((v) => [y.px(v), short0(v)]);
  drawFrame(view, ctx, inner, across, up, data.labels);
}

function shade(view, index, w, h) {
  const name = [index, w, h].join();
  if (view.shaded?.name === name) return view.shaded.canvas;
  const canvas = element("canvas", { width: w, height: h });
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(w, h);
  const { data } = view;
  const value = bilinear(data.fields, data.fieldShape, index, w, h);
  const landscape = !data.colours.length;
  const scaleOfColours = landscape ? landscapeShades(view) : data.colours.map(rgb);
  const bands = new Int16Array(w * h);
  for (let at = 0; at < w * h; at++) {
    const v = value(at % w, Math.floor(at / w));
    bands[at] = Math.floor(v * BANDS);
    const position = (landscape ? bands[at] / BANDS : v) * (scaleOfColours.length - 1);
    const k = Math.min(scaleOfColours.length - 2, Math.floor(position));
    const [from, to, part] = [scaleOfColours[k], scaleOfColours[k + 1], position - k];
    for (let p = 0; p < 3; p++) image.data[4 * at + p] = from[p] + (to[p] - from[p]) * part;
    image.data[4 * at + 3] = landscape ? 255 : 190;
  }
  if (landscape) contours(image, bands, w, rgb(view.theme.text));
  ctx.putImageData(image, 0, 0);
  view.shaded = { name, canvas };
  return canvas;
}

// The value of a field, 0 to 1, at a pixel: the first row of the field lies at the bottom.
function bilinear(values, [, rows, columns], index, w, h) {
  const offset = index * rows * columns;
  return (i, j) => {
    const [u, v] = [(i / (w - 1)) * (columns - 1), ((h - 1 - j) / (h - 1)) * (rows - 1)];
    const [c, r] = [Math.min(columns - 2, Math.floor(u)), Math.min(rows - 2, Math.floor(v))];
    const at = offset + r * columns + c;
    const low = values[at] * (1 - u + c) + values[at + 1] * (u - c);
    const high = values[at + columns] * (1 - u + c) + values[at + columns + 1] * (u - c);
    return Math.max(0, Math.min(1, low * (1 - v + r) + high * (v - r)));
  };
}

function contours(image, bands, w, ink) {
  for (let n = w; n < bands.length; n++) {
    const same = bands[n] === bands[n - w] && (n % w === 0 || bands[n] === bands[n - 1]);
    if (!same) for (let p = 0; p < 3; p++) image.data[4 * n + p] = 0.75 * image.data[4 * n + p] + 0.25 * ink[p];
  }
}

// From the page's own background (low) a third of the way to its text colour (high): paths stand out on it.
function landscapeShades({ theme }) {
  const [paper, text] = [rgb(theme.paper), rgb(theme.text)];
  return [paper, mix(paper, text, 0.38)];
}

function drawLine(view, ctx, x, y) {
  const n = view.data.lineLength;
  const offset = frameAt(view) * n;
  const [lo, hi] = view.data.x;
  ctx.beginPath();
  for (let i = 0; i < n; i++) ctx.lineTo(x.px(lo + ((hi - lo) * i) / (n - 1)), y.px(view.data.lines[offset + i]));
  stroke(ctx, view.data.walkers[0].colour, 2.5);
}

function stroke(ctx, colour, width) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.stroke();
}

function drawDot({ theme }, ctx, x, y, kind) {
  ctx.fillStyle = kind === "high" ? theme.text : theme.paper;
  ctx.beginPath();
  if (kind === "minimum") {
    ctx.moveTo(x - 7, y);
    ctx.lineTo(x + 7, y);
    ctx.moveTo(x, y - 7);
    ctx.lineTo(x, y + 7);
  } else if (kind === "low") ctx.rect(x - 4.5, y - 4.5, 9, 9);
  else ctx.arc(x, y, kind === "start" ? 6 : 5, 0, 2 * Math.PI);
  if (kind !== "minimum" && kind !== "start") ctx.fill();
  stroke(ctx, theme.text, 1.5);
}

function drawPath(view, ctx, x, y, { places: path, colour, end }) {
  const last = Math.min(now(view), path.length - 1);
  const points = path.slice(0, last + 1).map(([a, b]) => [x.px(a), y.px(b)]);
  ctx.beginPath();
  for (const point of points) ctx.lineTo(...point);
  ctx.lineJoin = "round";
  stroke(ctx, view.theme.paper, 4);
  stroke(ctx, colour, 2);
  ctx.fillStyle = colour;
  if (path.length <= 120) for (const point of points) disc(ctx, ...point, 2);
  if (end && last === path.length - 1) return;
  disc(ctx, ...points[last], 5.5);
  stroke(ctx, view.theme.paper, 1.5);
}

function drawFrame({ theme }, ctx, { left, top, w, h }, across, up, [xLabel, yLabel]) {
  ctx.font = `11px ${theme.font}`;
  ctx.textBaseline = "alphabetic";
  ctx.globalAlpha = 0.35;
  ctx.strokeStyle = ctx.fillStyle = theme.text;
  ctx.lineWidth = 1;
  ctx.strokeRect(left + 0.5, top + 0.5, w - 1, h - 1);
  ctx.globalAlpha = 0.8;
  ctx.textAlign = "center";
  for (const [x, words] of across) ctx.fillText(words, x, top + h + 14);
  ctx.fillText(xLabel, left + w / 2, top + h + 28);
  ctx.textAlign = "right";
  for (const [y, words] of up) ctx.fillText(words, left - 5, y + 4);
  ctx.save();
  ctx.translate(10, top + h / 2);
  ctx.rotate(-Math.PI / 2);
  ctx.textAlign = "center";
  ctx.fillText(yLabel, 0, 0);
  ctx.restore();
  ctx.globalAlpha = 1;
}

const short0 = (v) => String(+v.toPrecision(3)).replace("-", "−");

function drawLoss(view, ctx, canvas) {
  const inner = innerOf(canvas);
  const { walkers, steps, lossLabel } = view.data;
  const logs = walkers.flatMap((walker) => walker.losses.map(Math.log10)).filter(Number.isFinite);
  if (!logs.length) return;
  const [lo, hi] = [Math.min(...logs), Math.max(...logs)];
  const room = 0.05 * (hi - lo) + 0.02;
  const x = scale([0, Math.max(1, steps)], inner.left, inner.left + inner.w);
  const y = scale([lo - room, hi + room], inner.top + inner.h, inner.top);
  for (const { losses: values, colour, end } of walkers) {
    const last = Math.min(now(view), values.length - 1);
    const at = (i) => [x.px(i), y.px(Math.log10(values[i]))];
    const line = (until, alpha) => {
      ctx.beginPath();
      for (let i = 0; i <= until; i++) ctx.lineTo(...at(i));
      ctx.globalAlpha = alpha;
      stroke(ctx, colour, 2);
    };
    line(values.length - 1, 0.2);
    line(last, 1);
    ctx.fillStyle = colour;
    if (!(end && last === values.length - 1)) disc(ctx, ...at(last), 4);
  }
  const every = Math.ceil((y.hi - y.lo) / 7);
  const first = Math.ceil(y.lo);
  const powers = Array.from({ length: Math.floor((y.hi - first) / every) + 1 }, (_, i) => first + i * every);
  const up = powers.map((power) => [y.px(power), `1e${power}`.replace("-", "−")]);
  const across = niceValues(0, x.hi, Math.max(2, inner.w / 70)).map((v) => [x.px(v), short0(v)]);
  drawFrame(view, ctx, inner, across, up, ["step", lossLabel]);
}
