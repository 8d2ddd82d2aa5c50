// A passage, character by character: how many bits each model paid for it. One model shades the text by its surprise;
// several are compared by small bars below each character, and the text takes the colour of the first that got it free.
const CELL = { w: 14, h: 24 };
const BARS = 24; // pixels of height for the bars of several models
const MOST = 8; // bits at which shading and bars are full
const WHO = -1;

export default component(mount, update);

function mount(parent) {
  const root = parent.querySelector(".inside");
  const view = { root, hover: null };
  view.controls = element("div", { class: "bar" });
  view.paper = element("div", { class: "paper", tabindex: 0, role: "application", "aria-label": "The passage: arrow keys move from character to character" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.foot = element("div", { class: "bar" });
  root.replaceChildren(view.controls, view.paper, view.detail, view.foot);
  const at = (event) => {
    const box = view.svg.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / view.high);
    const column = Math.floor((event.clientX - box.left) / CELL.w);
    return view.index.get(`${row},${column}`) ?? null;
  };
  const hover = (i) => i !== view.hover && ((view.hover = i), mark(view));
  view.paper.addEventListener("pointermove", (event) => hover(at(event)));
  view.paper.addEventListener("pointerleave", () => hover(null));
  view.paper.addEventListener("click", (event) => at(event) !== null && keep(view, at(event)));
  view.paper.addEventListener("keydown", (event) => {
    const i = view.kept ?? 0;
    const line = view.places[i]?.row;
    const vertical = (step) => {
      for (let c = view.places[i].column; c >= 0; c--) if (view.index.has(`${line + step},${c}`)) return view.index.get(`${line + step},${c}`);
      return i;
    };
    const to = { ArrowRight: () => i + 1, ArrowLeft: () => i - 1, ArrowUp: () => vertical(-1), ArrowDown: () => vertical(1), Home: () => 1, End: () => view.chars.length - 1 }[event.key];
    if (!to) return;
    event.preventDefault();
    keep(view, to());
  });
  view.observer = new ResizeObserver(() => view.data && draw(view));
  view.observer.observe(root);
  return view;
}

function keep(view, i) {
  view.kept = Math.max(0, Math.min(view.chars.length - 1, i));
  mirror({ mark: String(view.kept + 1) });
  mark(view);
}

function update(view) {
  const { data } = view;
  const fresh = data.text !== view.text;
  view.chars = [...data.text];
  view.runs = data.runs.map((run) => ({ ...run, bits: unpack(run.bits), rank: unpack(run.rank), ids: unpack(run.ids), chances: unpack(run.chances) }));
  if (view.text === undefined) {
    const [free, marked] = [Number(asked("free") ?? 1), Number(asked("mark"))];
    view.free = free >= 0.1 && free <= 3 ? free : 1;
    view.kept = marked >= 1 ? Math.min(marked, view.chars.length) - 1 : null;
    view.mode = view.runs.findIndex((run) => run.slug === asked("shade"));
  } else if (fresh) [view.kept, view.hover] = [null, null];
  view.text = data.text;
  if (view.mode >= view.runs.length) view.mode = WHO;
  if (view.runs.length === 1) view.mode = 0;
  share(view);
  draw(view);
  buildControls(view);
}

function share(view) {
  mirror({
    shade: view.runs.length > 1 && view.mode !== WHO ? view.runs[view.mode].slug : null,
    free: view.free === 1 ? null : String(view.free),
    mark: view.kept === null ? null : String(view.kept + 1),
  });
}

const colourOf = (view, r) => view.theme.palette[r % view.theme.palette.length] ?? view.theme.accent;

// The first run, in the order of the ladder, that paid at most `free` bits; null if none did.
function earner(view, i) {
  const r = view.runs.findIndex((run) => run.bits[i - 1] <= view.free);
  return r < 0 ? null : r;
}

// Lines break at a line break, and where the paper ends: after the last space if there is one.
function layOut(chars, columns) {
  const places = [];
  let [row, column, space] = [0, 0, -1];
  chars.forEach((c, i) => {
    if (column >= columns) {
      const from = space >= 0 && i - space < columns ? space + 1 : i;
      row++;
      column = 0;
      for (let j = from; j < i; j++) places[j] = { row, column: column++ };
      space = -1;
    }
    places[i] = { row, column: column++ };
    if (c === " ") space = i;
    if (c === "\n") [row, column, space] = [row + 1, 0, -1];
  });
  return places;
}

function draw(view) {
  const { chars, runs, theme } = view;
  const columns = Math.max(10, Math.floor(view.root.clientWidth / CELL.w));
  const several = runs.length > 1;
  view.high = CELL.h + (several ? BARS + 8 : 6);
  view.places = layOut(chars, columns);
  view.index = new Map(view.places.map(({ row, column }, i) => [`${row},${column}`, i]));
  const rows = 1 + Math.max(...view.places.map((p) => p.row));
  const [width, height] = [columns * CELL.w, rows * view.high];
  view.svg = shape("svg", { width, height, "font-family": theme.mono, "font-size": 15, "text-anchor": "middle" });
  view.shades = shape("g");
  const names = shape("g", { fill: theme.text });
  chars.forEach((c, i) => {
    const faint = c === "\n" || c === " ";
    names.append(shape("text", { x: left(view, i) + CELL.w / 2, y: above(view, i) + 17, "fill-opacity": faint ? 0.35 : 1 }, c === " " ? "·" : visible(c)));
  });
  const bars = shape("g");
  if (several) {
    const w = (CELL.w - 2) / runs.length;
    runs.forEach((run, r) => {
      let d = "";
      for (let i = 1; i < chars.length; i++) {
        const h = Math.max(0.4, (Math.min(MOST, run.bits[i - 1]) / MOST) * BARS);
        d += `M${(left(view, i) + 1 + r * w).toFixed(1)} ${(above(view, i) + CELL.h + BARS).toFixed(1)}v${(-h).toFixed(1)}h${(w * 0.85).toFixed(2)}v${h.toFixed(1)}z`;
      }
      bars.append(shape("path", { d, fill: colourOf(view, r) }));
    });
  }
  const frame = { width: CELL.w, height: view.high - 3, rx: 2, fill: "none", display: "none" };
  view.frame = shape("rect", { ...frame, stroke: theme.accent, "stroke-width": 2 });
  view.ghost = shape("rect", { ...frame, class: "screen-only", stroke: theme.text, "stroke-width": 1.2 });
  view.svg.append(view.shades, bars, names, view.frame, view.ghost);
  view.paper.replaceChildren(view.svg);
  shadeText(view);
  mark(view);
}

const left = (view, i) => view.places[i].column * CELL.w;
const above = (view, i) => view.places[i].row * view.high;

function shadeText(view) {
  const { chars, runs, mode, theme } = view;
  const rects = [];
  const put = (i, fill, opacity) => rects.push(shape("rect", { x: left(view, i), y: above(view, i), width: CELL.w, height: CELL.h - 1, fill, "fill-opacity": opacity }));
  const earned = runs.map(() => 0);
  let nobody = 0;
  for (let i = 1; i < chars.length; i++) {
    const who = earner(view, i);
    if (who === null) nobody++;
    else earned[who]++;
    if (mode !== WHO) {
      put(i, theme.palette[1] ?? theme.accent, Math.min(1, runs[mode].bits[i - 1] / MOST) * 0.85);
      if ((i - 1) % runs[mode].window === 0 && i > 1)
        rects.push(shape("line", { x1: left(view, i), x2: left(view, i), y1: above(view, i), y2: above(view, i) + CELL.h, stroke: theme.text, "stroke-dasharray": "2 2" }));
    } else if (who !== null) put(i, colourOf(view, who), 0.3);
  }
  view.shades.replaceChildren(...rects);
  view.counts?.forEach((node, r) => (node.textContent = ` ${earned[r]}`));
  if (view.nobody) view.nobody.textContent = `nobody ${nobody}`;
}

function mark(view) {
  const { chars, runs } = view;
  const put = (frame, i) => {
    frame.setAttribute("display", i === null ? "none" : "inline");
    if (i !== null) {
      frame.setAttribute("x", left(view, i));
      frame.setAttribute("y", above(view, i));
    }
  };
  put(view.frame, view.kept);
  put(view.ghost, view.hover);
  const i = view.hover ?? view.kept;
  if (i === null) return view.detail.replaceChildren(element("p", { class: "quiet" }, "Point at a character; click to keep it."));
  view.detail.dataset.at = i;
  const before = chars.slice(Math.max(0, i - 24), i).map(visible).join("");
  const title = element("p", {}, `Character ${i + 1}: ${i > 24 ? "…" : ""}${before}`, element("b", {}, visible(chars[i])));
  if (i === 0) return view.detail.replaceChildren(title, element("p", { class: "quiet" }, "The first character is given, not predicted."));
  const K = view.data.rivals;
  const head = element("tr", { class: "quiet" }, ...["", "bits", "probability", "rank", "expected"].map((t, c) => element("th", { class: c && c < 4 ? "number" : "" }, t)));
  const rows = runs.map((run, r) => {
    const bits = run.bits[i - 1];
    const expected = [...Array(K).keys()].flatMap((k) => [k ? ", " : "", element("b", {}, visible(view.data.characters[run.ids[(i - 1) * K + k]])), ` ${chance(run.chances[(i - 1) * K + k])}`]);
    const swatch = element("span", { class: "swatch", style: `background:${runs.length > 1 ? colourOf(view, r) : (view.theme.palette[1] ?? "")}` });
    const number = (t) => element("td", { class: "number" }, t);
    return element("tr", {}, element("td", {}, swatch, run.name), number(Number.isFinite(bits) ? bits.toFixed(3) : "∞"), number(chance(2 ** -bits)), number(`${run.rank[i - 1]}`), element("td", {}, ...expected));
  });
  view.detail.replaceChildren(title, element("table", {}, head, ...rows));
}

function buildControls(view) {
  const { runs } = view;
  const several = runs.length > 1;
  view.counts = [];
  const choose = (mode) => () => {
    view.mode = mode;
    share(view);
    buildControls(view);
  };
  const button = (mode, title, ...children) => element("button", { type: "button", title, "aria-pressed": view.mode === mode, onclick: choose(mode) }, ...children);
  const parts = [];
  if (several) {
    parts.push(button(WHO, "Colour each character by the first model, in the order of the ladder, that got it nearly for free", "Who earns it"));
    runs.forEach((run, r) => {
      const swatch = element("span", { class: "swatch", style: `background:${colourOf(view, r)}` });
      const count = view.mode === WHO ? [(view.counts[r] = element("span", { class: "quiet" }))] : [];
      parts.push(button(r, `Shade the text by how surprised ${run.name} was`, swatch, run.name, ...count));
    });
  }
  view.nobody = several && view.mode === WHO ? element("span", { class: "quiet" }) : null;
  if (view.nobody) parts.push(view.nobody);
  if (view.mode === WHO) {
    const output = element("output", {});
    const help = "Nearly for free: at most this many bits. 1 bit is a probability of one half";
    const input = element("input", { type: "range", min: 0.1, max: 3, step: 0.1, "aria-label": "free up to", title: help });
    const show = () => (input.style.setProperty("--at", (view.free - 0.1) / 2.9), (output.textContent = view.free === 1 ? "1 bit" : `${view.free} bits`));
    input.value = view.free;
    input.oninput = () => ((view.free = Number(input.value)), show(), share(view), shadeText(view));
    show();
    parts.push(element("label", { title: help }, "free up to", input, output));
  } else {
    const hue = view.theme.palette[1] ?? view.theme.accent;
    const band = element("i", { style: `background: linear-gradient(to right, transparent, color-mix(in srgb, ${hue} 85%, transparent))` });
    parts.push(element("span", { class: "key quiet" }, "0 bits", band, `${MOST} or more`));
  }
  view.controls.replaceChildren(...parts);
  view.foot.replaceChildren(
    element("span", { class: "quiet" }, several ? `Bars: bits paid by each model, up to ${MOST}.` : "Each character is shaded by -log2 of its probability."),
    savers(view, "surprise", () => view.svg, () => table(view)),
  );
  shadeText(view); // fills in the counts
}

function table(view) {
  const { chars, runs } = view;
  const head = ["position", "character", ...runs.flatMap((run) => [`${run.name} bits`, `${run.name} rank`])];
  return [head, ...chars.map((c, i) => [i + 1, visible(c), ...runs.flatMap((run) => (i ? [run.bits[i - 1], run.rank[i - 1]] : ["", ""]))])];
}
