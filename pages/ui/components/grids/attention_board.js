// The attention board: what is hovered, what is locked, and who draws what. Messages are described in the .py file.
// One rule everywhere: what is looked at is what is hovered, else what is locked.

import { hint, visible } from "../shared/characters.js";
import { scaleOf } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { button, choice, colourKey, disclosed, element, menu } from "../shared/dom.js";
import { fixed } from "../shared/format.js";
import { canvasPen } from "../shared/pens.js";
import { savers } from "../shared/saving.js";
import { colourAt, still } from "../shared/theme.js";
import { html, nothing, render } from "../shared/vendor/lit-html.js";
import {
  boardGeometry,
  drawBoard,
  drawBoardMarks,
  drawLines,
  drawMap,
  drawMapMarks,
  LINE,
  linesGeometry,
  mapGeometry,
} from "./attention_draw.js";
import { fileName, headsTable, picture, queryTable, weightsTable } from "./attention_files.js";
import { listen } from "./attention_pointer.js";
import { drawQuery, openQuery, queryGeometry } from "./attention_query.js";
import { drawStages, played, stages, stagesHeight } from "./attention_stages.js";
import { fit, indexOf, nameOf, ordered, parse, written } from "./attention_state.js";
import { quoted, sayCell, sayHead, sayQuery, sayText } from "./attention_words.js";

const SORTS = { entropy: "entropy, sharpest first", distance: "distance, nearest first" };
const HELP = {
  toward: "From: the characters that the chosen one looks at. To: the later characters that look at it.",
  by:
    "Weight: the softmax alone. Weight × value: times the length of what is written, ‖weight · v W_O‖: a " +
    "large weight on an empty value moves nothing.",
  shade:
    "Whose attention shades the text: the opened head, each chosen head as a band of its colour, or the " +
    "largest of all heads.",
  show: "One head as a map (row: query, column: key) or as lines from each query on the left to its keys on the right.",
  sort: "By layer, or by how much a head does one thing.",
  only: "Only heads with this label.",
  several: "While this is on, a click adds a head or takes it away. Shift + click does the same.",
  view: "How the board, the opened head and the text are drawn.",
  rows: "The keys in the order of the text, or the heaviest first.",
  play: "From the scores of this query to its weights, one step after another.",
  step: "What this step makes of every key.",
};
const MIXED = "mixed: no one thing stands out";
const ROOM = 488; // px of height that the board of all heads may take
const PARTS = ["board", "head", "text", "query"];
const CHOSEN = {
  toward: { from: "looks at", to: "is looked at by" },
  shade: { head: "opened head", chosen: "chosen", max: "largest of all" },
  by: { weight: "weight", value: "weight × value" },
  show: { map: "map", lines: "lines" },
  rows: { position: "in order", weight: "heaviest first" },
};
const LABELS = {
  chars: "Text: arrow keys move, Enter locks, Escape releases",
  board: "All heads: arrow keys move, Enter locks, Shift + Enter adds, Escape releases",
  head: "One head: arrow keys move over the cells, Enter locks, Escape releases",
  lines: "Lines from queries, left, to keys, right",
  stages: "From scores to weights: left and right go from step to step",
  query: "The opened query, key by key",
};

export default component(mount, update);

function update(view, message) {
  if (view.fresh) receive(view, message);
  redraw(view, ...PARTS);
}

function receive(view, message) {
  view.header = message;
  const { pattern, norm, ...rest } = message.blocks;
  if (pattern) {
    const { tokens, layers: L, heads: H } = message;
    const T = tokens.length;
    view.board = { id: message.board, L, H, T, tri: (T * (T + 1)) / 2, tokens, pattern, norm };
    Object.assign(view, { details: new Map(), largest: null, hover: {}, reveal: true, began: performance.now() });
    showText(view);
  }
  for (const [name, values] of Object.entries(rest)) {
    const [head, part] = name.split(":");
    view.details.set(head, { ...view.details.get(head), [part]: values });
  }
  view.sequential = scaleOf(message.sequential);
  view.diverging = scaleOf(message.diverging);
  const given = JSON.stringify(message.view);
  if (!view.ui || (message.seq === null && given !== view.known)) {
    view.ui = parse(message.view);
    view.known = given;
  }
  refit(view);
  controls(view);
}

function refit(view) {
  view.ui = fit(view.ui, view.board, view.header);
  view.order = ordered(view.ui, view.board, view.header);
}

