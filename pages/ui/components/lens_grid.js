// The logit lens: a row for each reading of the residual stream, a column for each position, the character that the
// reading would say in each cell. Hover shows what it thinks, a click (or the arrow keys) keeps the cell.
const CELL = { w: 26, h: 24 };
const EDGE = { left: 64, top: 26, bottom: 26, right: 64 };
const SHADES = { chance: "its probability", entropy: "entropy (bits)", kl: "KL(final ‖ reading) (bits)" };

export default component(mount, update);

function mount(parent) {
  const root = parent.querySelector(".inside");
  const view = { root, hover: null, shade: asked("shade") in SHADES ? asked("shade") : "chance" };
  view.controls = element("div", { class: "bar" });
  view.plot = element("div", { class: "scroll" });
  view.grid = element("div", { class: "grid", tabindex: 0, role: "application", "aria-label": "Logit lens: arrow keys move, layers up and down, positions left and right" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.plot.append(view.grid);
  root.replaceChildren(view.controls, view.plot, view.detail);
  const at = (event) => {
    const box = view.svg.getBoundingClientRect();
    const t = Math.floor((event.clientX - box.left - EDGE.left) / CELL.w);
    const r = view.R - 1 - Math.floor((event.clientY - box.top - EDGE.top) / CELL.h);
    return t >= 0 && t < view.T && r >= 0 && r < view.R ? { r, t } : null;
  };
  view.grid.addEventListener("pointermove", (event) => ((view.hover = at(event)), mark(view)));
  view.grid.addEventListener("pointerleave", () => ((view.hover = null), mark(view)));
  view.grid.addEventListener("click", (event) => at(event) && keep(view, at(event)));
  view.grid.addEventListener("keydown", (event) => {
    const [dr, dt] = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
    if (dr === undefined) return;
    event.preventDefault();
    keep(view, { r: clamp(view.cell.r + dr, view.R), t: clamp(view.cell.t + dt, view.T) });
    const x = EDGE.left + view.cell.t * CELL.w;
    if (x < view.plot.scrollLeft + EDGE.left || x + CELL.w > view.plot.scrollLeft + view.plot.clientWidth) view.plot.scrollLeft = x - view.plot.clientWidth / 2;
  });
  return view;
}

const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));

function update(view) {
  const { data } = view;
  const fresh = data.serial !== view.serial;
  if (fresh) view.hover = null; // the pointer may rest where no cell is left
  Object.assign(view, { serial: data.serial, R: data.rows.length, T: data.positions.length, K: data.top });
  for (const name of ["ids", "chances", "entropy", "kl"]) view[name] = unpack(data[name]);
  view.colour = ramp(data.scale);
  view.cell = { r: clamp(data.cell.row, view.R), t: clamp(data.cell.position - data.first, view.T) };
  buildControls(view);
  draw(view);
  if (fresh) view.plot.scrollLeft = EDGE.left + (view.cell.t + 3) * CELL.w - view.plot.clientWidth / 2;
}

function keep(view, cell) {
  view.cell = cell;
  mark(view);
  clearTimeout(view.timer); // keys may come fast: the server is asked when they rest
  view.timer = setTimeout(() => view.trigger("cell", { row: cell.r, position: view.data.first + cell.t }), 150);
}

