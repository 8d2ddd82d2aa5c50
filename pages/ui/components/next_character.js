// From logits to a character. The logits are here: temperature and cuts are worked out in the browser, as
// core/sampling.py does, and nothing is asked of the server until a character is appended.
const HEIGHT = 300;
const PLOT = { top: 62, bottom: 268, left: 46, right: 8 };
const SHOWN_TERMS = 4; // of a sum of exponentials

export default component(mount, update);

function mount(parent, data) {
  const root = parent.querySelector(".inside");
  const view = { root, ui: initial(data), hover: null, note: "" };
  view.controls = element("div", { class: "bar" });
  view.plot = element("div", { class: "scroll" });
  view.chart = element("div", { class: "chart", tabindex: 0, role: "listbox", "aria-label": "Probability of each character" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.actions = element("div", { class: "bar" });
  view.tree = element("div", { class: "tree" });
  view.plot.append(view.chart);
  root.replaceChildren(view.controls, view.plot, view.detail, view.actions, view.tree);
  view.observer = new ResizeObserver(() => view.data && draw(view));
  view.observer.observe(root);
  buildControls(view, data);
  return view;
}

function initial(data) {
  const ui = { order: asked("order") === "alphabet" ? "alphabet" : "likely", y: asked("y") === "log" ? "log" : "linear", locked: null };
  for (const { name, low, high, initial } of data.settings) {
    const value = Number(asked(name) ?? initial);
    ui[name] = Number.isFinite(value) ? Math.max(low, Math.min(high, value)) : initial;
  }
  ui.locked = data.characters.indexOf(asked("character") ?? "\0");
  if (ui.locked < 0) ui.locked = null;
  return ui;
}

function update(view) {
  const { data } = view;
  if (data.text !== view.text || data.model !== view.model) {
    if (view.text !== undefined && view.data) view.ui.locked = null; // another prediction
    [view.text, view.model] = [data.text, data.model];
  }
  view.busy = false;
  view.logits = unpack(data.logits);
  if (!view.chart.firstChild) buildChart(view);
  buildActions(view);
  buildTree(view);
  changed(view);
  requestAnimationFrame(() => view.chart.classList.add("moves")); // not at first
}

function changed(view) {
  const { ui, data } = view;
  const params = { order: ui.order === "likely" ? null : ui.order, y: ui.y === "linear" ? null : ui.y };
  for (const { name, initial } of data.settings) params[name] = ui[name] === initial ? null : String(ui[name]);
  params.character = ui.locked === null ? null : data.characters[ui.locked];
  mirror(params);
  view.found = distribution(view.logits, ui.temperature, ui.top_k, ui.top_p);
  draw(view);
}

// ---- the arithmetic: the twin of next_distribution in core/sampling.py -----------------------------------------------

function distribution(logits, temperature, topK, topP) {
  const V = logits.length;
  const ids = [...logits.keys()];
  const rank = new Array(V);
  ids.slice().sort((a, b) => logits[b] - logits[a] || a - b).forEach((id, i) => (rank[id] = i));
  const best = rank.indexOf(0);
  if (temperature === 0) {
    const probs = ids.map((id) => (id === best ? 1 : 0));
    return { probs, whole: probs, rank, best, kept: probs.map(Boolean), cut: ids.map((id) => (id === best ? null : "temperature")) };
  }
  const single = Math.fround(temperature);
  const x = Array.from(logits, (l) => Math.fround(l / single)); // single precision, as the model's logits are
  const cut = new Array(V).fill(null);
  const kth = topK > 0 && topK < V ? x.slice().sort((a, b) => b - a)[topK - 1] : -Infinity;
  ids.forEach((id) => x[id] < kth && (cut[id] = "top-k"));
  const shift = Math.max(...x) > 700 ? Math.max(...x) : 0; // e^709 is the largest that fits
  const exps = x.map((v) => Math.exp(v - shift));
  const everything = exps.reduce((a, b) => a + b, 0);
  const sum = exps.reduce((a, b, id) => a + (cut[id] ? 0 : b), 0);
  const soft = exps.map((e, id) => (cut[id] ? 0 : e / sum));
  let probs = soft;
  let mass = 1;
  const before = new Array(V).fill(0);
  if (topP < 1) {
    let running = 0;
    for (const id of ids.slice().sort((a, b) => soft[b] - soft[a] || a - b)) {
      before[id] = running;
      if (!cut[id] && running >= topP) cut[id] = "top-p";
      running += soft[id];
    }
    mass = soft.reduce((a, b, id) => a + (cut[id] ? 0 : b), 0);
    probs = soft.map((s, id) => (cut[id] ? 0 : s / mass));
  }
  return { probs, soft, x, exps, sum, shift, mass, before, cut, rank, best, whole: exps.map((e) => e / everything) };
}

// ---- the bars ------------------------------------------------------------------------------------------------------

function buildChart(view) {
  const { data } = view;
  view.svg = shape("svg", { height: HEIGHT, "font-size": 11 });
  view.axis = shape("g", { "pointer-events": "none" });
  view.line = shape("g", { "pointer-events": "none" });
  view.bars = data.characters.map((character, id) => {
    const hit = shape("rect", { class: "screen-only", y: 0, height: HEIGHT, fill: "transparent" });
    const ghost = shape("rect", { class: "ghost", fill: "none", "stroke-width": 1 });
    const bar = shape("rect", { class: "solid" });
    const name = shape("text", { "text-anchor": "middle", y: PLOT.bottom + 18, "font-size": 13 }, visible(character));
    const value = shape("text", { class: "value", "text-anchor": "start", "font-size": 10 });
    const group = shape("g", { class: "bar-of", role: "option", id: `option-${id}` }, hit, ghost, bar, name, value);
    group.dataset.id = id;
    return { group, hit, ghost, bar, name, value };
  });
  view.svg.append(view.axis, ...view.bars.map((b) => b.group), view.line);
  view.chart.append(view.svg);
  const at = (event) => event.target.closest?.(".bar-of")?.dataset.id;
  const { chart } = view;
  chart.addEventListener("pointermove", (event) => hovered(view, at(event)));
  chart.addEventListener("pointerleave", () => hovered(view, undefined));
  chart.addEventListener("click", (event) => at(event) !== undefined && lock(view, Number(at(event))));
  chart.addEventListener("dblclick", (event) => at(event) !== undefined && append(view, Number(at(event))));
  chart.addEventListener("keydown", (event) => pressed(view, event));
}

function hovered(view, id) {
  const next = id === undefined ? null : Number(id);
  if (next === view.hover) return;
  view.hover = next;
  mark(view);
}

function lock(view, id) {
  view.ui.locked = view.ui.locked === id ? null : id;
  view.note = "";
  mirror({ character: view.ui.locked === null ? null : view.data.characters[view.ui.locked] });
  mark(view);
}

function pressed(view, event) {
  const order = sequence(view);
  const at = order.indexOf(view.ui.locked ?? order[0]);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: order.length - 1 }[event.key];
  if (event.key === "Enter") append(view, view.ui.locked ?? view.found.best);
  else if (event.key === "Backspace") back(view);
  else if (event.key === "Escape") view.ui.locked !== null && lock(view, view.ui.locked);
  else if (to !== undefined) {
    const id = order[Math.max(0, Math.min(order.length - 1, view.ui.locked === null && event.key === "ArrowRight" ? 0 : to))];
    if (id !== view.ui.locked) lock(view, id);
  } else return;
  event.preventDefault();
}

function sequence(view) {
  const ids = view.data.characters.map((_, id) => id);
  return view.ui.order === "alphabet" ? ids : ids.sort((a, b) => view.found.rank[a] - view.found.rank[b]);
}

function draw(view) {
  const { ui, data, found, theme } = view;
  if (!found) return;
  const V = data.characters.length;
  const width = Math.max(Math.floor(view.root.clientWidth), Math.ceil(11.5 * V) + PLOT.left + PLOT.right);
  const each = (width - PLOT.left - PLOT.right) / V;
  view.svg.setAttribute("width", width);
  view.svg.setAttribute("font-family", theme.font);
  const shown = [...found.probs, ...found.whole].filter((p) => p > 0);
  const floor = 10 ** Math.floor(Math.log10(Math.max(1e-12, Math.min(...shown))));
  const top = ui.y === "log" ? 1 : Math.max(...shown);
  const part = (p) => (ui.y === "log" ? Math.max(0, 1 - Math.log10(Math.max(p, floor)) / Math.log10(floor)) : p / top);
  const height = (p) => (p > 0 ? Math.max(0.5, part(p) * (PLOT.bottom - PLOT.top)) : 0);
  const order = sequence(view);
  order.forEach((id, i) => {
    const { group, hit, ghost, bar, name, value } = view.bars[id];
    const [p, before] = [found.probs[id], found.whole[id]];
    group.style.transform = `translate(${(PLOT.left + i * each).toFixed(2)}px,0px)`;
    const box = (node, p) => {
      const h = height(p);
      for (const [k, v] of Object.entries({ x: each * 0.14, width: each * 0.72, y: PLOT.bottom - h, height: h })) node.setAttribute(k, v);
    };
    hit.setAttribute("width", each);
    box(bar, p);
    box(ghost, found.cut[id] ? before : 0);
    ghost.setAttribute("stroke", theme.text);
    ghost.setAttribute("stroke-opacity", 0.35);
    ghost.setAttribute("stroke-dasharray", "2 2");
    bar.setAttribute("fill", theme.palette[0] ?? theme.accent);
    name.setAttribute("x", each / 2);
    name.setAttribute("fill", theme.text);
    name.setAttribute("font-family", theme.mono);
    const y = PLOT.bottom - Math.max(height(p), found.cut[id] ? height(before) : 0) - 5;
    value.setAttribute("transform", found.cut[id] ? `translate(${each / 2 - 3} ${y})` : `translate(${each / 2 + 3.5} ${y}) rotate(-90)`);
    value.setAttribute("fill", theme.text);
    value.setAttribute("fill-opacity", found.cut[id] ? 0.45 : 0.85);
    value.textContent = chance(found.cut[id] ? 0 : p);
    group.dataset.p = p;
    group.setAttribute("aria-label", `${visible(data.characters[id])}: ${chance(p)}${found.cut[id] ? `, cut by ${found.cut[id]}` : ""}`);
  });
  drawAxis(view, width, top, floor, height);
  drawCut(view, order, each, height, width);
  const kept = found.cut.filter((c) => !c).length;
  view.root.dataset.kept = kept;
  view.count.textContent = kept === V ? `all ${V} characters can be drawn` : `${kept} of ${V} characters can be drawn`;
  mark(view);
}

function drawAxis(view, width, top, floor, height) {
  const { ui, theme } = view;
  const ticks = [];
  if (ui.y === "log") {
    const decades = Math.round(-Math.log10(floor));
    for (let i = 0; i <= decades; i += Math.ceil(decades / 4)) ticks.push(10 ** -i);
  } else {
    const rough = top / 4;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough);
    for (let i = 0; i * step <= top * 1.001; i++) ticks.push(i * step);
  }
  view.axis.replaceChildren(
    ...ticks.flatMap((tick) => {
      const y = PLOT.bottom - (tick === floor && ui.y === "log" ? 0 : height(tick));
      const words = ui.y === "log" ? (tick === 1 ? "1" : tick.toExponential(0)) : String(Number(tick.toPrecision(3)));
      return [
        shape("line", { x1: PLOT.left, x2: width - PLOT.right, y1: y, y2: y, stroke: theme.line }),
        shape("text", { x: PLOT.left - 6, y: y + 4, "text-anchor": "end", fill: theme.text, "fill-opacity": 0.7 }, words),
      ];
    }),
  );
}

