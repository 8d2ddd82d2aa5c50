// The time machine. All frames are here: whatever the learner moves, nothing is asked of the server.
import { boardGeometry, drawBoard } from "../grids/attention_draw.js";
import { nameOf } from "../grids/attention_state.js";
import { mirror } from "../shared/address.js";
import { isolated, readableText, spelled, visible } from "../shared/characters.js";
import { scaleOf } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { button, clamp, element, fill } from "../shared/dom.js";
import { chance, fixed, grouped } from "../shared/format.js";
import { canvasPen, Pen } from "../shared/pens.js";
import { savers } from "../shared/saving.js";
import { extent } from "../shared/scales.js";
import { colourAt } from "../shared/theme.js";
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
const RETRY = 5000; // ms after which an answer is no longer waited for
const HELP = {
  play: "Runs from here to the newest snapshot; press again to stop. The space bar does the same on the slider.",
  scrub: "The snapshot shown. Arrow keys go one back or on, Home and End to the first and the newest.",
  follow: "Keeps to the newest snapshot while the run goes on.",
  trails: "Draws where each character came from over the last snapshots.",
  career: "What is followed below the loss, along the same steps. Click into the chart to go to a step.",
  map:
    "Principal components of the character vectors at each snapshot, turned so as to lie as close as " +
    "possible on the ones before. Click a character to follow it.",
};

export default component(mount, update);

function mount(view) {
  Object.assign(view, { frames: [], at: 0, career: 0, line: null, chosen: null, spots: [] });
  Object.assign(view, { trails: true, follow: false, playing: null, messages: 0 });
  // What the drawing of heads asks of a board: nothing is chosen here, and no head is named.
  Object.assign(view, { ui: { sort: "layer", only: "all", by: "weight" }, hover: {} });
  Object.assign(view, { colourOf: () => null, labelOf: () => null, nameOf: (head) => nameOf(head, view.board.H) });
  build(view);
  view.resized(view.root, () => redraw(view));
  view.ended = () => {
    stop(view);
    clearTimeout(view.timer);
    cancelAnimationFrame(view.request);
  };
}

function update(view, message) {
  if (view.fresh) receive(view, message);
  else showLegend(view);
  redraw(view);
}

function receive(view, header) {
  const first = !view.header;
  const step = view.frames.length ? now(view).step : header.start;
  const newest = !view.frames.length || Math.round(view.at) === view.frames.length - 1;
  if (!header.from || (view.header && view.header.film !== header.film)) view.frames = [];
  view.lacking = header.from > view.frames.length;
  view.header = header;
  if (!view.lacking) view.frames.push(...header.frames);
  if (header.board) {
    const { L, H, T } = header.board;
    view.board = { L, H, T, tri: (T * (T + 1)) / 2, tokens: header.tokens };
    view.order = Array.from({ length: L * H }, (_, head) => head);
  }
  const ranges = view.frames.map(({ places }) => extent(places ?? []));
  view.reach = Math.max(1e-9, ...ranges.flatMap(({ lo, hi }) => [-lo, hi]));
  view.sequential = scaleOf(header.scale);
  if (first) view.follow = header.live && header.start === null;
  if (view.career >= header.careers.length) view.career = 0;
  goTo(view, view.follow && newest && header.live ? view.frames.length - 1 : nearest(view, step ?? Infinity));
  show(view);
  Object.assign(view.root.dataset, { messages: ++view.messages, frames: view.frames.length });
  clearTimeout(view.timer);
  if (header.live || view.lacking) view.timer = setTimeout(poll, view.lacking ? 50 : header.interval * 1000, view);
}

function poll(view) {
  view.timer = setTimeout(poll, document.hidden ? 1000 : RETRY, view);
  if (document.hidden) return;
  const steps = view.lacking ? [] : view.frames.map((frame) => frame.step);
  view.trigger("poll", { film: view.header.film, steps, serial: view.header.serial });
}

// ---- moving ---------------------------------------------------------------------------------------------------------

const now = (view) => view.frames[Math.round(view.at)];

function nearest(view, step) {
  if (step === Infinity) return Math.max(0, view.frames.length - 1);
  const away = view.frames.map((frame) => Math.abs(frame.step - step));
  return Math.max(0, away.lastIndexOf(Math.min(...away)));
}