function level(view, r, t) {
  const i = r * view.T + t;
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
  const quiet = { fill: theme.text, "fill-opacity": 0.75 };
  view.rects = [];
  const cells = shape("g");
  for (let r = 0; r < R; r++) {
    for (const [at, anchor] of [[EDGE.left - 8, "end"], [width - EDGE.right + 8, "start"]])
      view.svg.append(shape("text", { x: at, y: y(r) + 17, "text-anchor": anchor, "font-size": 12, ...quiet }, data.rows[r]));
    for (let t = 0; t < T; t++) {
      const rect = shape("rect", { x: x(t), y: y(r), width: CELL.w - 1, height: CELL.h - 1, rx: 2 });
      const name = shape("text", { x: x(t) + CELL.w / 2, y: y(r) + 17 }, visible(data.characters[view.ids[(r * T + t) * view.K]]));
      cells.append(rect, name);
      view.rects.push([rect, name]);
    }
  }
  const feet = data.positions.map((c, t) => shape("text", { x: x(t) + CELL.w / 2, y: height - 8, ...quiet }, visible(c)));
  const heads = data.positions.map((_, t) => shape("text", { x: x(t) + CELL.w / 2, y: 17, ...quiet, "fill-opacity": 0.5 }, t + 1 < T ? visible(data.positions[t + 1]) : "?"));
  const side = { "text-anchor": "end", "font-family": theme.font, "font-size": 11, ...quiet };
  const corner = [shape("text", { x: EDGE.left - 8, y: 17, ...side }, "next"), shape("text", { x: EDGE.left - 8, y: height - 8, ...side }, "reads")];
  view.frame = shape("rect", { width: CELL.w - 1, height: CELL.h - 1, rx: 2, fill: "none", "stroke-width": 2.5, stroke: theme.accent });
  view.ghost = shape("rect", { class: "screen-only", width: CELL.w - 1, height: CELL.h - 1, rx: 2, fill: "none", "stroke-width": 1.5, stroke: theme.text });
  view.place = ({ r, t }) => ({ x: x(t), y: y(r) });
  view.svg.append(cells, ...feet, ...heads, ...corner, view.frame, view.ghost);
  view.grid.replaceChildren(view.svg);
  shadeCells(view);
  mark(view);
}

function shadeCells(view) {
  view.rects.forEach(([rect, name], i) => {
    const colour = view.colour(level(view, Math.floor(i / view.T), i % view.T));
    rect.setAttribute("fill", css(colour));
    name.setAttribute("fill", readable(colour));
  });
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
  const top = [...Array(K).keys()].map((k) => [data.characters[view.ids[i * K + k]], view.chances[i * K + k]]);
  const said = top.flatMap(([c, p], k) => [k ? ", " : "", element("b", {}, visible(c)), ` ${chance(p)}`]);
  const where = data.rows[r] === "embed" ? "Before the first layer" : r === view.R - 1 ? `After ${data.rows[r]}, the last layer` : `After ${data.rows[r]}`;
  const came = t + 1 < T ? ["; what follows in the prompt: ", element("b", {}, visible(data.positions[t + 1]))] : [];
  view.detail.dataset.cell = `${r},${data.first + t}`;
  view.detail.replaceChildren(
    element("p", {}, `${where}, at character ${data.first + t + 1} `, element("b", {}, visible(data.positions[t])), ...came, "."),
    element("p", {}, ...said),
    element("p", { class: "quiet" }, `entropy ${view.entropy[i].toFixed(3)} bits, KL(final ‖ reading) ${view.kl[i].toFixed(3)} bits`),
  );
}

function buildControls(view) {
  const select = element("select", { "aria-label": "shade by", title: "What the colour of a cell says" }, ...Object.entries(SHADES).map(([value, words]) => element("option", { value }, words)));
  select.value = view.shade;
  const most = Math.log2(view.data.characters.length).toFixed(2);
  const ends = () => (view.shade === "chance" ? ["0", "1"] : [most, "0"]);
  const [low, high] = [element("span"), element("span")];
  const show = () => ([low.textContent, high.textContent] = ends());
  select.onchange = () => {
    view.shade = select.value;
    mirror({ shade: view.shade === "chance" ? null : view.shade });
    show();
    shadeCells(view);
  };
  show();
  mirror({ shade: view.shade === "chance" ? null : view.shade });
  const band = element("i", { style: `background: linear-gradient(to right, ${view.data.scale.join(",")})` });
  view.controls.replaceChildren(
    element("label", { title: "What the colour of a cell says" }, "shade by", select),
    element("span", { class: "key quiet" }, low, band, high),
    savers(view, "logit-lens", () => view.svg, () => table(view)),
  );
}

function table(view) {
  const { data, R, T, K } = view;
  const head = ["reading", "position", "reads", ...[...Array(K).keys()].flatMap((k) => [`character_${k + 1}`, `probability_${k + 1}`]), "entropy_bits", "kl_final_bits"];
  const rows = [];
  for (let r = 0; r < R; r++)
    for (let t = 0; t < T; t++) {
      const i = r * T + t;
      const top = [...Array(K).keys()].flatMap((k) => [visible(data.characters[view.ids[i * K + k]]), view.chances[i * K + k]]);
      rows.push([data.rows[r], data.first + t + 1, visible(data.positions[t]), ...top, view.entropy[i], view.kl[i]]);
    }
  return [head, ...rows];
}