// The cut is drawn where it falls: between two bars when they stand in order, else as the height that a bar must reach.
function drawCut(view, order, each, height, width) {
  const { found, ui, theme } = view;
  const kept = order.filter((id) => !found.cut[id]);
  const out = order.filter((id) => found.cut[id]);
  if (!out.length || ui.temperature === 0) return view.line.replaceChildren();
  const reasons = [...new Set(out.map((id) => found.cut[id]))].sort();
  const words = reasons.map((r) => (r === "top-k" ? `top-k: the ${ui.top_k} likeliest` : `top-p: at least ${ui.top_p} of the probability`)).join(", ");
  const style = { stroke: theme.accent, "stroke-width": 1.5, "stroke-dasharray": "5 3" };
  const say = (x, y, anchor) => shape("text", { x, y, fill: theme.accent, "text-anchor": anchor }, words);
  if (ui.order === "likely") {
    const x = PLOT.left + kept.length * each;
    const right = x < width / 2;
    view.line.replaceChildren(shape("line", { x1: x, x2: x, y1: 6, y2: PLOT.bottom + 24, ...style }), say(right ? x + 6 : x - 6, 16, right ? "start" : "end"));
  } else {
    const y = PLOT.bottom - height(Math.min(...kept.map((id) => found.whole[id])));
    view.line.replaceChildren(shape("line", { x1: PLOT.left, x2: width - PLOT.right, y1: y, y2: y, ...style }), say(width - PLOT.right, 16, "end"));
  }
}

