// The loss chart. Messages bring new points only (see curves.py); what the learner sets lives in sessionStorage.

import { mirror } from "../shared/address.js";
import { component } from "../shared/component.js";
import { button, disclosed, element, menu, slider } from "../shared/dom.js";
import { canvasContext } from "../shared/pens.js";
import { savers } from "../shared/saving.js";
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

const RETRY = 3000; // ms to wait for an answer before asking again
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
const mounts = {};

export default component(mount, update);

function mount(view, header) {
  Object.assign(view, { curves: new Map(), ui: load(header), polls: 0, askedAt: 0, answeredAt: 0 });
  mounts[header.key] = (mounts[header.key] ?? 0) + 1;
  Object.assign(view.root.dataset, { mounts: mounts[header.key], updates: 0, points: 0, sent: 0, zoom: "" });
  view.set = (change) => {
    Object.assign(view.ui, change);
    keep(view.header.key, view.ui);
    share(view);
    if ("weight" in change) smoothAll(view);
    showControls(view);
    redraw(view);
  };
  view.redraw = () => redraw(view);
  build(view);
  listen(view);
  view.on(document, "visibilitychange", () => view.header && schedule(view));
  view.resized(view.plot, () => redraw(view));
  view.ended = () => {
    clearTimeout(view.timer);
    cancelAnimationFrame(view.frameRequest);
  };
}

function update(view, message) {
  if (view.fresh) receive(view, message);
  showLegend(view);
  showControls(view);
  share(view);
  redraw(view);
}

// How the main chart of a page is drawn stands in the page's address.
function share(view) {
  if (view.header.main) mirror(view, toAddress(view.ui, view.header));
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
  answered(view, gap);
  const all = [...view.curves.values()];
  Object.assign(view.root.dataset, {
    sent: header.curves.reduce((sum, { n }) => sum + n, 0),
    points: all.reduce((sum, { n }) => sum + n, 0),
    curves: JSON.stringify(all.map(({ id }) => id)),
  });
}

// ---- polling: one timer, so at most one question is open ------------------------------------------------------------

function answered(view, gap) {
  view.answeredAt = performance.now();
  // A gap is asked about at once, but not in a loop.
  const again = gap && view.answeredAt - (view.gapAt ?? -RETRY) > 1000;
  if (gap) view.gapAt = view.answeredAt;
  view.gap = gap;
  schedule(view, again ? 0 : undefined);
}

function schedule(view, delay) {
  clearTimeout(view.timer);
  const { header, askedAt, answeredAt } = view;
  if (document.hidden || !(header.live || view.gap)) return;
  const pause = Math.min(header.eager && !hasPoints(view) ? EAGER : Infinity, header.interval * 1000);
  const due = askedAt + (askedAt > answeredAt ? RETRY : pause) - performance.now();
  view.timer = setTimeout(poll, delay ?? Math.max(due, pause / 4), view);
}

function poll(view) {
  const have = Object.fromEntries([...view.curves.values()].map(({ id, n }) => [id, n]));
  view.askedAt = performance.now();
  view.root.dataset.polls = ++view.polls;
  schedule(view);
  view.trigger("poll", { have });
}

// ---- controls and legend --------------------------------------------------------------------------------------------