function set(view, change) {
  Object.assign(view.ui, change);
  refit(view);
  view.reveal = true;
  controls(view);
  redraw(view, ...PARTS);
  const now = written(view.ui);
  const told = JSON.stringify(now);
  if (told === view.known) return;
  view.known = told;
  const have = [view.board.id, ...[...view.details.keys()].map((head) => `${view.board.id}:${head}`)];
  view.trigger("act", { seq: ++view.seq, have, view: now });
}

// ---- what is looked at ----------------------------------------------------------------------------------------------

function mount(view) {
  Object.assign(view, questions(view), { several: false, room: ROOM, seq: 0, hover: {}, details: new Map() });
  Object.assign(view, { dirty: new Set(), paints: 0, rowsBy: "weight", stage: 4 });
  view.set = (change) => set(view, change);
  view.point = (hover) => point(view, hover);
  view.redraw = (...parts) => redraw(view, ...parts);
  view.chars = element("div", { class: "chars", tabindex: 0, role: "listbox", "aria-label": LABELS.chars });
  for (const name of ["board", "head", "stages"]) plot(view, name);
  for (const name of ["lines", "query"]) box(view, name);
  for (const name of ["said", "boardSaid", "headSaid", "stageSaid", "querySaid"])
    view[name] = element("p", { class: "readout", "aria-live": "polite" });
  view.on(view.stagesPlot, "keydown", ({ key }) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (by) goTo(view, Math.round(view.stage) + by);
  });
  view.on(matchMedia("(prefers-reduced-motion: reduce)"), "change", () => redraw(view, "query"));
  listen(view);
  view.resized(view.root, () => redraw(view, "board", "head", "query"));
}

// A plot is a canvas, and one above it for what the pointer marks; a box is a canvas that scrolls.
function plot(view, name) {
  view[`${name}Base`] = element("canvas", { class: "base" });
  view[`${name}Over`] = element("canvas", { class: "over" });
  const about = { class: "plot", tabindex: 0, role: "application", "aria-label": LABELS[name] };
  view[`${name}Plot`] = element("div", about, view[`${name}Base`], view[`${name}Over`]);
}

function box(view, name) {
  view[`${name}Base`] = element("canvas", { class: "base" });
  view[`${name}Space`] = element("div", { class: "space" }, view[`${name}Base`]);
  const about = { class: `box ${name}`, tabindex: 0, role: "application", "aria-label": LABELS[name] };
  view[`${name}Box`] = element("div", about, view[`${name}Space`]);
}

// What the drawings and the words ask about a board.
function questions(view) {
  const weight = (head, q, k) =>
    k > q ? 0 : view.board.pattern[head * view.board.tri + (q * (q + 1)) / 2 + k] / 65535;
  const given = (head, q, k) => weight(head, q, k) * view.board.norm[head * view.board.T + k];
  const chosen = () => view.ui.heads.map(view.indexOf);
  const top = () => (view.largest ??= largestGiven(view.board));
  return {
    weight,
    given,
    chosen,
    top,
    nameOf: (head) => nameOf(head, view.board.H),
    indexOf: (name) => indexOf(name, view.board.H),
    opened: () => view.ui.heads.at(-1),
    shownHeads: () => (view.hover.head === undefined ? chosen() : [view.hover.head]),
    share: (head, q, k) => (view.ui.by === "value" ? given(head, q, k) / top() : weight(head, q, k)),
    colourOf(head) {
      const at = chosen().indexOf(head);
      if (at < 0) return head === view.hover.head ? view.theme.accent : null;
      return colourAt(view.theme, at);
    },
    focus() {
      const { hover, ui, board } = view;
      const at = hover.at ?? ui.query ?? board.T - 1;
      return { at, toward: hover.toward ?? ui.toward, locked: hover.at !== undefined || ui.query !== null };
    },
    labelOf(head) {
      const key = view.header.about?.[view.nameOf(head)].label;
      if (!key) return null;
      const title = view.header.kinds.find((kind) => kind.key === key)?.title ?? MIXED;
      return { key, title, short: key === "mixed" ? "mixed" : title.replace(/ (character|start|name)$/, "") };
    },
  };
}