function mark(view) {
  const { ui, theme, found } = view;
  const focus = view.hover ?? ui.locked ?? found.best;
  view.bars.forEach(({ group, bar, name }, id) => {
    bar.setAttribute("fill", id === focus ? theme.accent : (theme.palette[0] ?? theme.accent));
    name.setAttribute("font-weight", id === focus ? 700 : 400);
    name.setAttribute("fill", id === focus ? theme.accent : theme.text);
    group.setAttribute("aria-selected", id === ui.locked);
    bar.setAttribute("stroke", id === ui.locked ? theme.text : "none");
  });
  if (ui.locked === null) view.chart.removeAttribute("aria-activedescendant");
  else view.chart.setAttribute("aria-activedescendant", `option-${ui.locked}`);
  spell(view, focus);
  const chosen = ui.locked ?? found.best;
  view.append.textContent = `Append ${visible(view.data.characters[chosen])}`;
}

// ---- in words and numbers --------------------------------------------------------------------------------------------

const digits = (v) => (Number.isFinite(v) ? v.toFixed(4) : String(v));
const large = (v) => (v !== 0 && (v >= 1e5 || v < 0.001) ? v.toExponential(4) : v.toFixed(4));

function spell(view, id) {
  const { found, ui, data, logits } = view;
  const strong = (text) => element("b", {}, text);
  const line = (...parts) => element("p", {}, ...parts);
  const name = visible(data.characters[id]);
  const place = `${found.rank[id] + 1} of ${logits.length} by likelihood`;
  const lines = [];
  view.detail.dataset.character = data.characters[id];
  if (ui.temperature === 0) {
    const verdict = id === found.best ? "it has the largest logit and takes all: probability 1" : `${visible(data.characters[found.best])} has the largest logit and takes all: probability 0`;
    lines.push(line(strong(name), ` has logit ${digits(logits[id])}, ${place}.`), line(`At temperature 0 nothing is drawn: ${verdict}.`));
  } else {
    lines.push(line(strong(name), " has ", strong(`logit ${digits(logits[id])}`), ` ÷ temperature ${ui.temperature.toFixed(2)} = `, strong(digits(found.x[id])), `, ${place}.`));
    if (found.cut[id] === "top-k") lines.push(line(`Top-k keeps the ${ui.top_k} likeliest: cut, probability `, strong("0"), ` (without the cut ${chance(found.whole[id])}).`));
    else {
      const minus = found.shift ? ` − ${digits(found.shift)}` : "";
      const power = (i) => `exp(${digits(found.x[i])}${minus})`;
      const terms = data.characters.map((_, i) => i).filter((i) => found.cut[i] !== "top-k").sort((a, b) => found.rank[a] - found.rank[b]);
      const shown = terms.slice(0, SHOWN_TERMS);
      const sum = shown.flatMap((i, at) => [at ? " + " : "", i === id ? strong(power(i)) : power(i)]);
      const more = terms.length - shown.length;
      const rest = more > 0 ? ` + ${more} more${shown.includes(id) ? "" : ", this one among them"}` : "";
      lines.push(line("Softmax: ", strong(power(id)), " / (", ...sum, rest, `) = ${large(found.exps[id])} / ${large(found.sum)} = `, strong(chance(found.soft[id])), "."));
      if (ui.top_p < 1) {
        const likelier = `likelier ones hold ${chance(found.before[id])}`;
        lines.push(
          found.cut[id]
            ? line(`Top-p ${ui.top_p}: ${likelier}, which is enough: cut, probability `, strong("0"), ".")
            : line(`Top-p ${ui.top_p}: ${likelier}, so it stays; the kept ones hold ${chance(found.mass)}: ${chance(found.soft[id])} / ${chance(found.mass)} = `, strong(chance(found.probs[id])), "."),
        );
      }
    }
  }
  if (view.note) lines.push(element("p", { class: "quiet" }, view.note));
  view.detail.replaceChildren(...lines);
}

