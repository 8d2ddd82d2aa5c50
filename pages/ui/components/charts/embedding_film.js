// The moving map. Where it stands, its trails and whether it plays live here; new maps come from the server.
import { drawn, isolated } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { checkbox, element, place, pointed } from "../shared/dom.js";
import { canvasContext, disc, segment } from "../shared/pens.js";
import { Player } from "../shared/player.js";
import { drawing, savers } from "../shared/saving.js";
import { extent } from "../shared/scales.js";
import { html, render } from "../shared/vendor/lit-html.js";

const FRAME_MS = 450; // one snapshot to the next while playing
const NEAR = 18; // pixels from a character at which it is pointed at
const LABEL = "Map of the characters: left and right arrow keys move through training";

export default component(mount, update);

function mount(view) {
  Object.assign(view, { hover: null, trails: true });
  const [names, pace] = [{ play: "Plays all snapshots" }, () => 1 / FRAME_MS];
  const parts = ["play", "slider"];
  view.player = new Player(view, { names, pace, parts, whole: false, show: () => draw(view) });
  view.canvas = element("canvas");
  view.stage = element("div", { class: "stage", role: "application", tabindex: 0, "aria-label": LABEL }, view.canvas);
  view.legend = element("div", { class: "legend" });
  view.root.append(view.player.bar, view.stage, view.legend);
  const hover = (character) => {
    if (character === view.hover) return;
    view.hover = character;
    view.player.draw();
  };
  const pressed = ({ key }) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
    return by ? view.player.go(Math.round(view.player.step) + by) : false;
  };
  pointed(view, view.stage, (event) => nearest(view, place(event, view.stage)), { hover, pressed, keep() {} });
  view.resized(view.stage, () => view.data && view.player.draw());
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
  const entry = (kind) => html`<span><i style="background:${view.colour[kind]}"></i>${kind}</span>`;
  render(kinds.map(entry), view.legend);
  view.root.dataset.frames = data.frames;
  if (!view.fresh) player.draw();
  else if (wasLast || player.step > last) player.reset(last);
  else {
    player.last = last;
    player.go(player.step, player.frame);
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
  if (stage.clientWidth) drawInto(view, canvasContext(view.canvas, stage.clientWidth, stage.clientHeight));
  view.root.dataset.at = player.step.toFixed(2);
  const picture = drawing(stage, (ctx) => drawInto(view, ctx));
  const row = savers(view, () => `embedding-${Math.round(player.step)}`, { picture, table: () => table(view) });
  const changed = (on) => {
    view.trails = on;
    player.draw();
  };
  return html`<output>${data.captions[Math.round(player.step)] ?? ""}</output>
    ${checkbox("trails", "Draws where each character came from", view.trails, changed)}${row}`;
}

function drawInto(view, ctx) {
  const { data, theme, hover, player } = view;
  const { clientWidth: w, clientHeight: h } = view.stage;
  const at = player.step;
  Object.assign(ctx, { strokeStyle: theme.line, lineWidth: 1, textAlign: "left", textBaseline: "alphabetic" });
  segment(ctx, 0, h / 2, w, h / 2);
  if (!data.line) segment(ctx, w / 2, 0, w / 2, h);
  view.spots = data.labels.map((label, v) => {
    const lift = data.line ? ((v % 7) - 3) * 22 : 0; // labels on a line would cover each other
    const [x, y] = screen(view, placeOf(view, at, v));
    const [colour, here] = [view.colour[data.kinds[v]], hover === v];
    if (view.trails && at > 0) drawTrail(view, ctx, v, colour);
    Object.assign(ctx, { globalAlpha: hover === null || here ? 1 : 0.45, fillStyle: colour });
    disc(ctx, x, y, here ? 5 : 3.2);
    Object.assign(ctx, { fillStyle: theme.text, font: `${here ? "bold 16px" : "13px"} ${theme.font}` });
    ctx.fillText([...label].length === 1 ? drawn(label) : isolated(label), x + 5, y - 5 + lift);
    ctx.globalAlpha = 1;
    return [x, y, lift];
  });
}

function drawTrail(view, ctx, v, colour) {
  const [here, at] = [view.hover === v, view.player.step];
  Object.assign(ctx, { strokeStyle: colour, globalAlpha: here ? 0.9 : 0.22, lineWidth: here ? 2 : 1 });
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

function table(view) {
  const { data } = view;
  const frames = Array.from({ length: data.frames }, (_, frame) => frame);
  const rows = frames.flatMap((f) => data.labels.map((label, v) => [data.captions[f], label, ...placeOf(view, f, v)]));
  return [["snapshot", "character", "x", "y"], ...rows];
}
