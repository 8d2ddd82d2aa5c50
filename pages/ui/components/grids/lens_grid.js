// The logit lens: a row for each reading of the residual stream, a column for each position, the character that the
// reading would say in each cell. Hover shows what it thinks, a click (or the arrow keys) keeps the cell.
import { asked, mirror } from "../shared/address.js";
import { drawn, spelled, visible } from "../shared/characters.js";
import { css, ramp, readable } from "../shared/colours.js";
import { component } from "../shared/component.js";
import { arrow, clamp, colourKey, element, menu, place, shape } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { savers } from "../shared/saving.js";

const CELL = { w: 26, h: 24 };
const EDGE = { left: 64, top: 26, bottom: 26, right: 64 };
const SHADES = { chance: "its probability", entropy: "entropy (bits)", kl: "KL(final ‖ reading) (bits)" };

export default component(mount, update);

function mount(view) {
  Object.assign(view, { hover: null, shade: asked("shade") in SHADES ? asked("shade") : "chance" });
  view.controls = element("div", { class: "bar" });
  view.grid = element("div", { class: "grid", tabindex: 0, role: "application" });
  view.grid.ariaLabel = "Logit lens: arrow keys move, layers up and down, positions left and right";
  view.plot = element("div", { class: "scroll" }, view.grid);
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.root.append(view.controls, view.plot, view.detail);
  const at = (event) => {
    const { x, y } = place(event, view.svg);
    const [t, r] = [Math.floor((x - EDGE.left) / CELL.w), view.R - 1 - Math.floor((y - EDGE.top) / CELL.h)];
    return t >= 0 && t < view.T && r >= 0 && r < view.R ? { r, t } : null;
  };
  const hover = (cell) => {
    view.hover = cell;
    mark(view);
  };
  view.on(view.grid, "pointermove", (event) => hover(at(event)));
  view.on(view.grid, "pointerleave", () => hover(null));
  view.on(view.grid, "click", (event) => at(event) && keep(view, at(event)));
  view.on(view.grid, "keydown", (event) => {
    const step = arrow(event);
    if (!step) return;
    event.preventDefault();
    keep(view, within(view, view.cell.r - step[1], view.cell.t + step[0]));
    const x = EDGE.left + view.cell.t * CELL.w;
    const { scrollLeft, clientWidth } = view.plot;
    const hidden = x < scrollLeft + EDGE.left || x + CELL.w > scrollLeft + clientWidth;
    if (hidden) view.plot.scrollLeft = x - clientWidth / 2;
  });
}

const within = (view, r, t) => ({ r: clamp(r, 0, view.R - 1), t: clamp(t, 0, view.T - 1) });

function update(view, data) {
  if (view.fresh) view.hover = null; // the pointer may rest where no cell is left
  const { ids, chances, entropy, kl, rows, positions, top } = data;
  Object.assign(view, { data, ids, chances, entropy, kl, R: rows.length, T: positions.length, K: top });
  view.colour = ramp(data.scale);
  view.cell = within(view, data.cell.row, data.cell.position - data.first);
  showControls(view);
  draw(view);
  if (view.fresh) view.plot.scrollLeft = EDGE.left + (view.cell.t + 3) * CELL.w - view.plot.clientWidth / 2;
}

function keep(view, cell) {
  view.cell = cell;
  mark(view);
  clearTimeout(view.timer); // keys may come fast: the server is asked when they rest
  view.timer = setTimeout(() => view.trigger("cell", { row: cell.r, position: view.data.first + cell.t }), 150);
}

function level(view, i) {
  if (view.shade === "chance") return view.chances[i * view.K];
  const most = Math.log2(view.data.characters.length);
  return 1 - Math.min(1, view[view.shade][i] / most); // certain, or agreeing with the end, is bright
}

