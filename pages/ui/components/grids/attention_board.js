// The attention board: what is hovered, what is locked, and who draws what. Messages are described in the .py file.
// One rule everywhere: what is looked at is what is hovered, else what is locked.

import { hint, visible } from "../shared/characters.js";
import { scaleOf } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { button, colourKey, element, fillOptions, menu } from "../shared/dom.js";
import { fixed } from "../shared/format.js";
import { canvasPen } from "../shared/pens.js";
import { savers } from "../shared/saving.js";
import { colourAt, still } from "../shared/theme.js";
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
  showControls(view);
}

function refit(view) {
  view.ui = fit(view.ui, view.board, view.header);
  view.order = ordered(view.ui, view.board, view.header);
}

function set(view, change) {
  Object.assign(view.ui, change);
  refit(view);
  view.reveal = true;
  showControls(view);
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
  Object.assign(view, {
    seq: 0,
    hover: {},
    details: new Map(),
    dirty: new Set(),
    paints: 0,
    rowsBy: "weight",
    stage: 4,
  });
  Object.assign(view, questions(view), { several: false, room: ROOM });
  view.set = (change) => set(view, change);
  view.point = (hover) => point(view, hover);
  view.redraw = (...parts) => redraw(view, ...parts);
  build(view);
  view.resized(view.root, () => redraw(view, "board", "head", "query"));
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
      return { key, title, short: key === "mixed" ? "mixed" : title.replace(" character", "") };
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

function choice(view, name, options) {
  const chosen = (value) => {
    if (name !== "rows") return set(view, { [name]: value });
    view.rowsBy = value;
    showControls(view);
    redraw(view, "query");
  };
  const one = ([value, label]) => button(label, null, () => chosen(value), { "data-value": value });
  const about = { class: "choice", role: "group", "aria-label": name, title: HELP[name], "data-name": name };
  return element("span", about, ...Object.entries(options).map(one));
}

// A plot is a canvas, and one above it for what the pointer marks; a box is a canvas that scrolls.
function plot(view, name, label) {
  view[`${name}Base`] = element("canvas", { class: "base" });
  view[`${name}Over`] = element("canvas", { class: "over" });
  const about = { class: "plot", tabindex: 0, role: "application", "aria-label": label };
  view[`${name}Plot`] = element("div", about, view[`${name}Base`], view[`${name}Over`]);
  return view[`${name}Plot`];
}

function box(view, name, label) {
  view[`${name}Base`] = element("canvas", { class: "base" });
  view[`${name}Space`] = element("div", { class: "space" }, view[`${name}Base`]);
  const about = { class: `box ${name}`, tabindex: 0, role: "application", "aria-label": label };
  view[`${name}Box`] = element("div", about, view[`${name}Space`]);
  return view[`${name}Box`];
}

function build(view) {
  const readout = (name) => (view[name] = element("p", { class: "readout", "aria-live": "polite" }));
  const title = (words) => element("strong", {}, words);
  const bar = (...parts) => element("div", { class: "bar" }, ...parts);
  const row = (part, table) => savers(view, () => fileName(view, part), { picture: () => picture(view, part), table });
  const chars = "Text: arrow keys move, Enter locks, Escape releases";
  view.chars = element("div", { class: "chars", tabindex: 0, role: "listbox", "aria-label": chars });
  view.severalButton = button("Several", HELP.several, () => {
    view.several = !view.several;
    showControls(view);
  });
  view.sort = menu("Sort", HELP.sort, {}, "", (sort) => set(view, { sort }));
  view.only = menu("Show", HELP.only, {}, "", (only) => set(view, { only }));
  view.headTitle = element("strong");
  view.queryTitle = element("strong");
  view.legend = element("div", { class: "legend" });
  const toward = choice(view, "toward", { from: "looks at", to: "is looked at by" });
  const shade = choice(view, "shade", { head: "opened head", chosen: "chosen", max: "largest of all" });
  const by = choice(view, "by", { weight: "weight", value: "weight × value" });
  const show = choice(view, "show", { map: "map", lines: "lines" });
  const rows = choice(view, "rows", { position: "in order", weight: "heaviest first" });
  const section = (name, ...parts) => element("section", { class: name }, ...parts);
  const line = (words, ...parts) => element("div", { class: "line" }, element("span", {}, words), ...parts);
  view.switches = element(
    "details",
    { class: "view" },
    element("summary", { title: HELP.view }, "View"),
    element(
      "div",
      { class: "panel" },
      line("Heads", view.sort, view.only),
      line("Opened", show, view.severalButton),
      line("Weights", by),
      line("A letter", toward),
      line("Text shaded by", shade),
    ),
  );
  view.on(document, "pointerdown", (event) => {
    if (!event.composedPath().includes(view.switches)) view.switches.open = false;
  });
  view.on(view.switches, "keydown", (event) => {
    if (event.key !== "Escape" || !view.switches.open) return;
    view.switches.open = false;
    view.switches.querySelector("summary").focus();
    event.stopPropagation();
  });
  const stagesKeys = { ArrowRight: 1, ArrowLeft: -1 };
  view.sections = {
    text: section("text", bar(title("The text")), view.chars, readout("said")),
    board: section(
      "board",
      bar(
        title("All heads"),
        view.switches,
        row("board", () => headsTable(view)),
      ),
      plot(view, "board", "All heads: arrow keys move, Enter locks, Shift + Enter adds, Escape releases"),
      readout("boardSaid"),
    ),
    head: section(
      "head",
      bar(
        view.headTitle,
        row("head", () => weightsTable(view)),
      ),
      plot(view, "head", "One head: arrow keys move over the cells, Enter locks, Escape releases"),
      box(view, "lines", "Lines from queries, left, to keys, right"),
      readout("headSaid"),
      view.legend,
    ),
    query: section(
      "query",
      bar(
        view.queryTitle,
        rows,
        row("query", () => queryTable(view)),
      ),
      stageBar(view),
      plot(view, "stages", "From scores to weights: left and right go from step to step"),
      readout("stageSaid"),
      box(view, "query", "The opened query, key by key"),
      readout("querySaid"),
    ),
  };
  view.on(view.stagesPlot, "keydown", (event) => {
    if (event.key in stagesKeys) goTo(view, Math.round(view.stage) + stagesKeys[event.key]);
  });
  const { board, head, text, query } = view.sections;
  view.root.replaceChildren(element("div", { class: "two" }, board, head), text, query);
  listen(view);
}

// ---- from scores to weights, step by step ---------------------------------------------------------------------------

function stageBar(view) {
  view.stageButtons = element("span", { class: "choice", role: "group", "aria-label": "step", title: HELP.step });
  view.play = button("Play", HELP.play, () => play(view));
  view.on(matchMedia("(prefers-reduced-motion: reduce)"), "change", () => redraw(view, "query"));
  return element(
    "div",
    { class: "bar steps" },
    element("strong", {}, "Scores to weights"),
    view.stageButtons,
    view.play,
  );
}

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
  for (const node of [view.stageButtons.parentElement, view.stagesPlot, view.stageSaid]) node.hidden = !o;
  if (!o) return;
  const all = stages(o);
  const now = Math.round(view.stage);
  if (view.stageButtons.childElementCount !== all.length || view.stageWidth !== o.D) {
    view.stageWidth = o.D;
    view.stageButtons.replaceChildren(...all.map(({ name }, n) => button(name, null, () => goTo(view, n))));
  }
  for (const [n, node] of [...view.stageButtons.children].entries()) node.setAttribute("aria-pressed", n === now);
  view.play.hidden = still();
  const width = view.stagesPlot.clientWidth;
  view.stagesPlot.style.height = `${stagesHeight}px`;
  drawStages(canvasPen(view.stagesBase, width, stagesHeight), view, o, view.stage, width);
  const heaviest = `Heaviest key ${quoted(view, all[now].key)}`;
  view.stageSaid.textContent = `${now + 1} of ${all.length}. ${heaviest}. ${all[now].says}`;
  view.root.dataset.stage = view.stage.toFixed(2);
}

