// The logit lens: a row for each reading of the residual stream, a column for each position, the character that the
// reading would say in each cell. Hover shows what it thinks, a click (or the arrow keys) keeps the cell.
import { asked, mirror } from "../shared/address.js";
import { drawn, spelled, visible } from "../shared/characters.js";
import { css, ramp, readable } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { arrow, clamp, colourKey, element, menu, place, pointed } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { savers } from "../shared/saving.js";
import { html, render, svg } from "../shared/vendor/lit-html.js";

const CELL = { w: 26, h: 24 };
const EDGE = { left: 64, top: 26, bottom: 26, right: 64 };
const SHADES = { chance: "its probability", entropy: "entropy (bits)", kl: "KL(final ‖ reading) (bits)" };
const LABEL = "Logit lens: arrow keys move, layers up and down, positions left and right";

export default component(mount, update);

function mount(view) {
  Object.assign(view, { hover: null, shade: asked("shade") in SHADES ? asked("shade") : "chance" });
  view.controls = element("div", { class: "bar" });
  view.grid = element("div", { class: "grid", tabindex: 0, role: "application", "aria-label": LABEL });
  view.plot = element("div", { class: "scroll" }, view.grid);
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.root.append(view.controls, view.plot, view.detail);
  const at = (event) => {
    const { x, y } = place(event, view.grid);
    const [t, r] = [Math.floor((x - EDGE.left) / CELL.w), view.R - 1 - Math.floor((y - EDGE.top) / CELL.h)];
    return t >= 0 && t < view.T && r >= 0 && r < view.R ? r * view.T + t : null;
  };
  const hover = (cell) => {
    view.hover = cell;
    mark(view);
  };
  const pressed = (event) => {
    const step = arrow(event);
    if (!step) return false;
    keep(view, within(view, Math.floor(view.cell / view.T) - step[1], (view.cell % view.T) + step[0]));
    intoSight(view);
  };
  pointed(view, view.grid, at, { hover, pressed, keep: (cell) => keep(view, cell) });
}

const within = ({ R, T }, r, t) => clamp(r, 0, R - 1) * T + clamp(t, 0, T - 1);

function intoSight({ cell, T, plot }) {
  const x = EDGE.left + (cell % T) * CELL.w;
  const hidden = x < plot.scrollLeft + EDGE.left || x + CELL.w > plot.scrollLeft + plot.clientWidth;
  if (hidden) plot.scrollLeft = x - plot.clientWidth / 2;
}

function update(view, data) {
  if (view.fresh) view.hover = null; // the pointer may rest where no cell is left
  const { ids, chances, entropy, kl, rows, positions, top } = data;
  Object.assign(view, { data, ids, chances, entropy, kl, R: rows.length, T: positions.length, K: top });
  view.colour = ramp(data.scale);
  view.cell = within(view, data.cell.row, data.cell.position - data.first);
  draw(view);
  if (view.fresh) view.plot.scrollLeft = EDGE.left + ((view.cell % view.T) + 3) * CELL.w - view.plot.clientWidth / 2;
}

function keep(view, cell) {
  view.cell = cell;
  mark(view);
  view.after(150, tell); // keys may come fast: the server is asked when they rest
}

const tell = ({ trigger, cell, T, data }) =>
  trigger("cell", { row: Math.floor(cell / T), position: data.first + (cell % T) });

function level(view, i) {
  if (view.shade === "chance") return view.chances[i * view.K];
  const most = Math.log2(view.data.characters.length);
  return 1 - Math.min(1, view[view.shade][i] / most); // certain, or agreeing with the end, is bright
}

const x = (t) => EDGE.left + t * CELL.w;
const y = (view, r) => EDGE.top + (view.R - 1 - r) * CELL.h;

