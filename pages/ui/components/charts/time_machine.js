// The time machine. All frames are here: whatever the learner moves, nothing is asked of the server.
import { boardGeometry, drawBoard } from "../grids/attention_draw.js";
import { nameOf } from "../grids/attention_state.js";
import { mirror } from "../shared/address.js";
import { isolated, readableText, spelled, visible } from "../shared/characters.js";
import { scaleOf } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { button, checkbox, element } from "../shared/dom.js";
import { chance, fixed, grouped } from "../shared/format.js";
import { canvasPen, Pen } from "../shared/pens.js";
import { Player } from "../shared/player.js";
import { savers } from "../shared/saving.js";
import { extent } from "../shared/scales.js";
import { colourAt } from "../shared/theme.js";
import { html, nothing, render } from "../shared/vendor/lit-html.js";
import {
  between,
  careerColours,
  careerScale,
  drawActivations,
  drawCareers,
  drawLoss,
  drawPlaces,
  LEFT,
  RIGHT,
  ridgesHeight,
} from "./time_draw.js";

const MAP = 400; // px: with the loss beside it, both are in the first screen
const PACE = 700; // ms a snapshot while playing
const HELP = {
  play: "Runs from here to the newest snapshot; press again to stop. The space bar does the same on the slider.",
  scrub: "The snapshot shown. Arrow keys go one back or on, Home and End to the first and the newest.",
  follow: "Keeps to the newest snapshot while the run goes on.",
  trails: "Draws where each character came from over the last snapshots.",
  career: "What is followed below the loss, along the same steps. Click into the chart to go to a step.",
  map:
    "Principal components of the character vectors at each snapshot, turned so as to lie as close as " +
    "possible on the ones before. Click a character to follow it.",
  board: "of the prompt, a row what one of them looks at.",
  activations: "What the units of each hidden layer give on the prompt; heights by their root.",
};

export default component(mount, update);

function mount(view) {
  Object.assign(view, { frames: [], at: 0, career: 0, line: null, chosen: null, spots: [] });
  Object.assign(view, { trails: true, follow: false, messages: 0 });
  // What the drawing of heads asks of a board: nothing is chosen here, and no head is named.
  Object.assign(view, { ui: { sort: "layer", only: "all", by: "weight" }, hover: {} });
  Object.assign(view, { colourOf: () => null, labelOf: () => null, nameOf: (head) => nameOf(head, view.board.H) });
  view.player = new Player(view, {
    names: HELP,
    words: ["▶ Play", "❚❚ Pause"],
    parts: ["play", "slider"],
    label: "Snapshot",
    title: HELP.scrub,
    whole: false,
    settles: true,
    pace: () => 1 / PACE,
    moved: (at) => byHand(view, at),
    spoken: () => (now(view) ? `step ${grouped(now(view).step)}, ${lossOf(now(view))}` : ""),
    show: (at) => paint(view, at),
  });
  view.charts = {
    loss: { title: "Loss (nats per character)", height: 160, draw: drawLoss, table: () => curvesTable(view) },
    careers: { title: "Careers", height: 160, draw: drawCareers, table: () => careersTable(view) },
    map: { title: "Character vectors", height: 0, draw: drawPlaces, table: () => placesTable(view) },
    board: { title: "Attention", height: -1, draw: drawHeads },
    activations: { title: "Activations", height: 1, draw: drawActivations, table: () => activationsTable(view) },
  };
  for (const chart of Object.values(view.charts))
    chart.canvas = element("canvas", { role: "img", "aria-label": chart.title });
  listen(view);
  view.resized(view.root, () => view.soon(redraw));
}

const redraw = (view) => view.header && view.player.draw();

function update(view, message) {
  if (view.fresh) receive(view, message);
  else view.soon(redraw);
}

function receive(view, header) {
  const { player } = view;
  const first = !view.header;
  const step = view.frames.length ? now(view).step : header.start;
  const newest = !view.frames.length || Math.round(view.at) === view.frames.length - 1;
  if (!header.from || (view.header && view.header.film !== header.film)) view.frames = [];
  view.lacking = header.from > view.frames.length;
  Object.assign(view, { header, usedBins: null });
  if (!view.lacking) view.frames.push(...header.frames);
  if (header.board) {
    const { L, H, T } = header.board;
    view.board = { L, H, T, tri: (T * (T + 1)) / 2, tokens: header.tokens };
    view.order = Array.from({ length: L * H }, (_, head) => head);
  }
  const ranges = view.frames.map(({ places }) => extent(places ?? []));
  view.reach = Math.max(1e-9, ...ranges.flatMap(({ lo, hi }) => [-lo, hi]));
  view.sequential = scaleOf(header.scale);
  view.charts.activations.height = ridgesHeight(view);
  if (first) view.follow = header.live && header.start === null;
  if (view.career >= header.careers.length) view.career = 0;
  player.last = Math.max(0, view.frames.length - 1);
  player.go(view.follow && newest && header.live ? player.last : nearest(view, step ?? Infinity), player.frame);
  Object.assign(view.root.dataset, { messages: ++view.messages, frames: view.frames.length });
  if (header.live || view.lacking) view.poll(view.lacking ? 50 : header.interval * 1000, question, { retry: 5000 });
  else view.quiet();
}