function largestGiven({ L, H, T, tri, pattern, norm }) {
  let most = 1e-9;
  for (let head = 0; head < L * H; head++)
    for (let q = 0, at = head * tri; q < T; q++)
      for (let k = 0; k <= q; k++, at++) most = Math.max(most, (pattern[at] / 65535) * norm[head * T + k]);
  return most;
}

function point(view, hover) {
  const before = view.hover;
  const same = ["head", "at", "toward", "query", "key", "row", "dim"].every((name) => before[name] === hover[name]);
  if (same) return;
  view.hover = hover;
  view.hoverBegan ??= performance.now();
  const head = before.head !== hover.head || view.ui.show === "lines" ? ["head"] : [];
  redraw(view, ...head, "marks", "text", "query", "boardmarks");
}

// ---- the page's parts -----------------------------------------------------------------------------------------------

const isShown = ({ header }, name) => header.parts.includes(name) && (name !== "query" || header.opens);

function controls(view) {
  const { ui, root, board } = view;
  const choose = (name) => {
    const chosen = (value) => (name === "rows" ? sortRows(view, value) : set(view, { [name]: value }));
    return choice(name, HELP[name], CHOSEN[name], name === "rows" ? view.rowsBy : ui[name], chosen);
  };
  const row = (part, table) => savers(view, () => fileName(view, part), { picture: () => picture(view, part), table });
  const line = (words, ...parts) => html`<div class="line"><span>${words}</span>${parts}</div>`;
  const toggleSeveral = () => {
    view.several = !view.several;
    controls(view);
  };
  const several = button("Several", HELP.several, toggleSeveral, { pressed: view.several });
  const switches = html`${line("Heads", sortMenu(view), onlyMenu(view))}${line("Opened", choose("show"), several)}
    ${line("Weights", choose("by"))}${line("A letter", choose("toward"))}${line("Text shaded by", choose("shade"))}`;
  const section = (name, ...parts) => html`<section class=${name} ?hidden=${!isShown(view, name)}>${parts}</section>`;
  const bar = (...parts) => html`<div class="bar">${parts}</div>`;
  const heads = bar(
    html`<strong>All heads</strong>`,
    html`<span class="view">${disclosed("View", HELP.view, switches)}</span>`,
    row("board", () => headsTable(view)),
  );
  view.headTitle ??= element("strong");
  view.queryTitle ??= element("strong");
  const head = bar(
    view.headTitle,
    row("head", () => weightsTable(view)),
  );
  const query = bar(
    view.queryTitle,
    choose("rows"),
    row("query", () => queryTable(view)),
  );
  view.stageBar ??= element("div", { class: "bar steps" });
  const content = html`<div class="two">${section("board", heads, view.boardPlot, view.boardSaid)}
    ${section("head", head, view.headPlot, view.linesBox, view.headSaid, legend(view))}</div>
    ${section("text", bar(html`<strong>The text</strong>`), view.chars, view.said)}
    ${section("query", query, view.stageBar, view.stagesPlot, view.stageSaid, view.queryBox, view.querySaid)}`;
  render(content, root);
  const locked = { heads: ui.heads.join(","), query: ui.query ?? "", mode: written(ui).mode ?? "" };
  Object.assign(root.dataset, { board: board.id, ...locked, details: [...view.details.keys()].join(",") });
}

function sortRows(view, rowsBy) {
  view.rowsBy = rowsBy;
  controls(view);
  redraw(view, "query");
}

function sortMenu(view) {
  const { about, kinds = [], prices } = view.header;
  const price = prices ? { price: "price, dearest first" } : {};
  const named = Object.fromEntries(kinds.map(({ key, title }) => [key, title]));
  const options = { layer: "layer and head", ...(about ? SORTS : {}), ...price, ...named };
  return menu("Sort", HELP.sort, options, view.ui.sort, (sort) => set(view, { sort }), Object.keys(options).length < 2);
}

function onlyMenu(view) {
  const { about = {}, kinds = [] } = view.header;
  const used = new Set(Object.values(about).map(({ label }) => label));
  const all = [...kinds, { key: "mixed", title: MIXED }].filter(({ key }) => used.has(key));
  const options = { all: "all heads", ...Object.fromEntries(all.map(({ key, title }) => [key, title])) };
  return menu("Show", HELP.only, options, view.ui.only, (only) => set(view, { only }), Object.keys(options).length < 2);
}

