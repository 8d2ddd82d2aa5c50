// From logits to a character. The logits are here: temperature and cuts are worked out in the browser, and nothing is
// asked of the server until a character is appended.
import { asked, mirror } from "../shared/address.js";
import { drawn, hint, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { along, button, clamp, menu, numberAt, slider } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { savers } from "../shared/saving.js";
import { niceValues, scale } from "../shared/scales.js";
import { colourAt } from "../shared/theme.js";
import { html, nothing, render, svg } from "../shared/vendor/lit-html.js";
import { distribution, fallsInto } from "./sampling.js";

const HEIGHT = 300;
const PLOT = { top: 62, bottom: 268, left: 46, right: 8 };
const SHOWN_TERMS = 4; // of a sum of exponentials
const ORDERS = { likely: "likeliest first", alphabet: "alphabet" };
const Y_AXES = { linear: "linear", log: "log" };
const OFF = { top_k: 0, top_p: 1 }; // where a cut cuts nothing
const HELP = {
  order: "In which order the characters stand",
  y: "The logarithm shows how small the small ones are",
  draw: "Draw a character with these probabilities and append it",
  append: "Append the character shown below the bars (Enter, or double-click a bar)",
  back: "Take the last character away again; the branch stays in the list (Backspace)",
  branches: ", the likeliest first: what was appended, and its log-probability under the model (temperature 1, no cut)",
};

export default component(mount, update);

function mount(view, data) {
  Object.assign(view, { data, ui: initial(data), hover: null, note: "" });
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
  Object.assign(view, { data, logits: data.logits, busy: false });
  changed(view);
  requestAnimationFrame(() => view.root.querySelector(".chart").classList.add("moves")); // not at first
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

function draw(view) {
  const { data, ui, found, theme } = view;
  if (!found) return;
  const V = data.characters.length;
  const width = Math.max(Math.floor(view.root.clientWidth), Math.ceil(11.5 * V) + PLOT.left + PLOT.right);
  const each = (width - PLOT.left - PLOT.right) / V;
  const axis = heights(view);
  const order = sequence(view);
  const place = new Map(order.map((id, at) => [id, PLOT.left + at * each]));
  const kept = order.filter((id) => !found.cut[id]).length;
  const focus = view.hover ?? ui.locked ?? found.best;
  view.root.dataset.kept = kept;
  const bars = data.characters.map((_, id) => bar(view, id, place.get(id), each, axis.height, focus));
  const at = (act) => (event) => numberAt(event, "id") !== null && act(view, numberAt(event, "id"));
  const saved = { picture: () => view.root.querySelector("svg"), table: () => table(view) };
  const content = html`
    <div class="bar">${controls(view)}
      <span class="quiet">${kept === V ? `all ${V}` : `${kept} of ${V}`} characters can be drawn</span>
      ${savers(view, "next-character", saved)}</div>
    <div class="scroll"><div class="chart" tabindex="0" role="listbox" aria-label="Probability of each character"
      aria-activedescendant=${ui.locked === null ? nothing : `option-${ui.locked}`}
      @pointermove=${(event) => hovered(view, numberAt(event, "id"))} @pointerleave=${() => hovered(view, null)}
      @click=${at(lock)} @dblclick=${at(append)} @keydown=${(event) => pressed(view, event)}>
      <svg width=${width} height=${HEIGHT} font-size="11" font-family=${theme.font}>
        <g pointer-events="none">${levels(view, width, axis)}</g>${bars}
        <g pointer-events="none">${cutLine(view, order, each, axis.height, width)}</g></svg></div></div>
    <div class="detail" aria-live="polite" data-character=${data.characters[focus]}>${spell(view, focus)}</div>
    <div class="bar">${actions(view)}</div>
    <div class="tree">${tree(view)}</div>`;
  render(content, view.root);
}

// ---- the bars -------------------------------------------------------------------------------------------------------

function hovered(view, id) {
  if (id === view.hover) return;
  view.hover = id;
  draw(view);
}

function lock(view, id) {
  view.ui.locked = view.ui.locked === id ? null : id;
  view.note = "";
  changed(view);
}

function pressed(view, event) {
  const { locked } = view.ui;
  const order = sequence(view);
  const to = along(event, locked === null ? -1 : order.indexOf(locked), order.length - 1);
  if (event.key === "Enter") append(view, locked ?? view.found.best);
  else if (event.key === "Backspace") back(view);
  else if (event.key === "Escape") locked !== null && lock(view, locked);
  else if (to !== undefined) order[to] !== locked && lock(view, order[to]);
  else return;
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
  const top = log ? 1 : Math.max(...shown);
  const { px } = scale([log ? floor : 0, top], 0, PLOT.bottom - PLOT.top, log);
  return { log, floor, top, height: (p) => (p > 0 ? Math.max(0.5, px(Math.max(p, log ? floor : 0))) : 0) };
}

function bar({ found, theme, data, ui }, id, left, each, height, focus) {
  const [p, before, cut, character] = [found.probs[id], found.whole[id], found.cut[id], data.characters[id]];
  const [high, ghost] = [height(p), height(cut ? before : 0)];
  const y = PLOT.bottom - Math.max(high, ghost) - 5;
  const [seen, said, value] = [drawn(character), spelled(character), chance(cut ? 0 : p)];
  const known = `${said === seen ? "" : `, ${said}`}${cut ? `, ${chance(p)} cut by ${cut}` : ""}`;
  const turned = cut ? `translate(${each / 2 - 3} ${y})` : `translate(${each / 2 + 3.5} ${y}) rotate(-90)`;
  const [x, wide, chosen] = [each * 0.14, each * 0.72, id === focus];
  return svg`<g class="bar-of" role="option" id="option-${id}" data-id=${id} data-p=${p}
    aria-label="${seen} ${value}${known}" aria-selected=${id === ui.locked}
    style="transform: translate(${left.toFixed(2)}px,0px)">
    ${hint(character) ? svg`<title class="screen-only">${hint(character)}</title>` : ""}
    <rect class="screen-only" y="0" width=${each} height=${HEIGHT} fill="transparent"></rect>
    <rect class="ghost" x=${x} width=${wide} y=${PLOT.bottom - ghost} height=${ghost} fill="none" stroke-width="1"
      stroke=${theme.text} stroke-opacity="0.35" stroke-dasharray="2 2"></rect>
    <rect class="solid" x=${x} width=${wide} y=${PLOT.bottom - high} height=${high}
      fill=${chosen ? theme.accent : colourAt(theme, 0)} stroke=${id === ui.locked ? theme.text : "none"}></rect>
    <text text-anchor="middle" x=${each / 2} y=${PLOT.bottom + 18} font-size="13" font-family=${theme.mono}
      font-weight=${chosen ? 700 : 400} fill=${chosen ? theme.accent : theme.text}>${seen}</text>
    <text class="value" font-size="10" fill=${theme.text} fill-opacity=${cut ? 0.45 : 0.85}
      transform=${turned}>${value}</text></g>`;
}

function levels({ theme }, width, { log, floor, top, height }) {
  const decades = Math.round(-Math.log10(floor));
  const every = Math.ceil(decades / 4);
  const powers = Array.from({ length: Math.floor(decades / every) + 1 }, (_, i) => 10 ** (-i * every));
  return (log ? powers : niceValues(0, top, 4)).map((tick) => {
    const y = PLOT.bottom - (log && tick === floor ? 0 : height(tick));
    const words = !log ? String(Number(tick.toPrecision(3))) : tick === 1 ? "1" : tick.toExponential(0);
    return svg`<line x1=${PLOT.left} x2=${width - PLOT.right} y1=${y} y2=${y} stroke=${theme.line}></line>
      <text x=${PLOT.left - 6} y=${y + 4} text-anchor="end" fill=${theme.text} fill-opacity="0.7">${words}</text>`;
  });
}

// The cut is drawn where it falls: between two bars when they stand in order, else as the height that a bar must reach.
function cutLine({ found, ui, theme }, order, each, height, width) {
  const reasons = [...new Set(found.cut.filter(Boolean))].sort();
  if (!reasons.length || ui.temperature === 0) return "";
  const topK = `top-k: the ${ui.top_k} likeliest`;
  const topP = `top-p: at least ${ui.top_p} of the probability`;
  const words = reasons.map((reason) => (reason === "top-k" ? topK : topP)).join(", ");
  const kept = order.filter((id) => !found.cut[id]);
  const drawLine = (x1, x2, y1, y2, x, anchor) => svg`<line x1=${x1} x2=${x2} y1=${y1} y2=${y2} stroke=${theme.accent}
    stroke-width="1.5" stroke-dasharray="5 3"></line>
    <text x=${x} y="16" fill=${theme.accent} text-anchor=${anchor}>${words}</text>`;
  if (ui.order === "likely") {
    const x = PLOT.left + kept.length * each;
    const right = x < width / 2;
    return drawLine(x, x, 6, PLOT.bottom + 24, right ? x + 6 : x - 6, right ? "start" : "end");
  }
  const y = PLOT.bottom - height(Math.min(...kept.map((id) => found.whole[id])));
  return drawLine(PLOT.left, width - PLOT.right, y, y, width - PLOT.right, "end");
}

// ---- in words and numbers -------------------------------------------------------------------------------------------

const digits = (v) => (Number.isFinite(v) ? v.toFixed(4) : String(v));
const large = (v) => (v !== 0 && (v >= 1e5 || v < 0.001) ? v.toExponential(4) : v.toFixed(4));
const strong = (text) => html`<b>${text}</b>`;
const line = (...parts) => html`<p>${parts}</p>`;

function spell(view, id) {
  const { found, ui, note } = view;
  const lines = ui.temperature === 0 ? greedy(view, id) : [logit(view, id), softmax(view, id)];
  if (ui.temperature && found.cut[id] !== "top-k" && ui.top_p < 1) lines.push(topP(view, id));
  return [...lines, note && html`<p class="quiet">${note}</p>`];
}

const rankOf = ({ found, logits }, id) => `${found.rank[id] + 1} of ${logits.length} by likelihood`;

function greedy(view, id) {
  const { found, data, logits } = view;
  const other = `${spelled(data.characters[found.best])} has the largest logit and takes all: probability 0`;
  const verdict = id === found.best ? "it has the largest logit and takes all: probability 1" : other;
  const name = strong(spelled(data.characters[id]));
  return [
    line(name, ` has logit ${digits(logits[id])}, ${rankOf(view, id)}.`),
    line(`At temperature 0 nothing is drawn: ${verdict}.`),
  ];
}

function logit(view, id) {
  const { found, ui, data, logits } = view;
  const [name, value] = [strong(spelled(data.characters[id])), strong(`logit ${digits(logits[id])}`)];
  const divided = ` ÷ temperature ${ui.temperature.toFixed(2)} = `;
  return line(name, " has ", value, divided, strong(digits(found.x[id])), `, ${rankOf(view, id)}.`);
}

function softmax({ found, ui, data }, id) {
  if (found.cut[id] === "top-k") {
    const without = ` (without the cut ${chance(found.whole[id])}).`;
    return line(`Top-k keeps the ${ui.top_k} likeliest: cut, probability `, strong("0"), without);
  }
  const power = (i) => `exp(${digits(found.x[i])}${found.shift ? ` − ${digits(found.shift)}` : ""})`;
  const ids = data.characters.map((_, i) => i).filter((i) => found.cut[i] !== "top-k");
  const terms = ids.sort((a, b) => found.rank[a] - found.rank[b]);
  const shown = terms.slice(0, SHOWN_TERMS);
  const sum = shown.flatMap((i, at) => [at ? " + " : "", i === id ? strong(power(i)) : power(i)]);
  const more = terms.length - shown.length;
  const rest = more > 0 ? ` + ${more} more${shown.includes(id) ? "" : ", this one among them"}` : "";
  const quotient = `) = ${large(found.exps[id])} / ${large(found.sum)} = `;
  return line("Softmax: ", strong(power(id)), " / (", ...sum, rest, quotient, strong(chance(found.soft[id])), ".");
}

function topP({ found, ui }, id) {
  const likelier = `Top-p ${ui.top_p}: likelier ones hold ${chance(found.before[id])}`;
  if (found.cut[id]) return line(`${likelier}, which is enough: cut, probability `, strong("0"), ".");
  const quotient = `${chance(found.soft[id])} / ${chance(found.mass)} = `;
  const stays = `${likelier}, so it stays; the kept ones hold ${chance(found.mass)}: ${quotient}`;
  return line(stays, strong(chance(found.probs[id])), ".");
}

// ---- controls -------------------------------------------------------------------------------------------------------

function controls(view) {
  const { ui, data } = view;
  const set = (name) => (value) => {
    ui[name] = value;
    changed(view);
  };
  const sliders = data.settings.map(({ name, label, low, high, step, help }) => {
    const words = (value) => (value === OFF[name] ? "off" : String(value));
    const code = name === label.toLowerCase() ? "" : name;
    return slider(label, help, { min: low, max: high, step, value: ui[name] }, words, set(name), { code });
  });
  const orders = menu("order", HELP.order, ORDERS, ui.order, set("order"));
  return [sliders, orders, menu("y axis", HELP.y, Y_AXES, ui.y, set("y"))];
}

function actions(view) {
  const chosen = view.ui.locked ?? view.found.best;
  return [
    button("Draw one", HELP.draw, () => drawOne(view), { kind: "first" }),
    button(`Append ${drawn(view.data.characters[chosen])}`, HELP.append, () => append(view, chosen)),
    button("Back one", HELP.back, () => back(view), { disabled: !view.data.can_go_back }),
  ];
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
  const stretch = `the random number ${u.toFixed(4)} fell into its stretch from ${from.toFixed(4)} to ${to.toFixed(4)}`;
  append(view, taken, `Drew ${spelled(view.data.characters[taken])}: ${stretch}.`);
}

function send(view, act, note = "") {
  if (view.busy) return; // one at a time: the next logits must come first
  Object.assign(view, { busy: true, note });
  const { temperature, top_k, top_p } = view.ui;
  view.trigger("act", { ...act, text: view.data.text, settings: { temperature, top_k, top_p } });
}

const append = (view, id, note) => send(view, { kind: "append", character: view.data.characters[id] }, note);
const back = (view) => view.data.can_go_back && send(view, { kind: "back" });

function tree(view) {
  const { branches, root_text: rootText, text } = view.data;
  if (!branches.length) return "";
  const rows = branches.map(({ added, nats }) => {
    const words = [...added].map(visible).join("") || "(the prompt)";
    const go = () => send(view, { kind: "go", to: added });
    const pressedDown = { kind: "branch prose", pressed: text === rootText + added };
    const each = (nats / Math.max(1, [...added].length)).toFixed(3);
    return html`<tr><td>${button(words, "Go back to this branch", go, pressedDown)}</td>
      <td class="number">${nats.toFixed(3)} nats</td><td class="number quiet">${each} per character</td></tr>`;
  });
  return html`<p>Branches<span class="quiet">${HELP.branches}</span></p><table>${rows}</table>`;
}