function draw(view) {
  const { data, theme, R, T } = view;
  const [width, height] = [EDGE.left + T * CELL.w + EDGE.right, EDGE.top + R * CELL.h + EDGE.bottom];
  view.svg = shape("svg", { width, height, "font-family": theme.mono, "font-size": 13, "text-anchor": "middle" });
  const y = (r) => EDGE.top + (R - 1 - r) * CELL.h;
  const x = (t) => EDGE.left + t * CELL.w;
  view.place = ({ r, t }) => ({ x: x(t), y: y(r) });
  const quiet = { fill: theme.text, "fill-opacity": 0.75 };
  const words = (at, down, text, more) => shape("text", { x: at, y: down, ...quiet, ...more }, text);
  const box = { width: CELL.w - 1, height: CELL.h - 1, rx: 2 };
  view.rects = Array.from({ length: R * T }, (_, i) => {
    const [r, t] = [Math.floor(i / T), i % T];
    const said = drawn(data.characters[view.ids[i * view.K]]);
    return [shape("rect", { x: x(t), y: y(r), ...box }), shape("text", { x: x(t) + CELL.w / 2, y: y(r) + 17 }, said)];
  });
  const names = data.rows.flatMap((name, r) => [
    words(EDGE.left - 8, y(r) + 17, name, { "text-anchor": "end", "font-size": 12 }),
    words(width - EDGE.right + 8, y(r) + 17, name, { "text-anchor": "start", "font-size": 12 }),
  ]);
  const middle = (t) => x(t) + CELL.w / 2;
  const next = (t) => (t + 1 < T ? drawn(data.positions[t + 1]) : "?");
  const feet = data.positions.map((c, t) => words(middle(t), height - 8, drawn(c)));
  const heads = data.positions.map((_, t) => words(middle(t), 17, next(t), { "fill-opacity": 0.7 }));
  const side = { "text-anchor": "end", "font-family": theme.font, "font-size": 11 };
  const corners = [words(EDGE.left - 8, 17, "next", side), words(EDGE.left - 8, height - 8, "reads", side)];
  view.frame = shape("rect", { ...box, fill: "none", "stroke-width": 2.5, stroke: theme.accent });
  view.ghost = shape("rect", { ...box, class: "screen-only", fill: "none", "stroke-width": 1.5, stroke: theme.text });
  const cells = shape("g", {}, ...view.rects.flat());
  view.svg.append(...names, cells, ...feet, ...heads, ...corners, view.frame, view.ghost);
  view.grid.replaceChildren(view.svg);
  shadeCells(view);
  mark(view);
}

function shadeCells(view) {
  for (const [i, [rect, name]] of view.rects.entries()) {
    const colour = view.colour(level(view, i));
    rect.setAttribute("fill", css(colour));
    name.setAttribute("fill", readable(colour));
  }
}

function mark(view) {
  const put = (frame, cell) => {
    frame.style.display = cell ? "" : "none";
    if (cell) for (const [k, v] of Object.entries(view.place(cell))) frame.setAttribute(k, v);
  };
  put(view.frame, view.cell);
  put(view.ghost, view.hover);
  const { r, t } = view.hover ?? view.cell;
  const { data, K, T } = view;
  const i = r * T + t;
  const strong = (character) => element("b", {}, spelled(character));
  const said = Array.from({ length: K }, (_, k) => i * K + k).flatMap((at, k) => [
    k ? ", " : "",
    strong(data.characters[view.ids[at]]),
    ` ${chance(view.chances[at])}`,
  ]);
  const last = r === view.R - 1 ? ", the last layer" : "";
  const where = data.rows[r] === "embed" ? "Before the first layer" : `After ${data.rows[r]}${last}`;
  const came = t + 1 < T ? ["; what follows in the prompt: ", strong(data.positions[t + 1])] : [];
  const [entropy, kl] = [view.entropy[i].toFixed(3), view.kl[i].toFixed(3)];
  view.detail.dataset.cell = `${r},${data.first + t}`;
  view.detail.replaceChildren(
    element("p", {}, `${where}, at character ${data.first + t + 1} `, strong(data.positions[t]), ...came, "."),
    element("p", {}, ...said),
    element("p", { class: "quiet" }, `entropy ${entropy} bits, KL(final ‖ reading) ${kl} bits`),
  );
}

function showControls(view) {
  const share = () => mirror(view, { shade: view.shade === "chance" ? null : view.shade });
  const chosen = (shade) => {
    view.shade = shade;
    share();
    showControls(view);
    shadeCells(view);
  };
  share();
  const most = Math.log2(view.data.characters.length).toFixed(2);
  const [low, high] = view.shade === "chance" ? ["0", "1"] : [most, "0"];
  view.controls.replaceChildren(
    menu("shade by", "What the colour of a cell says", SHADES, view.shade, chosen),
    colourKey(low, view.data.scale.join(","), high),
    savers(view, "logit-lens", { picture: () => view.svg, table: () => table(view) }),
  );
}

function table(view) {
  const { data, T, K } = view;
  const ranks = Array.from({ length: K }, (_, k) => k);
  const columns = ranks.flatMap((k) => [`character_${k + 1}`, `probability_${k + 1}`]);
  const head = ["reading", "position", "reads", ...columns, "entropy_bits", "kl_final_bits"];
  const row = (i) => {
    const [r, t] = [Math.floor(i / T), i % T];
    const top = ranks.flatMap((k) => [visible(data.characters[view.ids[i * K + k]]), view.chances[i * K + k]]);
    return [data.rows[r], data.first + t + 1, visible(data.positions[t]), ...top, view.entropy[i], view.kl[i]];
  };
  return [head, ...view.rects.map((_, i) => row(i))];
}