function goTo(view, at) {
  view.at = clamp(at, 0, Math.max(0, view.frames.length - 1));
  redraw(view);
}

function byHand(view, at) {
  stop(view);
  view.follow = view.header.live && at >= view.frames.length - 1;
  goTo(view, at);
}

function play(view) {
  if (view.playing) return stop(view);
  if (view.at >= view.frames.length - 1) view.at = 0;
  let last = null;
  const tick = (time) => {
    view.at = Math.min(view.frames.length - 1, view.at + (last === null ? 0 : time - last) / PACE);
    last = time;
    paint(view);
    if (view.at >= view.frames.length - 1) stop(view);
    else view.playing = requestAnimationFrame(tick);
  };
  view.playing = requestAnimationFrame(tick);
  redraw(view);
}

function stop(view) {
  if (!view.playing) return;
  cancelAnimationFrame(view.playing);
  view.playing = null;
  view.at = Math.round(view.at);
  redraw(view);
}

// ---- the page's parts -----------------------------------------------------------------------------------------------

function chart(view, name, title, { height, draw, table }, ...controls) {
  const canvas = element("canvas", { role: "img", "aria-label": title });
  const picture = () => {
    const size = sizeOf(view, name);
    return { ...size, draw: (ctx) => draw(new Pen(ctx, size.width, size.height), view) };
  };
  const row = savers(view, () => `${name}-step-${now(view).step}`, { picture, table, title });
  const head = element("header", {}, element("h2", {}, title), ...controls, row);
  const box = element("section", { class: name, "aria-label": title }, head, canvas);
  view.charts[name] = { canvas, box, draw, height };
  return box;
}

function check(view, name, label) {
  const input = element("input", { type: "checkbox" });
  input.onchange = () => {
    view[name] = input.checked;
    if (name === "follow" && view.follow) goTo(view, view.frames.length - 1);
    redraw(view);
  };
  view[`${name}Box`] = input;
  return element("label", { title: HELP[name] }, input, label);
}

function build(view) {
  view.charts = {};
  view.playButton = button("▶ Play", HELP.play, () => play(view), { class: "play" });
  view.range = element("input", { type: "range", min: 0, step: 1, title: HELP.scrub, "aria-label": "Snapshot" });
  view.range.oninput = () => byHand(view, +view.range.value);
  view.on(view.range, "keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    play(view);
  });
  view.readout = element("output", { class: "readout" });
  view.followLabel = check(view, "follow", "Follow");
  view.stones = element("div", { class: "stones", role: "group", "aria-label": "Milestones" });
  view.menu = element("select", { title: HELP.career, "aria-label": "Careers" });
  view.menu.onchange = () => {
    Object.assign(view, { career: +view.menu.value, line: null });
    show(view);
    redraw(view);
  };
  const note = (kind, tag = "div") => element(tag, { class: kind });
  Object.assign(view, { legend: note("legend"), kinds: note("legend"), said: note("said", "p") });
  Object.assign(view, { spread: note("note", "span"), boardNote: note("note", "span") });
  view.bars = element("div", { class: "rows", role: "list" });
  view.barsTitle = element("h2", {}, "Next character");
  view.sampleTitle = element("h2", {}, "What it writes");
  view.sample = element("pre", { class: "prose", tabindex: 0 });
  const lossTable = () => curvesTable(view);
  const careersTable = () => table(view, ({ careers }) => careers[view.career], view.header.careers[view.career].lines);
  const loss = chart(view, "loss", "Loss (nats per character)", { height: 160, draw: drawLoss, table: lossTable });
  const drawing = { height: 160, draw: drawCareers, table: careersTable };
  const careers = chart(view, "careers", "Careers", drawing, view.menu);
  careers.append(view.legend, view.said);
  const coordinates = () => view.header.characters.flatMap((c) => [`${visible(c)} x`, `${visible(c)} y`]);
  const places = { height: 0, draw: drawPlaces, table: () => table(view, (frame) => frame.places, coordinates()) };
  const map = chart(view, "map", "Character vectors", places, check(view, "trails", "Trails"));
  map.querySelector("h2").title = HELP.map;
  map.append(view.kinds, view.spread);
  const board = chart(view, "board", "Attention", { height: -1, draw: drawHeads });
  board.append(view.boardNote);
  const ridges = { height: 1, draw: drawActivations, table: () => activationsTable(view) };
  const activations = chart(view, "activations", "Activations", ridges);
  activations.append(
    element(
      "span",
      { class: "note" },
      "What the units of each hidden layer give on the prompt; heights by their root.",
    ),
  );
  const section = (name, title, content) => element("section", { class: name }, element("header", {}, title), content);
  view.root.append(
    element("div", { class: "bar" }, view.playButton, view.range, view.readout, view.followLabel),
    view.stones,
    element("div", { class: "first" }, element("div", {}, loss, careers), map),
    element(
      "div",
      { class: "grid" },
      section("bars", view.barsTitle, view.bars),
      section("text", view.sampleTitle, view.sample),
      board,
      activations,
    ),
  );
  listen(view);
}

