// The graph is built once per expression and numbers; a step only changes classes and text.
const SVG = "http://www.w3.org/2000/svg";
const BOX = { w: 118, h: 58 };
const GAP = { x: 172, y: 74 };
const TICK = 900; // ms a step while playing
const views = new WeakMap();

export default function ({ data, parentElement }) {
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = mount(parentElement)));
  if (data.serial !== view.data?.serial) build(view, data);
  const call = ++view.calls;
  return () =>
    setTimeout(() => {
      if (view.calls !== call) return;
      clearInterval(view.timer);
      views.delete(parentElement);
    });
}

function mount(parent) {
  const view = { root: parent.querySelector(".graph-steps"), calls: 0, step: 0, buttons: {} };
  for (const name of ["controls", "told"]) view[name] = view.root.querySelector("." + name);
  view.svg = view.root.querySelector("svg");
  const add = (name, label, title, act) => {
    const button = element("button", label, view.controls);
    button.title = title;
    button.type = "button";
    button.addEventListener("click", act);
    view.buttons[name] = button;
  };
  view.controls.replaceChildren();
  add("first", "«", "Back to the inputs", () => go(view, 0));
  add("back", "Back", "One step back", () => go(view, view.step - 1));
  add("next", "Next", "One step: a value forward, then a gradient backward", () => go(view, view.step + 1));
  add("play", "Play", "Step by itself", () => play(view));
  add("last", "»", "All values and gradients", () => go(view, Infinity));
  view.buttons.next.className = "main";
  view.slider = element("input", "", view.controls);
  Object.assign(view.slider, { type: "range", min: 0, value: 0, ariaLabel: "Step" });
  view.slider.addEventListener("input", () => go(view, +view.slider.value));
  view.where = element("span", "", view.controls);
  view.where.className = "where";
  return view;
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function draw(tag, attributes, parent, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function build(view, data) {
  view.data = data;
  const { svg } = view;
  svg.replaceChildren();
  const width = Math.max(...data.nodes.map((n) => n.x)) * GAP.x + BOX.w + 8;
  const height = Math.max(...data.nodes.map((n) => n.y)) * GAP.y + BOX.h + 8;
  svg.setAttribute("viewBox", `-4 -4 ${width} ${height}`);
  svg.style.maxWidth = width * 1.25 + "px";
  svg.style.minWidth = width * 0.72 + "px";
  const at = (n) => [n.x * GAP.x, n.y * GAP.y];
  const twice = new Map();
  view.edges = data.edges.map(({ source, target, slope }) => {
    const nth = twice.get(`${source}>${target}`) ?? 0; // x * x: two edges, one a little lower
    twice.set(`${source}>${target}`, nth + 1);
    const [x0, y0] = [at(data.nodes[source])[0] + BOX.w, at(data.nodes[source])[1] + BOX.h / 2 + 12 * nth];
    const [x1, y1] = [at(data.nodes[target])[0], at(data.nodes[target])[1] + BOX.h / 2 + 12 * nth];
    const middle = (x0 + x1) / 2;
    const path = draw("path", { class: "edge", d: `M${x0},${y0} C${middle},${y0} ${middle},${y1} ${x1},${y1}` }, svg);
    return { path, slope, x: x0 + (x1 - x0) * 0.5, y: (y0 + y1) / 2 - 4 };
  });
  view.nodes = data.nodes.map((node) => {
    const [x, y] = at(node);
    const group = draw("g", { class: "node " + node.kind, transform: `translate(${x},${y})` }, svg);
    draw("rect", { width: BOX.w, height: BOX.h, rx: 8 }, group);
    const made = { neg: "− ( )", "+": "+", "-": "−" }[node.op] ?? node.op;
    draw("text", { x: 8, y: 17, class: "name" }, group, node.kind === "constant" ? "constant" : node.name);
    draw("text", { x: BOX.w - 8, y: 17, "text-anchor": "end", class: "small" }, group, made);
    const value = draw("text", { x: 8, y: 34 }, group);
    const grad = draw("text", { x: 8, y: 51, class: "grad" }, group);
    return { group, value, grad };
  });
  view.labels = view.edges.map((edge) => draw("text", { class: "slope", x: edge.x, y: edge.y, "text-anchor": "middle" }, svg));
  view.slider.max = data.steps.length;
  go(view, Math.min(view.step, data.steps.length));
}

function go(view, step, keepPlaying = false) {
  if (!keepPlaying) stop(view);
  const { steps, nodes } = view.data;
  view.step = Math.max(0, Math.min(steps.length, step));
  const done = steps.slice(0, view.step);
  const now = done[done.length - 1];
  const known = { forward: new Set(), backward: new Set() };
  for (const each of done) known[each.phase].add(each.node);
  nodes.forEach((node, i) => {
    const has = node.kind !== "operation" || known.forward.has(i);
    view.nodes[i].value.textContent = "value " + (has ? short(node.data) : "·");
    view.nodes[i].grad.textContent = node.kind === "constant" ? "" : "grad  " + (known.backward.has(i) ? short(node.grad) : "·");
    view.nodes[i].group.classList.toggle("now", now?.node === i);
  });
  view.edges.forEach((edge, i) => {
    const lit = Boolean(now?.edges.includes(i));
    edge.path.classList.toggle("now", lit);
    view.labels[i].textContent = lit && now.phase === "backward" ? "× " + short(edge.slope) : "";
  });
  const forward = steps.filter((s) => s.phase === "forward").length;
  view.told.replaceChildren();
  element("b", now ? now.title : "The inputs are given.", view.told);
  for (const line of now ? now.lines : ["Next computes the first value."]) element("div", line, view.told);
  view.where.textContent =
    view.step === 0
      ? `${forward} values, ${steps.length - forward} gradients`
      : view.step <= forward
        ? `forward ${view.step} of ${forward}`
        : `backward ${view.step - forward} of ${steps.length - forward}`;
  view.slider.value = view.step;
  view.root.dataset.step = view.step;
  view.buttons.first.disabled = view.buttons.back.disabled = view.step === 0;
  view.buttons.next.disabled = view.buttons.last.disabled = view.step === steps.length;
}

function play(view) {
  if (view.timer) return stop(view);
  if (view.step === view.data.steps.length) go(view, 0);
  view.buttons.play.textContent = "Pause";
  view.timer = setInterval(() => {
    go(view, view.step + 1, true);
    if (view.step === view.data.steps.length) stop(view);
  }, TICK);
}

function stop(view) {
  clearInterval(view.timer);
  view.timer = null;
  view.buttons.play.textContent = "Play";
}

function short(number) {
  const shown = Number(number.toPrecision(4));
  return String(Object.is(shown, -0) ? 0 : shown).replace("-", "−");
}