function legend(view) {
  const value = view.ui.by === "value";
  const colours = view.sequential.css.filter((_, i) => i % 15 === 0).join(",");
  const top = value ? view.top() : 1;
  const high = `${fixed(top, 2)}; the middle of the band is ${fixed(top / 4, 2)}`;
  return html`<div class="legend">${value ? "weight × ‖v W_O‖" : "weight"}${colourKey("0", colours, high)}</div>`;
}

// ---- from scores to weights, step by step ---------------------------------------------------------------------------

function play(view) {
  const began = performance.now();
  view.playing = began;
  const tick = (now) => {
    if (view.playing !== began || !view.root.isConnected) return;
    const { at, over } = played(0, now - began, 4);
    view.stage = at;
    if (over) view.playing = null;
    paintStages(view);
    if (!over) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

function goTo(view, stage) {
  Object.assign(view, { stage: Math.max(0, Math.min(4, stage)), playing: null });
  paintStages(view);
}

function paintStages(view) {
  const o = view.openQuery;
  for (const node of [view.stageBar, view.stagesPlot, view.stageSaid]) node.hidden = !o;
  if (!o) return;
  const all = stages(o);
  const now = Math.round(view.stage);
  const step = ({ name }, n) => button(name, null, () => goTo(view, n), { pressed: n === now });
  const bar = html`<strong>Scores to weights</strong>
    <span class="choice" role="group" aria-label="step" title=${HELP.step}>${all.map(step)}</span>
    ${still() ? "" : button("Play", HELP.play, () => play(view))}`;
  render(bar, view.stageBar);
  const width = view.stagesPlot.clientWidth;
  view.stagesPlot.style.height = `${stagesHeight}px`;
  drawStages(canvasPen(view.stagesBase, width, stagesHeight), view, o, view.stage, width);
  const heaviest = `Heaviest key ${quoted(view, all[now].key)}`;
  view.stageSaid.textContent = `${now + 1} of ${all.length}. ${heaviest}. ${all[now].says}`;
  view.root.dataset.stage = view.stage.toFixed(2);
}

function showText(view) {
  const letter = (token, i) => {
    const spoken = { "\n": "new line", " ": "space" }[token] ?? (/^\s$/.test(token) ? "space" : nothing);
    const [kind, shown] = token === "\n" ? ["break", "↵"] : ["", token === " " ? token : visible(token)];
    return html`<span data-at=${i} role="option" id="${view.header.key}-${i}" class=${kind}
      title=${hint(token) ?? nothing} aria-label=${spoken}>${shown}</span>${token === "\n" ? html`<br>` : ""}`;
  };
  render(view.board.tokens.map(letter), view.chars);
  view.spans = [...view.chars.querySelectorAll("span")];
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function redraw(view, ...parts) {
  for (const part of parts) view.dirty.add(part);
  view.soon(paint);
}

function paint(view) {
  if (!view.board || !view.root.clientWidth) return;
  const { dirty, ui } = view;
  view.dirty = new Set();
  const wanted = (section, ...parts) => isShown(view, section) && parts.some((part) => dirty.has(part));
  if (wanted("text", "text")) paintText(view);
  if (wanted("board", "board")) {
    const g = boardGeometry(view, view.boardPlot.clientWidth);
    view.boardG = g;
    view.boardPlot.style.height = `${g.height + 3}px`;
    drawBoard(canvasPen(view.boardBase, g.width, g.height), view, g);
  }
  if (wanted("board", "board", "boardmarks")) {
    const g = view.boardG;
    drawBoardMarks(canvasPen(view.boardOver, g.width, g.height), view, g);
    view.boardSaid.textContent = sayHead(view);
  }
  if (wanted("head", "head")) paintHeadView(view);
  if (wanted("head", "head", "marks")) {
    const g = view.mapG;
    if (ui.show === "map") drawMapMarks(canvasPen(view.headOver, g.width, g.height), view, g);
    view.headSaid.textContent = sayCell(view);
  }
  if (wanted("query", "query")) paintQuery(view);
  const now = performance.now();
  const { dataset } = view.root;
  dataset.paints = ++view.paints;
  if (view.began) [dataset.took, view.began] = [(now - view.began).toFixed(1), null];
  if (view.hoverBegan) [dataset.hoverTook, view.hoverBegan] = [(now - view.hoverBegan).toFixed(1), null];
  dataset.focus = view.focus().at;
  dataset.shown = view.shownHeads().map(view.nameOf).join(",");
}

function paintText(view) {
  const { ui, board, theme } = view;
  const { at, toward, locked } = view.focus();
  const hovered = view.hover.head !== undefined;
  const most = !hovered && ui.shade === "max";
  const every = () => Array.from({ length: board.L * board.H }, (_, head) => head);
  const asked = ui.shade === "head" ? [view.indexOf(view.opened())] : most ? every() : view.chosen();
  const heads = hovered ? [view.hover.head] : asked;
  const colours = heads.map((head) => (most ? null : view.colourOf(head)) ?? theme.accent);
  const tint = (part, n) => {
    const strength = (75 * Math.sqrt(Math.min(1, part))).toFixed(1);
    return `color-mix(in srgb, ${colours[n]} ${strength}%, transparent)`;
  };
  for (const [i, span] of view.spans.entries()) {
    const [q, k] = toward === "from" ? [at, i] : [i, at];
    const each = k > q ? [] : heads.map((head) => view.share(head, q, k));
    const parts = most && each.length ? [Math.max(...each)] : each;
    const band = (part, n) => `${tint(part, n)} ${(100 * n) / parts.length}% ${(100 * (n + 1)) / parts.length}%`;
    const gradient = parts.length > 1 ? `linear-gradient(${parts.map(band).join(",")})` : "";
    span.style.background = parts.length === 1 ? tint(parts[0], 0) : gradient;
    span.classList.toggle("later", k > q);
    span.classList.toggle("here", i === at);
    span.setAttribute("aria-selected", i === ui.query);
  }
  view.chars.setAttribute("aria-activedescendant", view.spans[at]?.id ?? "");
  view.said.textContent = sayText(view, heads, at, toward, locked);
}

function paintHeadView(view) {
  const lines = view.ui.show === "lines";
  view.headPlot.hidden = lines;
  view.linesBox.hidden = !lines;
  const heads = view.shownHeads();
  const names = heads.map((head) => {
    const label = heads.length < 3 ? view.labelOf(head) : null;
    const [layer, number] = view.nameOf(head).split(".");
    const place = heads.length < 3 ? `Layer ${layer}, head ${number}` : view.nameOf(head);
    const words = `${place}${label ? `: ${label.title}` : ""}`;
    return html`<span class="name" style="--c: ${view.colourOf(head)}">${words}</span>`;
  });
  render(names, view.headTitle);
  if (lines) return paintLines(view);
  const g = mapGeometry(view, view.headPlot.clientWidth);
  view.mapG = g;
  view.headPlot.style.height = `${g.height}px`;
  drawMap(canvasPen(view.headBase, g.width, g.height), view, g);
}

function paintLines(view) {
  const g = linesGeometry(view, view.linesBox.clientWidth);
  view.linesG = g;
  view.linesSpace.style.height = `${g.height}px`;
  const high = Math.min(view.linesBox.clientHeight, g.height);
  const from = view.focus().at * LINE;
  const hidden = from < view.linesBox.scrollTop || from + LINE > view.linesBox.scrollTop + high;
  if (view.reveal && hidden) view.linesBox.scrollTop = from - 0.7 * high;
  view.reveal = false;
  drawLines(canvasPen(view.linesBase, g.width, high), view, g, view.linesBox.scrollTop, high);
}

function paintQuery(view) {
  const [name, { at }] = [view.opened(), view.focus()];
  const parts = view.details.get(name);
  const o = parts ? openQuery(parts, at, view.board.T, view.rowsBy === "weight") : null;
  view.openQuery = o;
  paintStages(view);
  view.queryTitle.textContent = `Query ${quoted(view, at)} of head ${name}, opened`;
  if (!o) {
    const saved = "This saved page holds the parts of the heads that were chosen; choose one of those.";
    view.querySaid.textContent = view.header.saved ? saved : "Fetching the head’s queries, keys and values.";
    return;
  }
  const g = queryGeometry(view, view.queryBox.clientWidth, o.D);
  view.queryG = g;
  Object.assign(view.querySpace.style, { height: `${g.height}px`, width: `${g.width}px` });
  const high = Math.min(view.queryBox.clientHeight, g.height);
  drawQuery(canvasPen(view.queryBase, g.width, high), view, g, o, view.queryBox.scrollTop, high);
  view.querySaid.textContent = sayQuery(view, o);
  view.root.dataset.opened = `${name}@${o.t}`;
}