// The row below each snapshot's step: its numbers by `pick`, called `names`.
function table(view, pick, names) {
  return [["step", ...names], ...view.frames.map((frame) => [frame.step, ...(pick(frame) ?? [])])];
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

function listen(view) {
  for (const name of ["loss", "careers"]) {
    const { canvas } = view.charts[name];
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
      else if (name === "careers") pointAt(view, event, frameAt(event));
    });
    if (name === "careers") view.on(canvas, "pointerleave", () => pick(view, null));
  }
  view.on(view.charts.map.canvas, "click", (event) => {
    const away = view.spots.map(([x, y]) => Math.hypot(x - event.offsetX, y - event.offsetY));
    const best = away.indexOf(Math.min(...away));
    view.chosen = away[best] < 16 && view.chosen !== best ? best : null;
    redraw(view);
  });
}

function pointAt(view, event, frame) {
  const { y } = careerScale(view, view.charts.careers.height);
  const values = [...view.frames[frame].careers[view.career]];
  const away = values.map((v) => (Number.isFinite(v) ? Math.abs(y(v) - event.offsetY) : Infinity));
  const best = away.indexOf(Math.min(...away));
  pick(view, away[best] < 24 ? best : null);
}

function pick(view, line) {
  if (view.line === line) return;
  view.line = line;
  redraw(view);
}

function show(view) {
  const { header, frames } = view;
  view.range.max = Math.max(0, frames.length - 1);
  view.range.disabled = view.playButton.disabled = frames.length < 2;
  view.followLabel.hidden = !header.live;
  view.menu.replaceChildren(...header.careers.map((career, i) => element("option", { value: i }, career.title)));
  view.menu.value = view.career;
  view.charts.careers.box.hidden = !header.careers.length;
  view.charts.map.box.hidden = !frames[0]?.places;
  view.charts.board.box.hidden = !header.board;
  view.charts.activations.box.hidden = !header.hidden.length;
  Object.assign(view.charts.activations, { height: ridgesHeight(view) });
  view.usedBins = null;
  const stone = ({ label, step, help }) =>
    button([label, element("small", {}, grouped(step))], help, () => byHand(view, nearest(view, step)));
  view.stones.replaceChildren(...header.milestones.map(stone));
  const bar = (i) => {
    const name = element("code", { title: spelled(header.characters[i]) }, visible(header.characters[i]));
    const track = element("span", { class: "track" }, element("i"));
    return element("div", { class: "row", role: "listitem" }, name, track, element("output"));
  };
  view.bars.replaceChildren(...header.bars.map(bar));
  showLegend(view);
  if (!header.board) return;
  const rows = `each map shows the last ${header.board.T} characters of the prompt, a row what one of them looks at`;
  view.boardNote.textContent = `Rows are layers, columns heads; ${rows}.`;
}