const question = ({ lacking, frames, header }) => ({
  film: header.film,
  steps: lacking ? [] : frames.map((frame) => frame.step),
  serial: header.serial,
});

// ---- moving ---------------------------------------------------------------------------------------------------------

const now = (view) => view.frames[Math.round(view.at)];
const lossOf = ({ val }) => (val === null ? "untrained" : `validation ${val.toFixed(4)}`);

function nearest(view, step) {
  if (step === Infinity) return Math.max(0, view.frames.length - 1);
  const away = view.frames.map((frame) => Math.abs(frame.step - step));
  return Math.max(0, away.lastIndexOf(Math.min(...away)));
}

function byHand(view, at) {
  view.follow = view.header.live && at >= view.player.last;
  view.player.go(at);
}

// ---- the page's parts -----------------------------------------------------------------------------------------------

function chart(view, name, { hidden = false, help, controls = "", below = "" } = {}) {
  const { title, draw, table, canvas } = view.charts[name];
  const picture = () => {
    const size = sizeOf(view, name);
    return { ...size, draw: (ctx) => draw(new Pen(ctx, size.width, size.height), view) };
  };
  const row = savers(view, () => `${name}-step-${now(view).step}`, { picture, table, title });
  return html`<section class=${name} aria-label=${title} ?hidden=${hidden}>
    <header><h2 title=${help ?? nothing}>${title}</h2>${controls}${row}</header>${canvas}${below}</section>`;
}

function page(view, frame) {
  const { header, frames, player } = view;
  const { milestones, careers, board, hidden } = header;
  const set = (change) => {
    Object.assign(view, change);
    player.draw();
  };
  const stone = ({ label, step, help }) =>
    button([label, html`<small>${grouped(step)}</small>`], help, () => byHand(view, nearest(view, step)));
  const options = careers.map(
    ({ title }, i) => html`<option value=${i} .selected=${i === view.career}>${title}</option>`,
  );
  const choose = (event) => set({ career: +event.target.value, line: null });
  const menu = html`<select title=${HELP.career} aria-label="Careers" @change=${choose}>${options}</select>`;
  const career = careers[view.career];
  const entry = ([label, at]) => html`<span><i style="background:${colourAt(view.theme, at)}"></i>${label}</span>`;
  const words = () => html`<div class="legend">${careerLegend(career).map(entry)}</div>
    <p class="said">${career.help} At step ${grouped(frame.step)}: ${sayCareer(view, frame, career)}.</p>`;
  const kinds = header.class_names.map((name, i) => [name, i]).filter(([, i]) => header.classes.includes(i));
  const map = html`<div class="legend">${kinds.map(entry)}</div><span class="note">${spreadOf(frame)}</span>`;
  const trails = checkbox("Trails", HELP.trails, view.trails, (on) => set({ trails: on }));
  const part = (name, title, content) =>
    html`<section class=${name}><header><h2>${title}</h2></header>${content}</section>`;
  const note = (text) => html`<span class="note">${text}</span>`;
  const rows = board
    ? `Rows are layers, columns heads; each map shows the last ${board.T} characters ${HELP.board}`
    : "";
  return html`${player.bar}<div class="stones" role="group" aria-label="Milestones">${milestones.map(stone)}</div>
    <div class="first"><div>${chart(view, "loss")}${chart(view, "careers", {
      hidden: !career,
      help: career?.help,
      controls: menu,
      below: career ? words() : "",
    })}</div>${chart(view, "map", { hidden: !frames[0]?.places, help: HELP.map, controls: trails, below: map })}</div>
    <div class="grid">${part("bars", "Next character", bars(view))}${textOf(frame, part)}
      ${chart(view, "board", { hidden: !board, below: note(rows) })}
      ${chart(view, "activations", { hidden: !hidden.length, below: note(HELP.activations) })}</div>`;
}

function bars(view) {
  const { bars: ids, characters } = view.header;
  const bar = (id) => {
    const likely = between(view, (f) => f.chances[id]);
    const c = characters[id];
    return html`<div class="row" role="listitem"><code title=${spelled(c)}>${visible(c)}</code>
      <span class="track"><i style="width: ${100 * likely}%"></i></span><output>${chance(likely)}</output></div>`;
  };
  return html`<div class="rows" role="list">${Array.from(ids, bar)}</div>`;
}

function textOf({ sample, step }, part) {
  const here = !sample || sample.step === step;
  const title = here ? "What it writes" : `What it wrote at step ${grouped(sample.step)}`;
  const prompt = () => html`<span class="prompt">${sample.prompt.trimStart()}</span>${readableText(sample.text)}`;
  const text = sample ? prompt() : "No sample was kept for this step.";
  return part("text", title, html`<pre class="prose" tabindex="0">${text}</pre>`);
}

function careerLegend(career) {
  const colours = careerColours(career);
  const layers = [...new Set(colours)].map((layer) => [`layer ${layer}`, layer]);
  return career.lines[0].includes(".") ? layers : career.lines.map((label, i) => [label, i]);
}

