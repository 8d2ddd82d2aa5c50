// The graph of an expression, one step at a time: a value forward, then a gradient backward.
import { component } from "../shared/component.js";
import { element, scroller } from "../shared/dom.js";
import { Player } from "../shared/player.js";
import { html, render, svg } from "../shared/vendor/lit-html.js";

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
  view.box = element("div", { class: "scroll" });
  view.told = element("div", { class: "told", "aria-live": "polite" });
  view.root.append(view.player.bar, view.box, view.told);
  view.fit = scroller(view, view.box);
}

function update(view, data) {
  if (!view.fresh) return;
  view.data = data;
  view.player.reset(data.steps.length, Math.min(view.player.step, data.steps.length));
  view.fit();
}

function show(view, step) {
  const { steps, nodes, edges } = view.data;
  const done = steps.slice(0, step);
  const now = done.at(-1);
  const known = { forward: new Set(), backward: new Set() };
  for (const { phase, node: at } of done) known[phase].add(at);
  const width = Math.max(...nodes.map((n) => n.x)) * GAP.x + BOX.w + 8;
  const height = Math.max(...nodes.map((n) => n.y)) * GAP.y + BOX.h + 8;
  const lines = places(nodes, edges).map((edge, i) => ({ ...edge, lit: Boolean(now?.edges.includes(i)) }));
  const path = ({ d, lit }) => svg`<path class="edge ${lit ? "now" : ""}" d=${d}></path>`;
  const slopeOf = ({ x, y, slope, lit }) =>
    svg`<text class="slope" x=${x} y=${y} text-anchor="middle">${
      lit && now.phase === "backward" ? `× ${exact(slope)}` : ""
    }</text>`;
  const picture = html`<svg role="img" aria-label="Computation graph" viewBox="-4 -4 ${width} ${height}"
    style="max-width: ${width * 1.25}px; min-width: ${width * 0.72}px">${lines.map(path)}
    ${nodes.map((node, i) => nodeOf(node, i, known, now?.node === i))}${lines.map(slopeOf)}</svg>`;
  render(picture, view.box);
  const said = now ? now.lines : ["Next computes the first value."];
  const title = now ? now.title : "The inputs are given.";
  render(html`<b>${title}</b>${said.map((line) => html`<div>${line}</div>`)}`, view.told);
  view.root.dataset.step = step;
  const forward = steps.filter(({ phase }) => phase === "forward").length;
  const backward = steps.length - forward;
  const part = step <= forward ? `forward ${step} of ${forward}` : `backward ${step - forward} of ${backward}`;
  return html`<span class="where">${step ? part : `${forward} values, ${backward} gradients`}</span>`;
}

function places(nodes, edges) {
  const twice = new Map();
  const at = ({ x, y }) => [x * GAP.x, y * GAP.y];
  return edges.map(({ source, target, slope }) => {
    const nth = twice.get(`${source}>${target}`) ?? 0; // x * x: two edges, one a little lower
    twice.set(`${source}>${target}`, nth + 1);
    const [[left, top], [x1, y]] = [at(nodes[source]), at(nodes[target])];
    const down = BOX.h / 2 + 12 * nth;
    const [x0, y0, y1] = [left + BOX.w, top + down, y + down];
    const middle = (x0 + x1) / 2;
    const d = `M${x0},${y0} C${middle},${y0} ${middle},${y1} ${x1},${y1}`;
    return { d, slope, x: middle, y: (y0 + y1) / 2 - 4 };
  });
}

function nodeOf({ x, y, kind, name, op, data, grad }, i, known, now) {
  const value = kind !== "operation" || known.forward.has(i) ? exact(data) : "·";
  const gradient = kind === "constant" ? "" : `grad  ${known.backward.has(i) ? exact(grad) : "·"}`;
  return svg`<g class="node ${kind} ${now ? "now" : ""}" transform="translate(${x * GAP.x},${y * GAP.y})">
    <rect width=${BOX.w} height=${BOX.h} rx="8"></rect>
    <text x="8" y="17" class="name">${kind === "constant" ? "constant" : name}</text>
    <text x=${BOX.w - 8} y="17" text-anchor="end" class="small">${SIGNS[op] ?? op}</text>
    <text x="8" y="34">value ${value}</text><text x="8" y="51" class="grad">${gradient}</text></g>`;
}

function exact(number) {
  const shown = Number(number.toPrecision(4));
  return String(Object.is(shown, -0) ? 0 : shown).replace("-", "−");
}