function draw(view) {
  const { data, theme, R, T } = view;
  const [width, height] = [EDGE.left + T * CELL.w + EDGE.right, EDGE.top + R * CELL.h + EDGE.bottom];
  const cell = (_, i) => {
    const said = drawn(data.characters[view.ids[i * view.K]]);
    const [at, up, colour] = [x(i % T), y(view, Math.floor(i / T)), view.colour(level(view, i))];
    return svg`<rect x=${at} y=${up} width=${CELL.w - 1} height=${CELL.h - 1} rx="2" fill=${css(colour)}></rect>
      <text x=${at + CELL.w / 2} y=${up + 17} fill=${readable(colour)}>${said}</text>`;
  };
  const words = (at, down, text, anchor = "middle", size = 13, font = theme.mono) => svg`<text x=${at} y=${down}
    fill=${theme.text} fill-opacity="0.75" text-anchor=${anchor} font-size=${size} font-family=${font}>${text}</text>`;
  const name = (reading, r) => [
    words(EDGE.left - 8, y(view, r) + 17, reading, "end", 12),
    words(width - EDGE.right + 8, y(view, r) + 17, reading, "start", 12),
  ];
  const [head, foot] = [17, height - 8];
  const next = (t) => (t + 1 < T ? drawn(data.positions[t + 1]) : "?");
  const column = (c, t) => [words(x(t) + CELL.w / 2, foot, drawn(c)), words(x(t) + CELL.w / 2, head, next(t))];
  const picture = html`<svg width=${width} height=${height} font-family=${theme.mono} font-size="13"
    text-anchor="middle">${data.rows.map(name)}<g>${Array.from({ length: R * T }, cell)}</g>
    ${data.positions.map(column)}
    ${words(EDGE.left - 8, head, "next", "end", 11, theme.font)}
    ${words(EDGE.left - 8, foot, "reads", "end", 11, theme.font)}<g class="frames" fill="none"></g></svg>`;
  render(picture, view.grid);
  controls(view);
  mark(view);
}

function mark(view) {
  const { data, K, T, theme } = view;
  const frame = (cell, stroke, width, kind) =>
    cell === null
      ? ""
      : svg`<rect class=${kind} x=${x(cell % T)} y=${y(view, Math.floor(cell / T))} width=${CELL.w - 1}
        height=${CELL.h - 1} rx="2" stroke=${stroke} stroke-width=${width}></rect>`;
  const frames = [frame(view.cell, theme.accent, 2.5, ""), frame(view.hover, theme.text, 1.5, "screen-only")];
  render(frames, view.grid.querySelector(".frames"));
  const i = view.hover ?? view.cell;
  const [r, t] = [Math.floor(i / T), i % T];
  const said = Array.from({ length: K }, (_, k) => i * K + k).map(
    (at, k) => html`${k ? ", " : ""}<b>${spelled(data.characters[view.ids[at]])}</b> ${chance(view.chances[at])}`,
  );
  const last = r === view.R - 1 ? ", the last layer" : "";
  const where = data.rows[r] === "embed" ? "Before the first layer" : `After ${data.rows[r]}${last}`;
  const came = () => html`; what follows in the prompt: <b>${spelled(data.positions[t + 1])}</b>`;
  const [entropy, kl] = [view.entropy[i].toFixed(3), view.kl[i].toFixed(3)];
  view.detail.dataset.cell = `${r},${data.first + t}`;
  const detail = html`<p>${where}, at character ${data.first + t + 1} <b>${spelled(data.positions[t])}</b>${
    t + 1 < T ? came() : ""
  }.</p><p>${said}</p><p class="quiet">entropy ${entropy} bits, KL(final ‖ reading) ${kl} bits</p>`;
  render(detail, view.detail);
}

function controls(view) {
  const { shade, data } = view;
  mirror(view, { shade: shade === "chance" ? null : shade });
  const chosen = (other) => {
    view.shade = other;
    draw(view);
  };
  const most = Math.log2(data.characters.length).toFixed(2);
  const [low, high] = shade === "chance" ? ["0", "1"] : [most, "0"];
  const saved = { picture: () => view.grid.querySelector("svg"), table: () => table(view) };
  const bar = html`${menu("shade by", "What the colour of a cell says", SHADES, shade, chosen)}
    ${colourKey(low, data.scale.join(","), high)}${savers(view, "logit-lens", saved)}`;
  render(bar, view.controls);
}

function table({ data, ids, chances, entropy, kl, R, T, K }) {
  const ranks = Array.from({ length: K }, (_, k) => k);
  const columns = ranks.flatMap((k) => [`character_${k + 1}`, `probability_${k + 1}`]);
  const head = ["reading", "position", "reads", ...columns, "entropy_bits", "kl_final_bits"];
  const row = (_, i) => {
    const [r, t] = [Math.floor(i / T), i % T];
    const top = ranks.flatMap((k) => [visible(data.characters[ids[i * K + k]]), chances[i * K + k]]);
    return [data.rows[r], data.first + t + 1, visible(data.positions[t]), ...top, entropy[i], kl[i]];
  };
  return [head, ...Array.from({ length: R * T }, row)];
}