function sayCareer(view, frame, { lines }) {
  const values = frame.careers[view.career];
  const highest = [...values.keys()].sort((a, b) => (values[b] || -9) - (values[a] || -9)).slice(0, 3);
  const named = view.line === null ? highest : [view.line];
  return named.map((i) => `${isolated(lines[i])} ${fixed(values[i], 2)}`).join(", ");
}

function spreadOf(frame) {
  if (!frame.explained) return "";
  const [a, b] = frame.explained;
  const plane = `this plane holds ${Math.round(100 * (a + b))} % of their variance`;
  const held = b === 0 ? "one number per character, so they lie on a line" : plane;
  return `Step ${grouped(frame.step)}, ${lossOf(frame)}: ${held}.`;
}

// ---- as numbers: the row below each snapshot's step -----------------------------------------------------------------

function table(view, pick, names) {
  return [["step", ...names], ...view.frames.map((frame) => [frame.step, ...(pick(frame) ?? [])])];
}

const careersTable = (view) =>
  table(view, ({ careers }) => careers[view.career], view.header.careers[view.career].lines);

function placesTable(view) {
  const names = view.header.characters.flatMap((c) => [`${visible(c)} x`, `${visible(c)} y`]);
  return table(view, (frame) => frame.places, names);
}

function curvesTable(view) {
  const rows = view.header.curves.flatMap(([steps, values], i) =>
    Array.from(steps, (step, at) => [["train", "val"][i], step, values[at]]),
  );
  return [["curve", "step", "loss"], ...rows];
}

function activationsTable(view) {
  const { edges, hidden } = view.header;
  const bins = edges.length - 1;
  const row = (share, i) => [hidden[Math.floor(i / bins)], edges[i % bins], edges[(i % bins) + 1], share];
  const filled = [...now(view).activations].map(row).filter(([, , , share]) => share > 0);
  return [["layer", "from", "to", "share"], ...filled];
}

// ---- pointer --------------------------------------------------------------------------------------------------------

function listen(view) {
  const { loss, careers, map } = view.charts;
  for (const { canvas } of [loss, careers]) {
    const frameAt = (event) => {
      const share = (event.offsetX - LEFT) / (canvas.clientWidth - LEFT - RIGHT);
      return nearest(view, share * view.header.of);
    };
    view.on(canvas, "pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      byHand(view, frameAt(event));
    });
    view.on(canvas, "pointermove", (event) => {
      if (event.buttons & 1) byHand(view, frameAt(event));
      else if (canvas === careers.canvas) pick(view, lineAt(view, event, frameAt(event)));
    });
  }
  view.on(careers.canvas, "pointerleave", () => pick(view, null));
  view.on(map.canvas, "click", (event) => {
    const away = view.spots.map(([x, y]) => Math.hypot(x - event.offsetX, y - event.offsetY));
    const best = away.indexOf(Math.min(...away));
    view.chosen = away[best] < 16 && view.chosen !== best ? best : null;
    redraw(view);
  });
}

function lineAt(view, event, frame) {
  const { y } = careerScale(view, view.charts.careers.height);
  const values = [...view.frames[frame].careers[view.career]];
  const away = values.map((v) => (Number.isFinite(v) ? Math.abs(y(v) - event.offsetY) : Infinity));
  const best = away.indexOf(Math.min(...away));
  return away[best] < 24 ? best : null;
}

function pick(view, line) {
  if (view.line === line) return;
  view.line = line;
  view.soon(redraw);
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function drawHeads(pen, view) {
  view.board.pattern = Uint16Array.from(now(view).pattern, (weight) => weight * 257);
  drawBoard(pen, view, boardGeometry(view, pen.width));
}

function sizeOf(view, name) {
  const { canvas, height } = view.charts[name];
  const width = Math.floor(canvas.parentElement.clientWidth);
  if (height > 0) return { width, height };
  if (height === 0) return { width, height: Math.min(width, MAP) };
  const limited = Math.min(width, 24 + view.board.H * 128);
  return { width: limited, height: Math.max(20, boardGeometry(view, limited).height) };
}

function paint(view, at) {
  view.at = at;
  const { header, player, charts } = view;
  const frame = now(view);
  if (!frame || !view.root.clientWidth) return "";
  render(page(view, frame), view.root);
  for (const [name, { canvas, draw }] of Object.entries(charts)) {
    if (canvas.parentElement.hidden) continue;
    if (name === "board" && player.frame && view.painted === frame) continue; // the maps change with the snapshot only
    const { width, height } = sizeOf(view, name);
    draw(canvasPen(canvas, width, height), view);
  }
  view.painted = frame;
  if (!player.frame) mirror(view, { step: view.follow && header.live ? null : frame.step });
  Object.assign(view.root.dataset, { step: frame.step, at: at.toFixed(2) });
  const follow = checkbox("Follow", HELP.follow, view.follow, (on) => {
    view.follow = on;
    player.go(on ? player.last : at);
  });
  return html`<output class="readout">step ${grouped(frame.step)} of ${grouped(header.of)} · ${lossOf(frame)}</output>${
    header.live ? follow : ""
  }`;
}
