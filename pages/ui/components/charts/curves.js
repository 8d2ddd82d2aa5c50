// The loss chart. Messages bring new points only (see curves.py); what the learner sets lives in sessionStorage.

import { mirror } from "../shared/address.js";
import { component } from "../shared/component.js";
import { button, disclosed, element, menu, note, slider } from "../shared/dom.js";
import { canvasContext } from "../shared/pens.js";
import { say } from "../shared/said.js";
import { savers } from "../shared/saving.js";
import { html, render } from "../shared/vendor/lit-html.js";
import { frameOf } from "./curves_axes.js";
import { draw, drawLegend, legendOf } from "./curves_draw.js";
import { drawHandle } from "./curves_handle.js";
import { described, hover, listen } from "./curves_pointer.js";
import {
  AXES,
  colour,
  dashed,
  groups,
  hasPoints,
  keep,
  load,
  merge,
  slot,
  smoothAll,
  solo,
  takeColours,
  toAddress,
  toggle,
  WEIGHT,
  zoomed,
} from "./curves_state.js";

const ON_ONE_LINE = 2; // groups of curves in the legend beside the buttons; more stand above them
const EAGER = 50; // ms between polls until there is a first point
const HELP = {
  weight:
    "How much of the past each point of a training curve carries: 0 draws the points as they are, 0.99 " +
    "only the trend. The raw line stays behind it, faint. Until it is moved, curves of few points are " +
    "drawn as they are.",
  x:
    "What runs along the bottom: optimiser steps, seconds of training, the clock on the wall, characters trained " +
    "on, or floating-point operations (evaluations left out).",
  logx: "Logarithmic x axis: shows the first steps in detail. Only values above 0 are drawn.",
  logy: "Logarithmic y axis: shows small improvements late in training. Only values above 0 are drawn.",
  robust:
    "Ignores outliers: the y axis shows the 5th to the 95th percentile of the curves, and where each of them ends.",
  fit: "Back to the whole data, following new points. Double click on the chart does the same.",
  chart:
    "Drag to zoom into a box, Shift + drag to move, Ctrl or Alt + wheel to zoom, double click to see " +
    "everything. Arrow keys walk from point to point and from curve to curve, Shift makes ten steps, " +
    "Escape lets go.",
  how: "Smoothing, the x axis, logarithms and outliers: how the curves are drawn.",
  legend: "Click shows or hides it. Double click, or Shift + click, shows it alone.",
};
const SWITCHES = { logx: "log x", logy: "log y", robust: "robust" };
const mounts = {};

export default component(mount, update);

function mount(view, header) {
  Object.assign(view, { curves: new Map(), ui: load(header), polls: 0, askedAt: 0 });
  mounts[header.key] = (mounts[header.key] ?? 0) + 1;
  Object.assign(view.root.dataset, { mounts: mounts[header.key], updates: 0, points: 0, sent: 0, zoom: "" });
  view.set = (change) => {
    Object.assign(view.ui, change);
    keep(view.header.key, view.ui);
    if ("weight" in change) smoothAll(view);
    show(view);
  };
  view.redraw = () => view.soon(paint);
  view.controls = element("div", { class: "controls bar", role: "group", "aria-label": "How the chart is drawn" });
  view.base = element("canvas", { class: "base" });
  view.over = element("canvas", { class: "over" });
  view.tip = element("div", { class: "tip", hidden: "" });
  view.spoken = element("p", { class: "spoken", "aria-live": "polite" });
  const plot = { class: "plot", role: "application", tabindex: 0, "aria-roledescription": "chart" };
  view.plot = element("div", { ...plot, "aria-description": HELP.chart }, view.base, view.over, view.tip);
  view.root.append(view.controls, view.plot, view.spoken);
  listen(view);
  view.resized(view.plot, view.redraw);
}

function update(view, message) {
  if (view.fresh) receive(view, message);
  show(view);
}

// How the main chart of a page is drawn stands in the page's address.
function show(view) {
  controls(view);
  if (view.header.main) mirror(view, toAddress(view.ui, view.header));
  view.redraw();
}

function receive(view, header) {
  view.header = header;
  if (!view.drag?.handle) view.held = null; // the page knows it now
  const gap = merge(view, header.curves);
  takeColours(view);
  const known = new Set(groups(view).map((group) => group.id));
  const { zoom } = view.ui;
  if (zoom?.groups && known.size && !zoom.groups.some((group) => known.has(group))) view.ui.zoom = null; // other runs
  view.plot.style.height = `${header.height}px`;
  ask(view, gap);
  const all = [...view.curves.values()];
  Object.assign(view.root.dataset, {
    sent: header.curves.reduce((sum, { n }) => sum + n, 0),
    points: all.reduce((sum, { n }) => sum + n, 0),
    curves: JSON.stringify(all.map(({ id }) => id)),
  });
}

// Ask for what is new in due time; about a gap at once, but not in a loop.
function ask(view, gap) {
  const { header, askedAt, gapAt = -Infinity } = view;
  const now = performance.now();
  if (gap) view.gapAt = now;
  if (!header.live && !gap) return view.quiet();
  const pause = Math.min(header.eager && !hasPoints(view) ? EAGER : Infinity, header.interval * 1000);
  const wait = gap && now - gapAt > 1000 ? 0 : Math.max(askedAt + pause - now, pause / 4);
  if (header.feed && !gap) view.feed(wait, address, fed);
  else view.poll(wait, question);
}

const address = (view) => `${view.header.feed}?${new URLSearchParams(question(view).have)}`;