// ---- controls --------------------------------------------------------------------------------------------------------

function buildControls(view, data) {
  const sliders = data.settings.map(({ name, low, high, step, help }) => {
    const value = () => (name === "top_k" && !view.ui[name] ? "off" : name === "top_p" && view.ui[name] === 1 ? "off" : String(view.ui[name]));
    const output = element("output", {});
    const input = element("input", { type: "range", min: low, max: high, step, title: help, "aria-label": name });
    const show = () => {
      input.style.setProperty("--at", (view.ui[name] - low) / (high - low));
      output.textContent = value();
    };
    input.value = view.ui[name];
    input.oninput = () => {
      view.ui[name] = Number(input.value);
      show();
      changed(view);
    };
    show();
    return element("label", { title: help }, name, input, output);
  });
  const choice = (name, label, help, options) => {
    const select = element("select", { title: help, "aria-label": label }, ...options.map(([value, words]) => element("option", { value }, words)));
    select.value = view.ui[name];
    select.onchange = () => ((view.ui[name] = select.value), changed(view));
    return element("label", { title: help }, label, select);
  };
  view.count = element("span", { class: "quiet" });
  view.controls.append(
    ...sliders,
    choice("order", "order", "In which order the characters stand", [["likely", "likeliest first"], ["alphabet", "alphabet"]]),
    choice("y", "y axis", "The logarithm shows how small the small ones are", [["linear", "linear"], ["log", "log"]]),
    view.count,
  );
}

