// Pointer and keyboard on a chart of curves: reading values, zooming, walking from point to point.

import { along, clamp, place } from "../shared/dom.js";
import { clock, fixed, grouped, short } from "../shared/format.js";
import { canvasContext, segment } from "../shared/pens.js";
import { html, render } from "../shared/vendor/lit-html.js";
import { dot } from "./curves_draw.js";
import { grabs, letGoHandle, moveHandle } from "./curves_handle.js";
import { colour, groups, nearest } from "./curves_state.js";

const MOST_ROWS = 12; // of the table beside the pointer
const mounted = new Set(); // charts on the page: pointing at one shows the same place in the others

// ---- what is shown at a place ---------------------------------------------------------------------------------------

export function hover(view) {
  const { frame: f, drag } = view;
  const p = view.pointer ?? walked(view) ?? followed(view);
  const ctx = canvasContext(view.over, f.width, f.height);
  view.tip.hidden = true;
  if (drag && !drag.pan && p) return drawBox(ctx, view, f, drag, p);
  if (!p || drag) return;
  const label = f.labels.find((l) => p.x >= l.left && p.x <= l.right && Math.abs(p.y - l.y) < 8);
  const flag = f.flags.find((mark) => Math.abs(mark.x + 3 - p.x) < 8 && p.y > f.bottom - 18 && mark.label);
  if (label) return placeTip(view, f, p, html`<p>${[label.label, label.help].filter(Boolean).join(". ")}</p>`);
  if (flag) return placeTip(view, f, p, html`<p>${flag.label}</p>`);
  if (p.x < f.left || p.x > f.right || p.y < f.top || p.y > f.bottom) return;
  const found = f.shown.map((curve) => ({ curve, i: pointAt(curve, f, p) })).filter(({ i }) => i >= 0);
  if (!found.length) return;
  for (const each of found) each.y = f.y.px(each.curve.smooth[each.i]);
  const away = ({ y }) => (Number.isFinite(y) ? Math.abs(y - p.y) : Infinity);
  const closest = found.reduce((a, b) => (away(b) < away(a) ? b : a));
  Object.assign(ctx, { strokeStyle: view.theme.text, globalAlpha: 0.35 });
  segment(ctx, Math.round(p.x) + 0.5, f.top, Math.round(p.x) + 0.5, f.bottom);
  Object.assign(ctx, { strokeStyle: view.theme.paper, globalAlpha: 1 });
  for (const { curve, i, y } of found) {
    const x = f.x.px(curve[f.by][i]);
    if (x < f.left || x > f.right || y < f.top || y > f.bottom) continue;
    ctx.fillStyle = colour(view, curve.group);
    dot(ctx, x, y, curve === view.cursor?.curve ? 6.5 : 4.5);
  }
  const limit = found.map(away).sort((a, b) => a - b)[MOST_ROWS - 1] ?? Infinity;
  const rows = found.filter((each) => away(each) <= limit).slice(0, MOST_ROWS);
  placeTip(view, f, p, tipTable(view, rows, closest, found.length - rows.length));
}

// The point of a curve that is shown for a place: the nearest along x, in a cloud of points the nearest of all.
const REACH = 40; // px

function pointAt(curve, f, p) {
  if (curve.kind !== "points") return nearest(curve, f.by, f.x.at(p.x));
  let [best, away] = [-1, REACH];
  for (let i = 0; i < curve.n; i++) {
    const distance = Math.hypot(f.x.px(curve[f.by][i]) - p.x, f.y.px(curve.smooth[i]) - p.y);
    if (distance < away) [best, away] = [i, distance];
  }
  return best;
}

// Where another chart on the page is pointed at, if both have the same x axis.
function followed(view) {
  if (view.follow == null) return null;
  const { left, right, top, bottom, x } = view.frame;
  const at = x.px(view.follow);
  return at >= left && at <= right ? { x: at, y: (top + bottom) / 2 } : null;
}

function lead(view) {
  const p = view.pointer ?? walked(view);
  const inside = p && !view.drag && p.x >= view.frame.left && p.x <= view.frame.right;
  for (const other of mounted) {
    if (other === view || other.frame?.xTitle !== view.frame.xTitle) continue;
    other.follow = inside ? view.frame.x.at(p.x) : null;
    if (other.frame) hover(other);
  }
}

function tipTable(view, rows, closest, left) {
  const columns = Object.entries(columnsOf(view));
  const row = ({ curve, i }) => html`<tr class=${curve === closest.curve ? "near" : ""}>
    <td class="who"><i style="--c:${colour(view, curve.group)}" class=${curve.kind}></i>${nameAt(curve, i)}
    <small>${view.header.x_label ? "" : curve.kind}</small></td>
    ${columns.map(([, words]) => html`<td>${words(curve, i)}</td>`)}</tr>`;
  return html`<table><tr><th></th>${columns.map(([name]) => html`<th>${name}</th>`)}</tr>${rows.map(row)}</table>
    ${left > 0 ? html`<p>and ${left} more</p>` : ""}`;
}