function showText(view) {
  const made = view.board.tokens.flatMap((token, i) => {
    const about = { "data-at": i, role: "option", id: `${view.header.key}-${i}`, title: hint(token) };
    if (/^\s$/.test(token)) about["aria-label"] = token === "\n" ? "new line" : "space";
    if (token === "\n") return [element("span", { ...about, class: "break" }, "↵"), element("br")];
    return [element("span", about, token === " " ? token : visible(token))];
  });
  view.chars.replaceChildren(...made);
  view.spans = made.filter((node) => node.dataset.at);
}

function showControls(view) {
  const { ui, header, root, board } = view;
  for (const [name, section] of Object.entries(view.sections))
    section.hidden = !header.parts.includes(name) || (name === "query" && !header.opens);
  for (const node of root.querySelectorAll(".choice button")) {
    const { name } = node.parentElement.dataset;
    node.setAttribute("aria-pressed", (name === "rows" ? view.rowsBy : ui[name]) === node.dataset.value);
  }
  view.severalButton.setAttribute("aria-pressed", view.several);
  const kinds = (header.kinds ?? []).map(({ key, title }) => [key, title]);
  const used = new Set(Object.values(header.about ?? {}).map(({ label }) => label));
  const price = header.prices ? { price: "price, dearest first" } : {};
  const sorts = { layer: "layer and head", ...(header.about ? SORTS : {}), ...price, ...Object.fromEntries(kinds) };
  const mixed = used.has("mixed") ? { mixed: MIXED } : {};
  const labels = Object.fromEntries(kinds.filter(([key]) => used.has(key)));
  fillMenu(view.sort, sorts, ui.sort);
  fillMenu(view.only, { all: "all heads", ...labels, ...mixed }, ui.only);
  const locked = { heads: ui.heads.join(","), query: ui.query ?? "", mode: written(ui).mode ?? "" };
  Object.assign(root.dataset, { board: board.id, ...locked, details: [...view.details.keys()].join(",") });
  const colours = view.sequential.css.filter((_, i) => i % 15 === 0).join(",");
  const top = ui.by === "value" ? view.top() : 1;
  const words = ui.by === "value" ? "weight × ‖v W_O‖" : "weight";
  view.legend.replaceChildren(
    words,
    colourKey("0", colours, `${fixed(top, 2)}; the middle of the band is ${fixed(top / 4, 2)}`),
  );
}

function fillMenu(label, options, value) {
  const select = label.querySelector("select");
  const signature = JSON.stringify(options);
  if (label.signature !== signature) fillOptions(select, options);
  label.signature = signature;
  label.hidden = select.length < 2;
  select.value = value;
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function redraw(view, ...parts) {
  for (const part of parts) view.dirty.add(part);
  view.request ??= requestAnimationFrame(() => {
    view.request = null;
    if (view.board && view.root.clientWidth) paint(view);
  });
}

function paint(view) {
  const { dirty, sections, ui } = view;
  view.dirty = new Set();
  const wanted = (section, ...parts) => !sections[section].hidden && parts.some((part) => dirty.has(part));
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
    return element("span", { class: "name", style: `--c: ${view.colourOf(head)}` }, words);
  });
  view.headTitle.replaceChildren(...names);
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
