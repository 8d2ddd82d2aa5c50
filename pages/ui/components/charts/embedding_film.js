// The moving map. Where it stands, its trails and whether it plays live here; new maps come from the server.
import { drawn, isolated } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { element, place } from "../shared/dom.js";
import { canvasContext, disc, segment } from "../shared/pens.js";
import { Player } from "../shared/player.js";
import { savers } from "../shared/saving.js";
import { extent } from "../shared/scales.js";

const FRAME_MS = 450; // one snapshot to the next while playing
const NAMES = { play: "Plays all snapshots", back: "", next: "", first: "", end: "" };
const NEAR = 18; // pixels from a character at which it is pointed at

export default component(mount, update);

function mount(view) {
  view.hover = null;
  view.player = new Player(view, { names: NAMES, pace: () => 1 / FRAME_MS, whole: false, show: () => draw(view) });
  view.trails = element("input", { type: "checkbox", class: "trails", checked: "" });
  view.said = element("output");
  view.canvas = element("canvas");
  view.stage = element("div", { class: "stage", role: "application", tabindex: 0 }, view.canvas);
  view.stage.ariaLabel = "Map of the characters: left and right arrow keys move through training";
  view.legend = element("div", { class: "legend" });
  const { play } = view.player.buttons;
  const trails = element("label", { title: "Draws where each character came from" }, view.trails, "trails");
  const picture = () => ({
    width: view.stage.clientWidth,
    height: view.stage.clientHeight,
    draw: (ctx) => drawInto(view, ctx),
  });
  const row = savers(view, () => `embedding-${Math.round(view.player.step)}`, { picture, table: () => table(view) });
  const bar = element("div", { class: "bar steps" }, play, view.player.slider, view.said, trails, row);
  view.root.append(bar, view.stage, view.legend);
  view.on(view.trails, "change", () => draw(view));
  view.on(view.stage, "pointermove", (event) => pointed(view, nearest(view, place(event, view.stage))));
  view.on(view.stage, "pointerleave", () => pointed(view, null));
  view.on(view.stage, "keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    view.player.go(Math.round(view.player.step) + by);
  });
  view.resized(view.stage, () => draw(view));
}

function update(view, data) {
  const { player } = view;
  const wasLast = !view.data || player.step >= player.last - 1e-6;
  view.data = data;
  const last = data.frames - 1;
  const { lo, hi } = extent(data.places);
  view.reach = Math.max(1e-9, -lo, hi);
  view.stage.style.height = `${data.height}px`;
  const kinds = [...new Set(data.kinds)];
  view.colour = Object.fromEntries(kinds.map((kind, i) => [kind, data.colours[i % data.colours.length]]));
  const entry = (kind) => element("span", {}, element("i", { style: `background:${view.colour[kind]}` }), kind);
  view.legend.replaceChildren(...kinds.map(entry));
  view.root.dataset.frames = data.frames;
  player.slider.disabled = player.buttons.play.disabled = data.frames < 2;
  if (!view.fresh) return draw(view);
  if (wasLast || player.step > last) player.reset(last);
  else {
    player.last = last;
    player.slider.max = last;
    player.go(player.step, true);
  }
}

// Between two snapshots characters move in a straight line.
function placeOf({ data }, at, v) {
  const low = Math.floor(at);
  const high = Math.min(data.frames - 1, low + 1);
  const value = (frame, axis) => data.places[2 * (frame * data.labels.length + v) + axis];
  return [0, 1].map((axis) => value(low, axis) + (at - low) * (value(high, axis) - value(low, axis)));
}

function screen(view, [x, y]) {
  const { clientWidth: w, clientHeight: h } = view.stage;
  const scale = (0.46 * (view.data.line ? w : Math.min(w, h))) / view.reach;
  return [w / 2 + x * scale, h / 2 - y * scale];
}

function draw(view) {
  const { stage, data, player } = view;
  if (!data || !stage.clientWidth) return;
  drawInto(view, canvasContext(view.canvas, stage.clientWidth, stage.clientHeight));
  view.said.textContent = data.captions[Math.round(player.step)] ?? "";
  view.root.dataset.at = player.step.toFixed(2);
}

function drawInto(view, ctx) {
  const { data, theme, hover, player } = view;
  const { clientWidth: w, clientHeight: h } = view.stage;
  const at = player.step;
  ctx.strokeStyle = theme.line;
  ctx.lineWidth = 1;
  segment(ctx, 0, h / 2, w, h / 2);
  if (!data.line) segment(ctx, w / 2, 0, w / 2, h);
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  view.spots = data.labels.map((label, v) => {
    const lift = data.line ? ((v % 7) - 3) * 22 : 0; // labels on a line would cover each other
    const [x, y] = screen(view, placeOf(view, at, v));
    const [colour, here] = [view.colour[data.kinds[v]], hover === v];
    if (view.trails.checked && at > 0) drawTrail(view, ctx, v, colour);
    ctx.globalAlpha = hover === null || here ? 1 : 0.45;
    ctx.fillStyle = colour;
    disc(ctx, x, y, here ? 5 : 3.2);
    ctx.fillStyle = theme.text;
    ctx.font = `${here ? "bold 16px" : "13px"} ${theme.font}`;
    ctx.fillText([...label].length === 1 ? drawn(label) : isolated(label), x + 5, y - 5 + lift);
    ctx.globalAlpha = 1;
    return [x, y, lift];
  });
}

function drawTrail(view, ctx, v, colour) {
  const here = view.hover === v;
  const at = view.player.step;
  ctx.strokeStyle = colour;
  ctx.globalAlpha = here ? 0.9 : 0.22;
  ctx.lineWidth = here ? 2 : 1;
  ctx.beginPath();
  for (let f = 0; f <= Math.ceil(at); f++) ctx.lineTo(...screen(view, placeOf(view, Math.min(f, at), v)));
  ctx.stroke();
}

function nearest(view, { x, y }) {
  const away = (view.spots ?? []).map(([px, py, lift]) =>
    Math.min(Math.hypot(px - x, py - y), Math.hypot(px + 8 - x, py - 9 + lift - y)),
  );
  const best = away.indexOf(Math.min(...away));
  return away[best] < NEAR ? best : null;
}

function pointed(view, character) {
  if (character === view.hover) return;
  view.hover = character;
  draw(view);
}

function table(view) {
  const { data } = view;
  const frames = Array.from({ length: data.frames }, (_, frame) => frame);
  const rows = frames.flatMap((f) => data.labels.map((label, v) => [data.captions[f], label, ...placeOf(view, f, v)]));
  return [["snapshot", "character", "x", "y"], ...rows];
}