// What has grown meanwhile. The page is drawn again only if something else than what grows is to be seen there.
function fed(view, news) {
  if (!news) return view.poll(0, question);
  const { standing, marks } = view.header;
  const ids = [...view.curves.keys()].join();
  receive(view, { ...news, standing });
  const grown = news.curves.some(({ n }) => n) || [...view.curves.keys()].join() !== ids;
  if (grown || JSON.stringify(news.marks) !== JSON.stringify(marks)) show(view);
  say(news.said);
  if (news.standing !== standing) view.poll(0, question);
}

function question(view) {
  view.askedAt = performance.now();
  view.root.dataset.polls = ++view.polls;
  return { have: Object.fromEntries([...view.curves.values()].map(({ id, n }) => [id, n])) };
}

// ---- controls and legend --------------------------------------------------------------------------------------------

function controls(view) {
  const { ui, curves, set, header } = view;
  const all = [...curves.values()];
  const train = all.filter(({ kind }) => kind === "train");
  const unsmoothed = ui.weight === null && train.length > 0 && train.every(({ raw }) => raw);
  const there = { flops: all.some(({ cost }) => cost), clock: all.some(({ since }) => since) };
  const axes = Object.entries(AXES).filter(([name]) => !all.length || (there[name] ?? true));
  if (!axes.some(([name]) => name === ui.x)) ui.x = "step";
  const words = (weight) => (unsmoothed ? "raw" : weight.toFixed(2));
  const range = { min: 0, max: 0.99, step: 0.01, value: ui.weight ?? WEIGHT };
  const hidden = all.length > 0 && !train.length;
  const smoothing = slider("Smoothing", HELP.weight, range, words, (weight) => set({ weight }), { hidden });
  const axis = menu(
    "x axis",
    HELP.x,
    Object.fromEntries(axes),
    ui.x,
    (x) => set({ zoom: null, x }),
    Boolean(header.x_label),
  );
  const switches = Object.entries(SWITCHES).map(([name, label]) =>
    button(label, HELP[name], () => set({ zoom: null, [name]: !ui[name] }), { pressed: ui[name] }),
  );
  const whole = button("Fit", HELP.fit, () => set({ zoom: null }), { kind: "fit", disabled: !ui.zoom });
  const fit = html`${whole}${note(HELP.chart)}`;
  view.root.dataset.zoom = ui.zoom ? zoomed(ui.zoom) : "";
  const content = html`<div class="legend" role="group" aria-label="Curves shown">${groups(view).map((group) =>
    entry(view, group),
  )}</div>${disclosed("Axes", HELP.how, html`${smoothing}${axis}<span class="pair">${switches}</span>`)}
    ${savers(view, "curves", { picture: () => picture(view), table: () => table(view), fit })}`;
  view.controls.classList.toggle("many", groups(view).length > ON_ONE_LINE);
  render(content, view.controls);
}

function entry(view, { id, label, kinds }) {
  const slots = kinds.map((kind) => slot({ group: id, kind }));
  const part = (kind, those, content) => {
    const act = (action) => {
      action(view, those);
      view.set({});
    };
    const click = (event) => act(event.shiftKey ? solo : toggle);
    return html`<button type="button" class=${kind} title=${HELP.legend} @click=${click} @dblclick=${() => act(solo)}
      aria-pressed=${those.some((name) => !view.ui.hidden[name])}>${content}</button>`;
  };
  const line = html`<i class=${dashed(view, id) ? "dashed" : ""}></i><span>${label}</span>`;
  const each = kinds.length > 1 && !view.header.x_label ? kinds : [];
  return html`<span class="entry" style="--c:${colour(view, id)}">${part("name", slots, line)}
    ${each.map((kind, i) => part(`kind ${kind}`, [slots[i]], kind))}</span>`;
}

// ---- drawing and saving ---------------------------------------------------------------------------------------------

function paint(view) {
  const { clientWidth: width, clientHeight: height } = view.plot;
  if (!width || !view.header) return;
  view.frame = frameOf(view, width, height);
  const ctx = canvasContext(view.base, width, height);
  draw(ctx, view, view.frame);
  drawHandle(ctx, view, view.frame);
  hover(view);
  const label = described(view);
  if (view.plot.ariaLabel !== label) view.plot.ariaLabel = label;
}

function picture(view) {
  const { clientWidth: width, clientHeight: height } = view.plot;
  const legend = legendOf(view, width);
  const drawAll = (ctx) => {
    drawLegend(ctx, view, legend);
    ctx.save();
    ctx.translate(0, legend.height);
    draw(ctx, view, frameOf(view, width, height));
    ctx.restore();
  };
  return { width, height: height + legend.height, draw: drawAll };
}

function table(view) {
  const { x_label: plain, y_label: value } = view.header;
  const columns = plain ? ["step"] : ["step", "seconds", "characters"];
  const all = [...view.curves.values()];
  const [trend, band] = [all.some(({ kind }) => kind === "train"), all.some(({ low }) => low)];
  const head = ["curve", "kind", ...(plain ? [plain] : columns), plain ? value : "value"];
  const rows = all.flatMap((curve) =>
    Array.from({ length: curve.n }, (_, i) => [
      curve.names[i] ?? curve.label,
      curve.kind,
      ...[...columns, "value"].map((name) => curve[name][i]),
      ...(trend ? [curve.raw ? "" : curve.smooth[i]] : []),
      ...(band ? [curve.low?.[i] ?? "", curve.high?.[i] ?? ""] : []),
    ]),
  );
  return [[...head, ...(trend ? ["smoothed"] : []), ...(band ? ["low", "high"] : [])], ...rows];
}