const nameAt = (curve, i) => curve.names[i] ?? curve.label;

// What is said of a point: words by what they say.
function columnsOf({ header, curves }) {
  const all = [...curves.values()];
  const smoothed = (curve, i) => (curve.raw ? "–" : curve.smooth[i].toFixed(4));
  const band = (curve, i) => (curve.low ? `${curve.low[i].toFixed(4)} to ${curve.high[i].toFixed(4)}` : "–");
  const axis = header.x_label
    ? { [header.x_label]: (curve, i) => short(curve.step[i], 4) }
    : { step: (curve, i) => grouped(curve.step[i]), time: (curve, i) => clock(curve.seconds[i]) };
  return {
    ...(all.some(({ kind }) => kind === "train") && { smoothed }),
    value: (curve, i) => curve.value[i].toFixed(4),
    ...(all.some(({ low }) => low) && { band }),
    ...axis,
  };
}

function placeTip({ tip }, f, p, content) {
  render(content, tip);
  tip.hidden = false;
  const [w, h] = [tip.offsetWidth, tip.offsetHeight];
  const [right, left] = [p.x + 16, p.x - 16 - w];
  const x = right + w <= f.width ? right : left >= 0 ? left : Math.max(0, (f.width - w) / 2);
  const under = p.y > (f.top + f.bottom) / 2 ? p.y - h - 24 : p.y + 24; // never under the finger
  const y = x === right || x === left ? p.y - h / 2 : under;
  tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(Math.max(-40, Math.min(y, f.height - h)))}px)`;
}

// ---- keyboard: left and right along a curve, up and down to another -------------------------------------------------

function walked(view) {
  const { cursor, frame: f } = view;
  if (!cursor || !f.shown.includes(cursor.curve) || cursor.i >= cursor.curve.n) return null;
  return { x: f.x.px(cursor.curve[f.by][cursor.i]), y: f.y.px(cursor.curve.smooth[cursor.i]) };
}

// Where a key leads from a curve's point; `curves` are those with points. Null: away; undefined: not a key of ours.
export function stepTo(curves, cursor, event) {
  if (event.key === "Escape") return null;
  const at = Math.max(0, curves.indexOf(cursor?.curve));
  const curve = curves[at];
  if (!curve) return undefined;
  const i = Math.min(cursor?.i ?? curve.n, curve.n);
  const to = along(event, i, curve.n - 1, event.shiftKey ? 10 : 1);
  if (to !== undefined) return { curve, i: to };
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by) return undefined;
  const other = curves[clamp(at + by, 0, curves.length - 1)];
  return { curve: other, i: nearest(other, "step", curve.step[Math.min(i, curve.n - 1)]) };
}

function pressed(view, event) {
  const to = view.frame && stepTo(view.frame.shown, view.cursor, event);
  if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  view.cursor = to;
  view.pointer = null;
  hover(view);
  lead(view);
  view.spoken.textContent = to ? spokenPoint(view, to) : "";
}

function spokenPoint(view, { curve, i }) {
  const { value, smoothed, ...more } = columnsOf(view);
  const number = Number.isFinite(curve.value[i]) ? value(curve, i) : "no number";
  const trend = curve.raw ? "" : `, smoothed ${smoothed(curve, i)}`;
  const { time, ...rest } = Object.fromEntries(Object.entries(more).map(([name, words]) => [name, words(curve, i)]));
  const where = Object.entries(rest).map(([name, words]) => `, ${name} ${words}`);
  const kind = view.header.x_label ? "" : ` ${curve.kind}`;
  return `${nameAt(curve, i)}${kind}: ${number}${trend}${where.join("")}${time ? `, ${time}` : ""}`;
}

// ---- zoom -----------------------------------------------------------------------------------------------------------

function drawBox(ctx, view, f, drag, p) {
  const [x0, x1, y0, y1] = box(f, drag, p);
  Object.assign(ctx, { strokeStyle: view.theme.text, fillStyle: view.theme.text, lineWidth: 1, globalAlpha: 0.08 });
  ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
  ctx.globalAlpha = 0.5;
  ctx.strokeRect(Math.round(x0) + 0.5, Math.round(y0) + 0.5, Math.round(x1 - x0), Math.round(y1 - y0));
  ctx.globalAlpha = 1;
}

// A box nearly flat zooms x alone.
function box(f, drag, p) {
  const flat = Math.abs(p.y - drag.y) < 12;
  const [xs, ys] = [[p.x, drag.x].sort((a, b) => a - b), [p.y, drag.y].sort((a, b) => a - b)];
  const within = (values, low, high) => values.map((v) => clamp(v, low, high));
  return [...within(xs, f.left, f.right), ...(flat ? [f.top, f.bottom] : within(ys, f.top, f.bottom))];
}

// Zoom to the given pixels of frame `f`: left, right, top, bottom.
function zoomTo(view, f, [x0, x1, y0, y1]) {
  const [x, y] = [
    [f.x.at(x0), f.x.at(x1)],
    [f.y.at(y1), f.y.at(y0)],
  ];
  const wide = ([low, high]) => high - low > 1e-9 * Math.abs(high);
  if (wide(x) && wide(y)) view.set({ zoom: { x, y, groups: groups(view).map((group) => group.id) } });
}

export function listen(view) {
  const { plot, on } = view;
  mounted.add(view);
  view.abort.signal.addEventListener("abort", () => mounted.delete(view));
  const look = () => {
    if (!view.frame) return;
    hover(view);
    lead(view);
  };
  const later = () => view.soon(look);
  const away = () => {
    view.pointer = null;
    later();
  };
  on(plot, "pointermove", (event) => {
    view.pointer = place(event, plot);
    const { drag, pointer: p } = view;
    if (drag?.handle) {
      moveHandle(view, p);
      return view.redraw();
    }
    if (view.frame) plot.classList.toggle("grabs", grabs(view, p));
    if (!drag?.pan) return later();
    const [dx, dy] = [p.x - drag.x, p.y - drag.y];
    const { left, right, top, bottom } = drag.frame;
    zoomTo(view, drag.frame, [left - dx, right - dx, top - dy, bottom - dy]);
  });
  on(plot, "pointerdown", (event) => {
    view.pointer = place(event, plot);
    view.cursor = null;
    if (!event.button && view.frame && grabs(view, view.pointer)) {
      event.preventDefault();
      plot.setPointerCapture(event.pointerId);
      view.drag = { handle: true };
      return;
    }
    if (event.pointerType === "touch") return later(); // a finger reads values; zooming stays with mouse and pen
    if (event.button || !view.frame) return;
    plot.setPointerCapture(event.pointerId);
    view.drag = { ...view.pointer, pan: event.shiftKey, frame: view.frame };
    plot.classList.toggle("panning", event.shiftKey);
  });
  const drop = (event) => {
    const { drag } = view;
    [view.drag, view.pointer] = [null, place(event, plot)];
    plot.classList.remove("panning");
    if (drag?.handle) {
      if (view.held != null) letGoHandle(view);
      return view.redraw();
    }
    const boxed = drag && !drag.pan && event.type === "pointerup" && Math.abs(view.pointer.x - drag.x) > 8;
    if (boxed) zoomTo(view, view.frame, box(view.frame, drag, view.pointer));
    later();
  };
  on(plot, "pointerup", drop);
  on(plot, "pointercancel", drop);
  on(plot, "pointerleave", (event) => event.pointerType !== "touch" && away());
  on(plot, "dblclick", () => view.set({ zoom: null }));
  on(plot, "wheel", (event) => wheeled(view, event), { passive: false });
  on(plot, "keydown", (event) => pressed(view, event));
  on(plot, "blur", () => {
    view.cursor = null;
    later();
  });
  on(document, "pointerdown", (event) => !event.composedPath().includes(plot) && view.pointer && away());
}

function wheeled(view, event) {
  const f = view.frame;
  if (!(event.ctrlKey || event.altKey) || !f) return; // a plain wheel scrolls the page
  event.preventDefault();
  const p = place(event, view.plot);
  const k = Math.exp(clamp(event.deltaY, -100, 100) * 0.003);
  const [x, y] = [(edge) => p.x + (edge - p.x) * k, (edge) => p.y + (edge - p.y) * k];
  zoomTo(view, f, [x(f.left), x(f.right), y(f.top), y(f.bottom)]);
}

// What a screen reader says of the chart as a whole.
export function described(view) {
  const latest = ({ smooth, n }) => fixed(smooth.subarray(0, n).findLast(Number.isFinite));
  const plain = view.header.x_label;
  const last = ({ step, n }) => (plain ? short(step[n - 1], 4) : grouped(step[n - 1]));
  const { shown, xTitle } = view.frame;
  const parts = shown
    .slice(0, 8)
    .map(
      (curve) => `${curve.label}${plain ? "" : ` ${curve.kind}`} ${latest(curve)} at ${plain || "step"} ${last(curve)}`,
    );
  return `Chart of ${view.header.y_label} by ${xTitle}. ${parts.join("; ") || "No points yet"}.`;
}
