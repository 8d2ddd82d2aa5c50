// From logits to a character. The logits are here: temperature and cuts are worked out in the browser, and nothing is
// asked of the server until a character is appended.
import { asked, mirror } from "../shared/address.js";
import { drawn, hint, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { button, clamp, element, menu, shape, slider } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { distribution, fallsInto } from "../shared/sampling.js";
import { savers } from "../shared/saving.js";
import { niceValues, scale } from "../shared/scales.js";
import { colourAt } from "../shared/theme.js";

const HEIGHT = 300;
const PLOT = { top: 62, bottom: 268, left: 46, right: 8 };
const SHOWN_TERMS = 4; // of a sum of exponentials
const ORDERS = { likely: "likeliest first", alphabet: "alphabet" };
const Y_AXES = { linear: "linear", log: "log" };

export default component(mount, update);

function mount(view, data) {
  Object.assign(view, { data, ui: initial(data), hover: null, note: "" });
  view.controls = element("div", { class: "bar" });
  view.chart = element("div", { class: "chart", tabindex: 0, role: "listbox" });
  view.chart.ariaLabel = "Probability of each character";
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.actions = element("div", { class: "bar" });
  view.tree = element("div", { class: "tree" });
  const plot = element("div", { class: "scroll" }, view.chart);
  view.root.append(view.controls, plot, view.detail, view.actions, view.tree);
  buildControls(view);
  buildChart(view);
  view.resized(view.root, () => draw(view));
}

function initial({ settings, characters }) {
  const locked = characters.indexOf(asked("character") ?? "\0");
  const either = (name, other, usual) => (asked(name) === other ? other : usual);
  const ui = { order: either("order", "alphabet", "likely"), y: either("y", "log", "linear") };
  for (const { name, low, high, initial: usual } of settings) {
    const value = Number(asked(name) ?? usual);
    ui[name] = Number.isFinite(value) ? clamp(value, low, high) : usual;
  }
  return { ...ui, locked: locked < 0 ? null : locked };
}

function update(view, data) {
  const other = data.text !== view.data.text || data.model !== view.data.model;
  if (other) view.ui.locked = null; // another prediction
  view.data = data;
  view.logits = data.logits;
  view.busy = false;
  buildActions(view);
  buildTree(view);
  changed(view);
  requestAnimationFrame(() => view.chart.classList.add("moves")); // not at first
}

function changed(view) {
  const { ui, data } = view;
  const params = { order: ui.order === "likely" ? null : ui.order, y: ui.y === "linear" ? null : ui.y };
  for (const { name, initial: usual } of data.settings) params[name] = ui[name] === usual ? null : String(ui[name]);
  params.character = ui.locked === null ? null : data.characters[ui.locked];
  mirror(view, params);
  view.found = distribution(view.logits, ui.temperature, ui.top_k, ui.top_p);
  draw(view);
}

// ---- the bars -------------------------------------------------------------------------------------------------------

function buildChart(view) {
  view.svg = shape("svg", { height: HEIGHT, "font-size": 11 });
  view.axis = shape("g", { "pointer-events": "none" });
  view.line = shape("g", { "pointer-events": "none" });
  view.bars = view.data.characters.map((character, id) => {
    const hit = shape("rect", { class: "screen-only", y: 0, height: HEIGHT, fill: "transparent" });
    const ghost = shape("rect", { class: "ghost", fill: "none", "stroke-width": 1 });
    const bar = shape("rect", { class: "solid" });
    const name = shape("text", { "text-anchor": "middle", y: PLOT.bottom + 18, "font-size": 13 }, drawn(character));
    const value = shape("text", { class: "value", "text-anchor": "start", "font-size": 10 });
    const title = hint(character) ? [shape("title", { class: "screen-only" }, hint(character))] : [];
    const group = shape(
      "g",
      { class: "bar-of", role: "option", id: `option-${id}` },
      ...title,
      hit,
      ghost,
      bar,
      name,
      " ",
      value,
    );
    group.dataset.id = id;
    return { group, hit, ghost, bar, name, value };
  });
  view.svg.append(view.axis, ...view.bars.map((bar) => bar.group), view.line);
  view.chart.append(view.svg);
  const at = (event) => {
    const id = event.target.closest?.(".bar-of")?.dataset.id;
    return id === undefined ? null : Number(id);
  };
  view.on(view.chart, "pointermove", (event) => hovered(view, at(event)));
  view.on(view.chart, "pointerleave", () => hovered(view, null));
  view.on(view.chart, "click", (event) => at(event) !== null && lock(view, at(event)));
  view.on(view.chart, "dblclick", (event) => at(event) !== null && append(view, at(event)));
  view.on(view.chart, "keydown", (event) => pressed(view, event));
}

function hovered(view, id) {
  if (id === view.hover) return;
  view.hover = id;
  mark(view);
}

function lock(view, id) {
  view.ui.locked = view.ui.locked === id ? null : id;
  view.note = "";
  mirror(view, { character: view.ui.locked === null ? null : view.data.characters[view.ui.locked] });
  mark(view);
}

function pressed(view, event) {
  const { locked } = view.ui;
  const order = sequence(view);
  const at = order.indexOf(locked ?? order[0]);
  const right = locked === null ? 0 : at + 1;
  const to = { ArrowRight: right, ArrowLeft: at - 1, Home: 0, End: order.length - 1 }[event.key];
  if (event.key === "Enter") append(view, locked ?? view.found.best);
  else if (event.key === "Backspace") back(view);
  else if (event.key === "Escape") locked !== null && lock(view, locked);
  else if (to !== undefined) {
    const id = order[clamp(to, 0, order.length - 1)];
    if (id !== locked) lock(view, id);
  } else return;
  event.preventDefault();
}

function sequence({ data, ui, found }) {
  const ids = data.characters.map((_, id) => id);
  return ui.order === "alphabet" ? ids : ids.sort((a, b) => found.rank[a] - found.rank[b]);
}

// How the axis goes from a probability to pixels of height.
function heights({ ui, found }) {
  const shown = [...found.probs, ...found.whole].filter((p) => p > 0);
  const log = ui.y === "log";
  const floor = 10 ** Math.floor(Math.log10(Math.max(1e-12, Math.min(...shown))));
  const { px } = scale([log ? floor : 0, log ? 1 : Math.max(...shown)], 0, PLOT.bottom - PLOT.top, log);
  const height = (p) => (p > 0 ? Math.max(0.5, px(Math.max(p, log ? floor : 0))) : 0);
  return { log, floor, top: log ? 1 : Math.max(...shown), height };
}

function draw(view) {
  const { data, found, theme } = view;
  if (!found) return;
  const V = data.characters.length;
  const width = Math.max(Math.floor(view.root.clientWidth), Math.ceil(11.5 * V) + PLOT.left + PLOT.right);
  const each = (width - PLOT.left - PLOT.right) / V;
  view.svg.setAttribute("width", width);
  view.svg.setAttribute("font-family", theme.font);
  const axis = heights(view);
  const order = sequence(view);
  for (const [at, id] of order.entries()) drawBar(view, id, PLOT.left + at * each, each, axis.height);
  drawAxis(view, width, axis);
  drawCut(view, order, each, axis.height, width);
  const kept = found.cut.filter((cut) => !cut).length;
  view.root.dataset.kept = kept;
  view.count.textContent = `${kept === V ? `all ${V}` : `${kept} of ${V}`} characters can be drawn`;
  mark(view);
}

function drawBar(view, id, left, each, height) {
  const { found, theme, data } = view;
  const { group, hit, ghost, bar, name, value } = view.bars[id];
  const [p, before, cut] = [found.probs[id], found.whole[id], found.cut[id]];
  const put = (node, attributes) => {
    for (const [attribute, content] of Object.entries(attributes)) node.setAttribute(attribute, content);
  };
  const box = (h) => ({ x: each * 0.14, width: each * 0.72, y: PLOT.bottom - h, height: h });
  group.style.transform = `translate(${left.toFixed(2)}px,0px)`;
  put(hit, { width: each });
  put(bar, { ...box(height(p)), fill: colourAt(theme, 0) });
  const dashed = { stroke: theme.text, "stroke-opacity": 0.35, "stroke-dasharray": "2 2" };
  put(ghost, { ...box(height(cut ? before : 0)), ...dashed });
  put(name, { x: each / 2, fill: theme.text, "font-family": theme.mono });
  const y = PLOT.bottom - Math.max(height(p), cut ? height(before) : 0) - 5;
  const turned = cut ? `translate(${each / 2 - 3} ${y})` : `translate(${each / 2 + 3.5} ${y}) rotate(-90)`;
  put(value, { transform: turned, fill: theme.text, "fill-opacity": cut ? 0.45 : 0.85 });
  value.textContent = chance(cut ? 0 : p);
  group.dataset.p = p;
  const [seen, said] = [drawn(data.characters[id]), spelled(data.characters[id])];
  const known = `${said === seen ? "" : `, ${said}`}${cut ? `, ${chance(p)} cut by ${cut}` : ""}`;
  group.ariaLabel = `${seen} ${value.textContent}${known}`; // what is read begins with what is seen
}

function drawAxis(view, width, { log, floor, top, height }) {
  const { theme } = view;
  const decades = Math.round(-Math.log10(floor));
  const every = Math.ceil(decades / 4);
  const powers = Array.from({ length: Math.floor(decades / every) + 1 }, (_, i) => 10 ** (-i * every));
  const marks = (log ? powers : niceValues(0, top, 4)).flatMap((tick) => {
    const y = PLOT.bottom - (log && tick === floor ? 0 : height(tick));
    const words = !log ? String(Number(tick.toPrecision(3))) : tick === 1 ? "1" : tick.toExponential(0);
    const label = { x: PLOT.left - 6, y: y + 4, "text-anchor": "end", fill: theme.text, "fill-opacity": 0.7 };
    const line = { x1: PLOT.left, x2: width - PLOT.right, y1: y, y2: y, stroke: theme.line };
    return [shape("line", line), shape("text", label, words)];
  });
  view.axis.replaceChildren(...marks);
}

// The cut is drawn where it falls: between two bars when they stand in order, else as the height that a bar must reach.
function drawCut(view, order, each, height, width) {
  const { found, ui, theme } = view;
  const reasons = [...new Set(found.cut.filter(Boolean))].sort();
  if (!reasons.length || ui.temperature === 0) return view.line.replaceChildren();
  const topK = `top-k: the ${ui.top_k} likeliest`;
  const topP = `top-p: at least ${ui.top_p} of the probability`;
  const words = reasons.map((reason) => (reason === "top-k" ? topK : topP)).join(", ");
  const style = { stroke: theme.accent, "stroke-width": 1.5, "stroke-dasharray": "5 3" };
  const kept = order.filter((id) => !found.cut[id]);
  const say = (x, y, anchor) => shape("text", { x, y, fill: theme.accent, "text-anchor": anchor }, words);
  if (ui.order === "likely") {
    const x = PLOT.left + kept.length * each;
    const right = x < width / 2;
    const line = shape("line", { x1: x, x2: x, y1: 6, y2: PLOT.bottom + 24, ...style });
    view.line.replaceChildren(line, say(right ? x + 6 : x - 6, 16, right ? "start" : "end"));
  } else {
    const y = PLOT.bottom - height(Math.min(...kept.map((id) => found.whole[id])));
    const line = shape("line", { x1: PLOT.left, x2: width - PLOT.right, y1: y, y2: y, ...style });
    view.line.replaceChildren(line, say(width - PLOT.right, 16, "end"));
  }
}

function mark(view) {
  const { ui, theme, found } = view;
  const focus = view.hover ?? ui.locked ?? found.best;
  for (const [id, { group, bar, name }] of view.bars.entries()) {
    bar.setAttribute("fill", id === focus ? theme.accent : colourAt(theme, 0));
    bar.setAttribute("stroke", id === ui.locked ? theme.text : "none");
    name.setAttribute("font-weight", id === focus ? 700 : 400);
    name.setAttribute("fill", id === focus ? theme.accent : theme.text);
    group.setAttribute("aria-selected", id === ui.locked);
  }
  if (ui.locked === null) view.chart.removeAttribute("aria-activedescendant");
  else view.chart.setAttribute("aria-activedescendant", `option-${ui.locked}`);
  spell(view, focus);
  view.append.textContent = `Append ${drawn(view.data.characters[ui.locked ?? found.best])}`;
}

// ---- in words and numbers -------------------------------------------------------------------------------------------

const digits = (v) => (Number.isFinite(v) ? v.toFixed(4) : String(v));
const large = (v) => (v !== 0 && (v >= 1e5 || v < 0.001) ? v.toExponential(4) : v.toFixed(4));
const strong = (text) => element("b", {}, text);
const line = (...parts) => element("p", {}, ...parts);

function spell(view, id) {
  const { found, data, ui } = view;
  view.detail.dataset.character = data.characters[id];
  const lines = ui.temperature === 0 ? greedy(view, id) : [...logit(view, id), ...softmax(view, id)];
  if (ui.temperature && found.cut[id] !== "top-k" && ui.top_p < 1) lines.push(topP(view, id));
  if (view.note) lines.push(element("p", { class: "quiet" }, view.note));
  view.detail.replaceChildren(...lines);
}

const standing = ({ found, logits }, id) => `${found.rank[id] + 1} of ${logits.length} by likelihood`;

function greedy(view, id) {
  const { found, data, logits } = view;
  const other = `${spelled(data.characters[found.best])} has the largest logit and takes all: probability 0`;
  const verdict = id === found.best ? "it has the largest logit and takes all: probability 1" : other;
  const name = strong(spelled(data.characters[id]));
  return [
    line(name, ` has logit ${digits(logits[id])}, ${standing(view, id)}.`),
    line(`At temperature 0 nothing is drawn: ${verdict}.`),
  ];
}

function logit(view, id) {
  const { found, ui, data, logits } = view;
  const [name, value] = [strong(spelled(data.characters[id])), strong(`logit ${digits(logits[id])}`)];
  const divided = ` ÷ temperature ${ui.temperature.toFixed(2)} = `;
  return [line(name, " has ", value, divided, strong(digits(found.x[id])), `, ${standing(view, id)}.`)];
}

function softmax({ found, ui, data }, id) {
  if (found.cut[id] === "top-k") {
    const without = ` (without the cut ${chance(found.whole[id])}).`;
    return [line(`Top-k keeps the ${ui.top_k} likeliest: cut, probability `, strong("0"), without)];
  }
  const power = (i) => `exp(${digits(found.x[i])}${found.shift ? ` − ${digits(found.shift)}` : ""})`;
  const ids = data.characters.map((_, i) => i).filter((i) => found.cut[i] !== "top-k");
  const terms = ids.sort((a, b) => found.rank[a] - found.rank[b]);
  const shown = terms.slice(0, SHOWN_TERMS);
  const sum = shown.flatMap((i, at) => [at ? " + " : "", i === id ? strong(power(i)) : power(i)]);
  const more = terms.length - shown.length;
  const rest = more > 0 ? ` + ${more} more${shown.includes(id) ? "" : ", this one among them"}` : "";
  const quotient = `) = ${large(found.exps[id])} / ${large(found.sum)} = `;
  return [line("Softmax: ", strong(power(id)), " / (", ...sum, rest, quotient, strong(chance(found.soft[id])), ".")];
}

function topP({ found, ui }, id) {
  const likelier = `Top-p ${ui.top_p}: likelier ones hold ${chance(found.before[id])}`;
  if (found.cut[id]) return line(`${likelier}, which is enough: cut, probability `, strong("0"), ".");
  const quotient = `${chance(found.soft[id])} / ${chance(found.mass)} = `;
  const stays = `${likelier}, so it stays; the kept ones hold ${chance(found.mass)}: ${quotient}`;
  return line(stays, strong(chance(found.probs[id])), ".");
}

// ---- controls -------------------------------------------------------------------------------------------------------

function buildControls(view) {
  const { ui, data } = view;
  const set = (name) => (value) => {
    ui[name] = value;
    changed(view);
  };
  const off = { top_k: 0, top_p: 1 }; // where a cut cuts nothing
  const sliders = data.settings.map(({ name, label, low, high, step, help }) => {
    const words = (value) => (value === off[name] ? "off" : String(value));
    const code = name === label.toLowerCase() ? "" : name;
    return slider(label, help, { min: low, max: high, step, value: ui[name] }, words, set(name), code);
  });
  view.count = element("span", { class: "quiet" });
  view.controls.append(
    ...sliders,
    menu("order", "In which order the characters stand", ORDERS, ui.order, set("order")),
    menu("y axis", "The logarithm shows how small the small ones are", Y_AXES, ui.y, set("y")),
    view.count,
    savers(view, "next-character", { picture: () => view.svg, table: () => table(view) }),
  );
}

function buildActions(view) {
  const chosen = () => view.ui.locked ?? view.found.best;
  const one = "Draw a character with these probabilities and append it";
  const added = "Append the character shown below the bars (Enter, or double-click a bar)";
  const away = "Take the last character away again; the branch stays in the list (Backspace)";
  view.append = button("", added, () => append(view, chosen()));
  view.actions.replaceChildren(
    button("Draw one", one, () => drawOne(view), { class: "first" }),
    view.append,
    button("Back one", away, () => back(view), view.data.can_go_back ? {} : { disabled: "" }),
  );
}

function table({ data, logits, found, ui }) {
  const head = ["character", "logit", "logit_over_temperature", "cut_by", "probability", "rank"];
  const row = (c, id) => {
    const divided = ui.temperature ? found.x[id] : "";
    return [visible(c), logits[id], divided, found.cut[id] ?? "", found.probs[id], found.rank[id] + 1];
  };
  return [head, ...data.characters.map(row)];
}

function drawOne(view) {
  const u = Math.random();
  const { taken, from, to } = fallsInto(view.found.probs, sequence(view), u);
  const stretch = `its stretch from ${from.toFixed(4)} to ${to.toFixed(4)}`;
  append(
    view,
    taken,
    `Drew ${spelled(view.data.characters[taken])}: the random number ${u.toFixed(4)} fell into ${stretch}.`,
  );
}

function send(view, act, note = "") {
  if (view.busy) return; // one at a time: the next logits must come first
  view.busy = true;
  view.note = note;
  const { temperature, top_k, top_p } = view.ui;
  view.trigger("act", { ...act, text: view.data.text, settings: { temperature, top_k, top_p } });
}

const append = (view, id, note) => send(view, { kind: "append", character: view.data.characters[id] }, note);
const back = (view) => view.data.can_go_back && send(view, { kind: "back" });

function buildTree(view) {
  const { branches, root_text: rootText, text } = view.data;
  if (!branches.length) return view.tree.replaceChildren();
  const about =
    ", the likeliest first: what was appended, and its log-probability under the model (temperature 1, no cut)";
  const rows = branches.map(({ added, nats }) => {
    const pressed = { class: "branch prose", "aria-pressed": text === rootText + added };
    const words = [...added].map(visible).join("") || "(the prompt)";
    const go = button(words, "Go back to this branch", () => send(view, { kind: "go", to: added }), pressed);
    const number = (value, quiet = "") => element("td", { class: `number ${quiet}` }, value);
    const each = (nats / Math.max(1, [...added].length)).toFixed(3);
    const numbers = [number(`${nats.toFixed(3)} nats`), number(`${each} per character`, "quiet")];
    return element("tr", {}, element("td", {}, go), ...numbers);
  });
  const head = element("p", {}, "Branches", element("span", { class: "quiet" }, about));
  view.tree.replaceChildren(head, element("table", {}, ...rows));
}