function buildActions(view) {
  const { data } = view;
  const button = (words, title, onclick, extra = {}) => element("button", { type: "button", title, onclick, ...extra }, words);
  view.append = button("", "Append the character shown below the bars (Enter, or double-click a bar)", () => append(view, view.ui.locked ?? view.found.best));
  view.actions.replaceChildren(
    button("Draw one", "Draw a character with these probabilities and append it", () => drawOne(view), { class: "first" }),
    view.append,
    button("Back one", "Take the last character away again; the branch stays in the list (Backspace)", () => back(view), data.can_go_back ? {} : { disabled: "" }),
    savers(view, "next-character", () => view.svg, () => table(view)),
  );
}

function table(view) {
  const { data, logits, found, ui } = view;
  const head = ["character", "logit", "logit_over_temperature", "cut_by", "probability", "rank"];
  return [head, ...data.characters.map((c, id) => [visible(c), logits[id], ui.temperature ? found.x[id] : "", found.cut[id] ?? "", found.probs[id], found.rank[id] + 1])];
}

// Where a number between 0 and 1 falls when the probabilities are laid end to end.
function drawOne(view) {
  const { found, data } = view;
  const u = Math.random();
  let running = 0;
  let taken = found.best;
  for (const id of sequence(view)) {
    if (!found.probs[id]) continue;
    taken = id;
    if ((running += found.probs[id]) > u) break;
  }
  const p = found.probs[taken];
  append(view, taken, `Drew ${visible(data.characters[taken])}: the random number ${u.toFixed(4)} fell into its stretch from ${(running - p).toFixed(4)} to ${running.toFixed(4)}.`);
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
  const shown = (words) => [...words].map(visible).join("");
  const head = element("p", {}, "Branches", element("span", { class: "quiet" }, ", the likeliest first: what was appended, and its log-probability under the model (temperature 1, no cut)"));
  const rows = branches.map(({ added, nats }) => {
    const here = text === rootText + added;
    const each = (nats / Math.max(1, [...added].length)).toFixed(3);
    const go = element("button", { type: "button", title: "Go back to this branch", class: "branch", "aria-pressed": here, onclick: () => send(view, { kind: "go", to: added }) }, shown(added) || "(the prompt)");
    return element("tr", {}, element("td", {}, go), element("td", { class: "number" }, `${nats.toFixed(3)} nats`), element("td", { class: "number quiet" }, `${each} a character`));
  });
  view.tree.replaceChildren(head, element("table", {}, ...rows));
}