function showLegend(view) {
  const { header } = view;
  const entry = ([label, at]) =>
    element("span", {}, element("i", { style: `background:${colourAt(view.theme, at)}` }), label);
  const present = header.class_names.map((name, i) => [name, i]).filter(([, i]) => header.classes.includes(i));
  view.kinds.replaceChildren(...present.map(entry));
  const career = header.careers[view.career];
  if (!career) return;
  view.charts.careers.box.querySelector("h2").title = career.help;
  const colours = careerColours(career);
  const layered = career.lines[0].includes(".");
  const layers = [...new Set(colours)].map((layer) => [`layer ${layer}`, layer]);
  view.legend.replaceChildren(...(layered ? layers : career.lines.map((label, i) => [label, i])).map(entry));
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function redraw(view) {
  view.request ??= requestAnimationFrame(() => {
    view.request = null;
    paint(view);
  });
}

function drawHeads(pen, view) {
  view.board.pattern = Uint16Array.from(now(view).pattern, (weight) => weight * 257);
  drawBoard(pen, view, boardGeometry(view, pen.width));
}

function sizeOf(view, name) {
  const { box, height } = view.charts[name];
  const width = Math.floor(box.clientWidth);
  if (height > 0) return { width, height };
  if (height === 0) return { width, height: Math.min(width, MAP) };
  const limited = Math.min(width, 24 + view.board.H * 128);
  return { width: limited, height: Math.max(20, boardGeometry(view, limited).height) };
}

function paint(view) {
  if (!view.header || !view.root.clientWidth) return;
  const frame = now(view);
  if (!frame) return;
  for (const [name, { canvas, box, draw }] of Object.entries(view.charts)) {
    if (box.hidden) continue;
    if (name === "board" && view.playing && view.painted === frame) continue; // the maps change with the snapshot only
    const { width, height } = sizeOf(view, name);
    draw(canvasPen(canvas, width, height), view);
  }
  view.painted = frame;
  paintWords(view, frame);
  const following = view.follow && view.header.live;
  if (!view.playing) mirror(view, { step: following ? null : frame.step });
}

function paintWords(view, frame) {
  const { header, range } = view;
  const at = Math.round(view.at);
  range.value = at;
  fill(range, at / Math.max(1, view.frames.length - 1));
  const loss = frame.val === null ? "untrained" : `validation ${frame.val.toFixed(4)}`;
  range.setAttribute("aria-valuetext", `step ${grouped(frame.step)}, ${loss}`);
  view.readout.textContent = `step ${grouped(frame.step)} of ${grouped(header.of)} · ${loss}`;
  view.playButton.textContent = view.playing ? "❚❚ Pause" : "▶ Play";
  view.followBox.checked = view.follow;
  view.trailsBox.checked = view.trails;
  if (frame.explained) {
    const [a, b] = frame.explained;
    const plane = `this plane holds ${Math.round(100 * (a + b))} % of their variance`;
    const held = b === 0 ? "one number per character, so they lie on a line" : plane;
    view.spread.textContent = `Step ${grouped(frame.step)}, ${loss}: ${held}.`;
  }
  for (const [i, row] of [...view.bars.children].entries()) {
    const likely = between(view, (f) => f.chances[header.bars[i]]);
    row.querySelector("i").style.width = `${100 * likely}%`;
    row.querySelector("output").textContent = chance(likely);
  }
  view.bars.dataset.first = header.bars.length ? frame.chances[header.bars[0]].toFixed(4) : "";
  if (view.written !== frame.sample) paintSample(view, frame);
  const career = header.careers[view.career];
  if (career)
    view.said.textContent = `${career.help} At step ${grouped(frame.step)}: ${sayCareer(view, frame, career)}.`;
  Object.assign(view.root.dataset, { step: frame.step, at: view.at.toFixed(2) });
}

function sayCareer(view, frame, { lines }) {
  const values = frame.careers[view.career];
  const highest = [...values.keys()].sort((a, b) => (values[b] || -9) - (values[a] || -9)).slice(0, 3);
  const named = view.line === null ? highest : [view.line];
  return named.map((i) => `${isolated(lines[i])} ${fixed(values[i], 2)}`).join(", ");
}

function paintSample(view, { sample, step }) {
  view.written = sample;
  const now = !sample || sample.step === step;
  view.sampleTitle.textContent = now ? "What it writes" : `What it wrote at step ${grouped(sample.step)}`;
  if (!sample) return view.sample.replaceChildren("No sample was kept for this step.");
  const prompt = element("span", { class: "prompt" }, sample.prompt.trimStart());
  view.sample.replaceChildren(prompt, readableText(sample.text));
}
