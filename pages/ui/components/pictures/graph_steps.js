// The graph is built once per expression and numbers; a step only changes classes and text.
import { component } from "../shared/component.js";
import { element, scroller, shape } from "../shared/dom.js";
import { Player } from "../shared/player.js";

const BOX = { w: 118, h: 58 };
const GAP = { x: 172, y: 74 };
const TICK = 900; // ms a step while playing
const SIGNS = { neg: "− ( )", "+": "+", "-": "−" };
const NAMES = {
  first: "Back to the inputs",
  back: "One step back",
  next: "One step: a value forward, then a gradient backward",
  play: "Step by itself",
  end: "All values and gradients",
  step: "Next",
  main: "next",
};

export default component(mount, update);

function mount(view) {
  view.player = new Player(view, { names: NAMES, pace: () => 1 / TICK, show: (step) => show(view, step) });
  view.svg = shape("svg", { role: "img", "aria-label": "Computation graph" });
  view.told = element("div", { class: "told", "aria-live": "polite" });
  const group = { class: "bar steps", role: "group", "aria-label": "Steps through the graph" };
  const box = element("div", { class: "scroll" }, view.svg);
  view.root.append(element("div", group, ...view.player.controls), box, view.told);
  view.fit = scroller(view, box);
}

function update(view, data) {
  if (!view.fresh) return;
  view.data = data;
  const width = Math.max(...data.nodes.map((n) => n.x)) * GAP.x + BOX.w + 8;
  const height = Math.max(...data.nodes.map((n) => n.y)) * GAP.y + BOX.h + 8;
  view.svg.setAttribute("viewBox", `-4 -4 ${width} ${height}`);
  Object.assign(view.svg.style, { maxWidth: `${width * 1.25}px`, minWidth: `${width * 0.72}px` });
  view.edges = edges(data);
  view.nodes = data.nodes.map(node);
  const parts = [
    ...view.edges.map((e) => e.path),
    ...view.nodes.map((n) => n.group),
    ...view.edges.map((e) => e.label),
  ];
  view.svg.replaceChildren(...parts);
  view.fit();
  view.player.reset(data.steps.length, Math.min(view.player.step, data.steps.length));
}

function edges(data) {
  const twice = new Map();
  const at = ({ x, y }) => [x * GAP.x, y * GAP.y];
  return data.edges.map(({ source, target, slope }) => {
    const nth = twice.get(`${source}>${target}`) ?? 0; // x * x: two edges, one a little lower
    twice.set(`${source}>${target}`, nth + 1);
    const [[left, top], [x1, y]] = [at(data.nodes[source]), at(data.nodes[target])];
    const down = BOX.h / 2 + 12 * nth;
    const [x0, y0, y1] = [left + BOX.w, top + down, y + down];
    const middle = (x0 + x1) / 2;
    const path = shape("path", { class: "edge", d: `M${x0},${y0} C${middle},${y0} ${middle},${y1} ${x1},${y1}` });
    const label = shape("text", { class: "slope", x: middle, y: (y0 + y1) / 2 - 4, "text-anchor": "middle" });
    return { path, label, slope };
  });
}

function node({ x, y, kind, name, op }) {
  const text = (attributes, words = "") => shape("text", { x: 8, ...attributes }, words);
  const value = text({ y: 34 });
  const grad = text({ y: 51, class: "grad" });
  const group = shape(
    "g",
    { class: `node ${kind}`, transform: `translate(${x * GAP.x},${y * GAP.y})` },
    shape("rect", { width: BOX.w, height: BOX.h, rx: 8 }),
    text({ y: 17, class: "name" }, kind === "constant" ? "constant" : name),
    text({ x: BOX.w - 8, y: 17, "text-anchor": "end", class: "small" }, SIGNS[op] ?? op),
    value,
    grad,
  );
  return { group, value, grad };
}

function show(view, step) {
  const { steps, nodes } = view.data;
  const done = steps.slice(0, step);
  const now = done.at(-1);
  const known = { forward: new Set(), backward: new Set() };
  for (const { phase, node: at } of done) known[phase].add(at);
  for (const [i, { kind, data, grad }] of nodes.entries()) {
    const has = kind !== "operation" || known.forward.has(i);
    view.nodes[i].value.textContent = `value ${has ? exact(data) : "·"}`;
    view.nodes[i].grad.textContent = kind === "constant" ? "" : `grad  ${known.backward.has(i) ? exact(grad) : "·"}`;
    view.nodes[i].group.classList.toggle("now", now?.node === i);
  }
  for (const [i, { path, label, slope }] of view.edges.entries()) {
    const lit = Boolean(now?.edges.includes(i));
    path.classList.toggle("now", lit);
    label.textContent = lit && now.phase === "backward" ? `× ${exact(slope)}` : "";
  }
  const lines = now ? now.lines : ["Next computes the first value."];
  const title = element("b", {}, now ? now.title : "The inputs are given.");
  view.told.replaceChildren(title, ...lines.map((line) => element("div", {}, line)));
  const forward = steps.filter(({ phase }) => phase === "forward").length;
  const backward = steps.length - forward;
  const part = step <= forward ? `forward ${step} of ${forward}` : `backward ${step - forward} of ${backward}`;
  view.player.where.textContent = step ? part : `${forward} values, ${backward} gradients`;
}

function exact(number) {
  const shown = Number(number.toPrecision(4));
  return String(Object.is(shown, -0) ? 0 : shown).replace("-", "−");
}