function build(view) {
  const { ui, set } = view;
  const range = { min: 0, max: 0.99, step: 0.01, value: ui.weight ?? WEIGHT };
  const words = (weight) => (view.unsmoothed ? "raw" : weight.toFixed(2));
  view.smoothing = slider("Smoothing", HELP.weight, range, words, (weight) => set({ weight }));
  view.axis = menu("x axis", HELP.x, AXES, ui.x, (x) => set({ zoom: null, x }));
  view.switches = ["logx", "logy", "robust"].map((name) => {
    const press = () => set({ zoom: null, [name]: !ui[name] });
    return button(name.replace("g", "g "), HELP[name], press, { "data-name": name });
  });
  view.fit = button("Fit", HELP.fit, () => set({ zoom: null }), { class: "fit" });
  const about = { class: "help", tabindex: 0, role: "note", title: HELP.chart, "aria-label": HELP.chart };
  const row = savers(view, () => "curves", { picture: () => picture(view), table: () => table(view), fit: view.fit });
  row.append(element("span", about, "?"));
  view.legend = element("div", { class: "legend", role: "group", "aria-label": "Curves shown" });
  const switches = element("span", { class: "pair" }, ...view.switches);
  const how = disclosed(view, "Axes", HELP.how, view.smoothing, view.axis, switches);
  view.controls = element("div", { class: "controls bar", role: "group", "aria-label": "How the chart is drawn" });
  view.controls.append(view.legend, how, row);
  view.base = element("canvas", { class: "base" });
  view.over = element("canvas", { class: "over" });
  view.tip = element("div", { class: "tip", hidden: "" });
  view.spoken = element("p", { class: "spoken", "aria-live": "polite" });
  const plot = { class: "plot", role: "application", tabindex: 0, "aria-roledescription": "chart" };
  view.plot = element("div", { ...plot, "aria-description": HELP.chart }, view.base, view.over, view.tip);
  view.root.append(view.controls, view.plot, view.spoken);
}

function showControls(view) {
  const { ui, curves } = view;
  const all = [...curves.values()];
  const train = all.filter(({ kind }) => kind === "train");
  view.smoothing.hidden = all.length > 0 && !train.length;
  view.unsmoothed = ui.weight === null && train.length > 0 && train.every(({ raw }) => raw);
  view.smoothing.show(ui.weight ?? WEIGHT);
  const known = { flops: all.some(({ cost }) => cost), clock: all.some(({ since }) => since) };
  for (const [name, there] of Object.entries(known)) {
    view.axis.querySelector(`[value=${name}]`).hidden = all.length > 0 && !there;
    if (all.length && !there && ui.x === name) ui.x = "step";
  }
  view.axis.hidden = Boolean(view.header.x_label);
  view.axis.querySelector("select").value = ui.x;
  for (const node of view.switches) node.setAttribute("aria-pressed", ui[node.dataset.name]);
  view.fit.disabled = !ui.zoom;
  view.root.dataset.zoom = ui.zoom ? zoomed(ui.zoom) : "";
  for (const node of view.legend.querySelectorAll("button"))
    node.setAttribute(
      "aria-pressed",
      node.slots.some((name) => !ui.hidden[name]),
    );
}

function showLegend(view) {
  const all = groups(view);
  const signature = JSON.stringify([all, view.theme.palette]);
  if (signature === view.signature) return; // keeps the focus of a button in use
  view.signature = signature;
  const change = (action, slots) => {
    action(view, slots);
    view.set({});
  };
  const entry = (kind, slots, content) => {
    const made = button(content, HELP.legend, (event) => change(event.shiftKey ? solo : toggle, slots), {
      class: kind,
    });
    made.ondblclick = () => change(solo, slots);
    return Object.assign(made, { slots });
  };
  const entries = all.map(({ id, label, kinds }) => {
    const line = element("i", { class: dashed(view, id) ? "dashed" : "" });
    const slots = kinds.map((kind) => slot({ group: id, kind }));
    const parts =
      kinds.length > 1 && !view.header.x_label ? kinds.map((kind, i) => entry(`kind ${kind}`, [slots[i]], kind)) : [];
    const name = entry("name", slots, [line, element("span", {}, label)]);
    return element("span", { class: "entry", style: `--c:${colour(view, id)}` }, name, ...parts);
  });
  view.legend.replaceChildren(...entries);
}

// ---- drawing and saving ---------------------------------------------------------------------------------------------

function redraw(view) {
  view.frameRequest ??= requestAnimationFrame(() => {
    view.frameRequest = null;
    const { clientWidth: width, clientHeight: height } = view.plot;
    if (!width || !view.header) return;
    view.frame = frameOf(view, width, height);
    const ctx = canvasContext(view.base, width, height);
    draw(ctx, view, view.frame);
    drawHandle(ctx, view, view.frame);
    hover(view);
    const label = described(view);
    if (view.plot.ariaLabel !== label) view.plot.ariaLabel = label;
  });
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
