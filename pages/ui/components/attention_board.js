// The attention board: what is hovered, what is locked, and who draws what. Messages are described in the .py file.
// One rule everywhere: what is looked at is what is hovered, else what is locked.
const views = new WeakMap();
const SORTS = [["layer", "layer and head"], ["entropy", "entropy, sharpest first"], ["distance", "distance, nearest first"]];
const HELP = {
  toward: "From: the characters that the chosen one looks at. To: the later characters that look at it.",
  by: "Weight: the softmax alone. Weight × value: times the length of what is written, ‖weight · v W_O‖: a large weight on an empty value moves nothing.",
  shade: "Whose attention shades the text: the opened head, each chosen head as a band of its colour, or the largest of all heads.",
  show: "One head as a map (row: query, column: key) or as lines from each query on the left to its keys on the right.",
  sort: "By layer, or by how much a head does one thing.",
  only: "Only heads with this label.",
  several: "While this is on, a click adds a head or takes it away. Shift + click does the same.",
  rows: "The keys in the order of the text, or the heaviest first.",
  png: "The picture as it stands, twice as fine.",
  svg: "The picture as it stands, as vectors.",
};

export default function ({ data, parentElement, setTriggerValue }) {
  const message = decode(data);
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = mount(parentElement, message)));
  view.send = setTriggerValue;
  readTheme(view);
  if (message.header.serial !== view.header?.serial) receive(view, message);
  redraw(view, "board", "head", "text", "query");
  const call = ++view.calls;
  return () => setTimeout(() => view.calls === call && (view.observer.disconnect(), views.delete(parentElement)));
}

// ---- messages ------------------------------------------------------------------------------------------------------

function decode(bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const blocks = new Map();
  let at = 4 + size;
  for (const { name, type, bytes: length } of header.blocks) {
    blocks.set(name, type === "u2" ? new Uint16Array(buffer, at, length / 2) : new Float32Array(buffer, at, length / 4));
    at += length + ((4 - (length % 4)) % 4);
  }
  return { header, blocks };
}

function receive(view, { header, blocks }) {
  const began = performance.now();
  view.header = header;
  if (blocks.has("pattern")) {
    const T = header.tokens.length;
    const [L, H] = [header.layers, header.heads];
    view.board = { id: header.board, L, H, T, tri: (T * (T + 1)) / 2, tokens: header.tokens, pattern: blocks.get("pattern"), norm: blocks.get("norm") };
    view.details = new Map();
    view.largest = null;
    view.hover = {};
    view.began = began;
    view.reveal = true;
    showText(view);
  }
  for (const [name, values] of blocks) {
    const [head, part] = name.split(":");
    if (!part) continue;
    if (!view.details.has(head)) view.details.set(head, {});
    view.details.get(head)[part] = values;
  }
  view.sequential = scaleOf(header.sequential);
  view.diverging = scaleOf(header.diverging);
  const given = JSON.stringify(header.view);
  if (view.ui && (header.seq !== null || given === view.known)) fit(view);
  else {
    view.ui = parse(header.view);
    view.known = given;
    fit(view);
  }
  showControls(view);
}

function parse({ heads = "", query = "", mode = "" }) {
  const words = mode.split(",");
  const pick = (...allowed) => allowed.find((w) => words.includes(w)) ?? allowed[0];
  const named = (name, usual) => words.find((w) => w.startsWith(name + ":"))?.slice(name.length + 1) ?? usual;
  return {
    heads: heads.split(",").filter(Boolean),
    query: query === "" ? null : +query,
    toward: pick("from", "to"),
    by: pick("weight", "value"),
    shade: pick("head", "chosen", "max"),
    show: pick("map", "lines"),
    sort: named("sort", "layer"),
    only: named("only", "all"),
  };
}

function written(ui) {
  const usual = parse({});
  const words = ["toward", "by", "shade", "show"].filter((n) => ui[n] !== usual[n]).map((n) => ui[n]);
  if (ui.sort !== "layer") words.push("sort:" + ui.sort);
  if (ui.only !== "all") words.push("only:" + ui.only);
  const made = { heads: ui.heads.join(","), query: ui.query === null ? "" : String(ui.query), mode: words.join(",") };
  return Object.fromEntries(Object.entries(made).filter(([, value]) => value));
}

// Bring what is locked within the board, and work out the order of the heads.
function fit(view) {
  const { ui, board, header } = view;
  const known = (name) => /^\d+\.\d+$/.test(name) && +name.split(".")[0] < board.L && +name.split(".")[1] < board.H;
  ui.heads = ui.heads.filter(known).slice(-8);
  if (!ui.heads.length) ui.heads = ["0.0"];
  if (ui.query !== null && ui.query >= board.T) ui.query = null;
  const kind = header.kinds?.findIndex((k) => k.key === ui.sort) ?? -1;
  if (!["layer", "entropy", "distance"].includes(ui.sort) && kind < 0 && !(ui.sort === "price" && header.prices)) ui.sort = "layer";
  if (!header.about) ui.only = "all";
  if (!header.about && ui.sort !== "price") ui.sort = "layer";
  const rank = (head) => {
    const name = view.nameOf(head);
    if (ui.sort === "layer") return head;
    if (ui.sort === "price") return -(header.prices[name]?.[0] ?? -Infinity);
    const about = header.about[name];
    return kind < 0 ? about[ui.sort] : -(about.lift[kind] ?? -1);
  };
  const all = Array.from({ length: board.L * board.H }, (_, i) => i);
  view.order = all.filter((head) => ui.only === "all" || header.about[view.nameOf(head)].label === ui.only);
  view.order.sort((a, b) => rank(a) - rank(b) || a - b);
}

function changed(view) {
  fit(view);
  view.reveal = true;
  showControls(view);
  redraw(view, "board", "head", "text", "query");
  const now = written(view.ui);
  const told = JSON.stringify(now);
  if (told === view.known) return;
  view.known = told;
  const have = [view.board.id, ...[...view.details.keys()].map((head) => `${view.board.id}:${head}`)];
  view.send("act", { seq: ++view.seq, have, view: now });
}

// ---- what is looked at ---------------------------------------------------------------------------------------------

function mount(parent) {
  const root = parent.querySelector(".attention");
  const view = { root, calls: 0, seq: 0, hover: {}, details: new Map(), dirty: new Set(), paints: 0, rowsBy: "weight", several: false };
  view.nameOf = (head) => `${Math.floor(head / view.board.H)}.${head % view.board.H}`;
  view.indexOf = (name) => name.split(".").reduce((l, h) => +l * view.board.H + +h);
  view.chosen = () => view.ui.heads.map(view.indexOf);
  view.opened = () => view.ui.heads.at(-1);
  view.shownHeads = () => (view.hover.head === undefined ? view.chosen() : [view.hover.head]);
  view.colourOf = (head) => {
    const at = view.chosen().indexOf(head);
    return at < 0 ? (head === view.hover.head ? view.theme.primary : null) : view.theme.palette[at % view.theme.palette.length];
  };
  view.focus = () => {
    const { hover, ui, board } = view;
    const at = hover.at ?? ui.query ?? board.T - 1;
    return { at, toward: hover.toward ?? ui.toward, locked: hover.at !== undefined || ui.query !== null };
  };
  view.weight = (head, q, k) => (k > q ? 0 : view.board.pattern[head * view.board.tri + (q * (q + 1)) / 2 + k] / 65535);
  view.given = (head, q, k) => view.weight(head, q, k) * view.board.norm[head * view.board.T + k];
  view.share = (head, q, k) => (view.ui.by === "value" ? view.given(head, q, k) / view.top() : view.weight(head, q, k));
  view.top = () => (view.largest ??= largestGiven(view.board));
  view.labelOf = (head) => {
    const key = view.header.about?.[view.nameOf(head)].label;
    if (!key) return null;
    const title = view.header.kinds.find((k) => k.key === key)?.title ?? "mixed";
    return { key, title, short: title.replace(" character", "") };
  };
  build(view);
  view.observer = new ResizeObserver(() => redraw(view, "board", "head", "query"));
  view.observer.observe(root);
  return view;
}

function largestGiven({ L, H, T, tri, pattern, norm }) {
  let most = 1e-9;
  for (let head = 0; head < L * H; head++)
    for (let q = 0, at = head * tri; q < T; q++)
      for (let k = 0; k <= q; k++, at++) {
        const v = (pattern[at] / 65535) * norm[head * T + k];
        if (v > most) most = v;
      }
  return most;
}

function readTheme(view) {
  const style = getComputedStyle(view.root);
  const get = (name, usual) => style.getPropertyValue("--st-" + name).trim() || usual;
  view.theme = {
    palette: get("chart-categorical-colors", "#0072b2,#d55e00,#009e73").split(",").map((c) => c.trim()),
    text: get("text-color", "#222"),
    paper: get("background-color", "#fff"),
    shade: get("secondary-background-color", "#eee"),
    line: get("border-color", "#ddd"),
    primary: get("primary-color", "#8c2f39"),
    font: get("font", "sans-serif"),
    code: get("code-font", "monospace"),
  };
}

function point(view, hover) {
  const before = view.hover;
  const same = ["head", "at", "toward", "query", "key", "row", "dim"].every((n) => before[n] === hover[n]);
  if (same) return;
  view.hover = hover;
  view.hoverBegan ??= performance.now();
  redraw(view, before.head === hover.head ? "marks" : "head", "marks", "text", "query", "boardmarks");
  if (view.ui.show === "lines") redraw(view, "head");
}

function lockHead(view, head, add) {
  const { ui } = view;
  const name = view.nameOf(head);
  if (!add && !view.several) ui.heads = [name];
  else if (!ui.heads.includes(name)) ui.heads = [...ui.heads, name].slice(-8);
  else if (ui.heads.length > 1) ui.heads = ui.heads.filter((h) => h !== name);
  changed(view);
}

function lockAt(view, at, toward) {
  const { ui } = view;
  if (ui.query === at && (!toward || ui.toward === toward)) ui.query = null;
  else [ui.query, ui.toward] = [at, toward ?? ui.toward];
  changed(view);
}

// ---- the page's parts ----------------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function choice(view, name, options) {
  const group = element("span", { class: "choice", role: "group", "aria-label": name, title: HELP[name], "data-name": name });
  for (const [value, label] of options) {
    const set = () => {
      if (name === "rows") (view.rowsBy = value), showControls(view), redraw(view, "query");
      else (view.ui[name] = value), changed(view);
    };
    group.append(element("button", { type: "button", "data-value": value, onclick: set }, label));
  }
  return group;
}

function build(view) {
  const canvas = (name) => element("canvas", { class: name });
  const title = (words) => element("strong", {}, words);
  const save = (part, kind) => element("button", { type: "button", class: "save", title: HELP[kind], onclick: () => savePicture(view, part, kind) }, kind.toUpperCase());
  const menu = (name, label) => {
    view[name] = element("select", { "aria-label": label, title: HELP[name] });
    view[name].onchange = () => ((view.ui[name] = view[name].value), changed(view));
    return element("label", {}, label, view[name]);
  };
  view.chars = element("div", { class: "chars", tabindex: 0, role: "listbox", "aria-label": "Text: arrow keys move, Enter locks, Escape releases" });
  view.said = element("p", { class: "readout", "aria-live": "polite" });
  view.boardBase = canvas("base");
  view.boardOver = canvas("over");
  view.boardPlot = element("div", { class: "plot", tabindex: 0, role: "application", "aria-label": "All heads: arrow keys move, Enter locks, Shift + Enter adds, Escape releases" }, view.boardBase, view.boardOver);
  view.boardSaid = element("p", { class: "readout", "aria-live": "polite" });
  view.severalButton = element("button", { type: "button", title: HELP.several, onclick: () => ((view.several = !view.several), showControls(view)) }, "Several");
  view.headTitle = element("strong");
  view.headBase = canvas("base");
  view.headOver = canvas("over");
  view.headPlot = element("div", { class: "plot", tabindex: 0, role: "application", "aria-label": "One head: arrow keys move over the cells, Enter locks, Escape releases" }, view.headBase, view.headOver);
  view.linesBase = canvas("base");
  view.linesSpace = element("div", { class: "space" }, view.linesBase);
  view.linesBox = element("div", { class: "box lines", tabindex: 0, role: "application", "aria-label": "Lines from queries, left, to keys, right" }, view.linesSpace);
  view.headSaid = element("p", { class: "readout", "aria-live": "polite" });
  view.legend = element("div", { class: "legend" });
  view.queryTitle = element("strong");
  view.queryBase = canvas("base");
  view.querySpace = element("div", { class: "space" }, view.queryBase);
  view.queryBox = element("div", { class: "box query", tabindex: 0, role: "application", "aria-label": "The opened query, key by key" }, view.querySpace);
  view.querySaid = element("p", { class: "readout", "aria-live": "polite" });
  const bar = (...parts) => element("div", { class: "bar" }, ...parts);
  const toward = choice(view, "toward", [["from", "looks at"], ["to", "is looked at by"]]);
  const shade = choice(view, "shade", [["head", "opened head"], ["chosen", "chosen"], ["max", "largest of all"]]);
  const by = choice(view, "by", [["weight", "weight"], ["value", "weight × value"]]);
  view.sections = {
    text: element("section", { class: "text" }, bar(title("The text"), toward, shade, by), view.chars, view.said),
    board: element("section", { class: "board" }, bar(title("All heads"), menu("sort", "Sort"), menu("only", "Show"), view.severalButton, save("board", "png"), save("board", "svg")), view.boardPlot, view.boardSaid),
    head: element("section", { class: "head" }, bar(view.headTitle, choice(view, "show", [["map", "map"], ["lines", "lines"]]), save("head", "png"), save("head", "svg")), view.headPlot, view.linesBox, view.headSaid, view.legend),
    query: element("section", { class: "query" }, bar(view.queryTitle, choice(view, "rows", [["position", "in order"], ["weight", "heaviest first"]]), save("query", "png"), save("query", "svg")), view.queryBox, view.querySaid),
  };
  const left = element("div", { class: "left" }, view.sections.text, view.sections.board);
  view.root.replaceChildren(element("div", { class: "two" }, left, view.sections.head), view.sections.query);
  listenText(view);
  listenBoard(view);
  listenHead(view);
  listenQuery(view);
}

function showText(view) {
  const { tokens } = view.board;
  const made = [];
  tokens.forEach((token, i) => {
    const char = element("span", { "data-at": i, role: "option", id: `${view.header.key}-${i}` }, token === "\n" ? "↵" : token);
    if (token === "\n") char.className = "break";
    made.push(char);
    if (token === "\n") made.push(element("br"));
  });
  view.chars.replaceChildren(...made);
  view.spans = [...view.chars.querySelectorAll("[data-at]")];
}

function showControls(view) {
  const { ui, header, root } = view;
  for (const [name, section] of Object.entries(view.sections)) section.hidden = !header.parts.includes(name) || (name === "query" && !header.opens);
  for (const group of root.querySelectorAll(".choice"))
    for (const button of group.children) button.setAttribute("aria-pressed", (group.dataset.name === "rows" ? view.rowsBy : ui[group.dataset.name]) === button.dataset.value);
  view.severalButton.setAttribute("aria-pressed", view.several);
  const kinds = header.kinds ?? [];
  const sorts = [...(header.about ? SORTS : SORTS.slice(0, 1)), ...(header.prices ? [["price", "price, dearest first"]] : []), ...kinds.map((k) => [k.key, k.title])];
  const used = new Set(Object.values(header.about ?? {}).map((a) => a.label));
  const labels = [["all", "all heads"], ...kinds.filter((k) => used.has(k.key)).map((k) => [k.key, k.title]), ...(used.has("mixed") ? [["mixed", "mixed"]] : [])];
  for (const [menu, options, value] of [[view.sort, sorts, ui.sort], [view.only, labels, ui.only]]) {
    const signature = JSON.stringify(options);
    if (menu.signature !== signature) menu.replaceChildren(...options.map(([v, label]) => element("option", { value: v }, label)));
    menu.signature = signature;
    menu.value = value;
    menu.parentElement.hidden = options.length < 2;
  }
  Object.assign(root.dataset, { board: view.board.id, heads: ui.heads.join(","), query: ui.query ?? "", mode: written(ui).mode ?? "", details: [...view.details.keys()].join(",") });
  const bar = view.sequential.css.filter((_, i) => i % 15 === 0).join(",");
  const top = ui.by === "value" ? view.top() : 1;
  view.legend.replaceChildren(
    element("span", {}, ui.by === "value" ? "weight × ‖v W_O‖" : "weight"),
    element("span", {}, "0"),
    element("i", { style: `background: linear-gradient(to right, ${bar})` }),
    element("span", {}, `${plain(top, 2)}; half-way ${plain(top / 4, 2)}`),
  );
}

// ---- pointing and keys ---------------------------------------------------------------------------------------------

function keys(view, node, { move, lock, release }) {
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) move(...step);
    else if (event.key === "Enter" || event.key === " ") lock(event.shiftKey);
    else if (event.key === "Escape") release();
    else return;
    event.preventDefault();
  });
  node.addEventListener("blur", () => point(view, {}));
}

function releaseAt(view) {
  point(view, {});
  if (view.ui.query !== null) (view.ui.query = null), changed(view);
}

function listenText(view) {
  const { chars } = view;
  const at = (event) => event.target.dataset?.at;
  chars.addEventListener("pointerover", (event) => at(event) !== undefined && point(view, { at: +at(event) }));
  chars.addEventListener("pointerleave", () => point(view, {}));
  chars.addEventListener("click", (event) => at(event) !== undefined && lockAt(view, +at(event)));
  keys(view, chars, {
    move(dx, dy) {
      const now = view.focus().at;
      let next = now + dx;
      if (dy) {
        const here = view.spans[now];
        const line = view.spans.filter((s) => (s.offsetTop - here.offsetTop) * dy > 4);
        const top = dy > 0 ? line[0]?.offsetTop : line.at(-1)?.offsetTop;
        const near = line.filter((s) => s.offsetTop === top).sort((a, b) => Math.abs(a.offsetLeft - here.offsetLeft) - Math.abs(b.offsetLeft - here.offsetLeft))[0];
        next = near ? +near.dataset.at : now;
      }
      point(view, { at: Math.max(0, Math.min(view.board.T - 1, next)) });
    },
    lock: () => lockAt(view, view.focus().at),
    release: () => releaseAt(view),
  });
}

function place(event, node) {
  const box = node.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function listenBoard(view) {
  const plot = view.boardPlot;
  const over = (event) => {
    const [x, y] = place(event, plot);
    const g = view.boardG;
    return g?.places.find((p) => x >= p.x && x < p.x + g.cell && y >= p.y && y < p.y + g.high)?.head;
  };
  plot.addEventListener("pointermove", (event) => point(view, { head: over(event) }));
  plot.addEventListener("pointerleave", () => point(view, {}));
  plot.addEventListener("click", (event) => {
    const head = over(event);
    if (head !== undefined) lockHead(view, head, event.shiftKey || event.ctrlKey || event.metaKey);
  });
  keys(view, plot, {
    move(dx, dy) {
      const { places, columns } = view.boardG;
      const now = places.findIndex((p) => p.head === (view.hover.head ?? view.indexOf(view.opened())));
      const next = Math.max(0, now) + dx + dy * columns;
      if (places[next]) point(view, { head: places[next].head });
    },
    lock: (add) => view.hover.head !== undefined && lockHead(view, view.hover.head, add),
    release() {
      point(view, {});
      if (view.ui.heads.length > 1) (view.ui.heads = view.ui.heads.slice(-1)), changed(view);
    },
  });
}

function listenHead(view) {
  const cell = (event) => {
    const [x, y] = place(event, view.headPlot);
    const g = view.mapG;
    const [key, query] = [Math.floor((x - g.margin) / g.cell), Math.floor((y - g.margin) / g.cell)];
    return key >= 0 && query >= 0 && query < view.board.T && key <= query ? { key, query, at: view.ui.toward === "from" ? query : key } : {};
  };
  view.headPlot.addEventListener("pointermove", (event) => point(view, cell(event)));
  view.headPlot.addEventListener("pointerleave", () => point(view, {}));
  view.headPlot.addEventListener("click", (event) => {
    const { at } = cell(event);
    if (at !== undefined) lockAt(view, at);
  });
  keys(view, view.headPlot, {
    move(dx, dy) {
      const at = view.focus().at;
      const { query = view.ui.toward === "from" ? at : view.board.T - 1, key = view.ui.toward === "from" ? at : at } = view.hover;
      const q = Math.max(0, Math.min(view.board.T - 1, query + dy));
      const k = Math.max(0, Math.min(q, key + dx));
      point(view, { query: q, key: k, at: view.ui.toward === "from" ? q : k });
    },
    lock: () => lockAt(view, view.focus().at),
    release: () => releaseAt(view),
  });
  const end = (event) => {
    const [x, y] = place(event, view.linesSpace);
    const at = Math.floor(y / LINE);
    if (at < 0 || at >= view.board.T) return {};
    if (x < view.linesG.left + 10) return { at, toward: "from" };
    return x > view.linesG.right - 10 ? { at, toward: "to" } : {};
  };
  view.linesBox.addEventListener("pointermove", (event) => point(view, end(event)));
  view.linesBox.addEventListener("pointerleave", () => point(view, {}));
  view.linesBox.addEventListener("click", (event) => {
    const { at, toward } = end(event);
    if (at !== undefined) lockAt(view, at, toward);
  });
  view.linesBox.addEventListener("scroll", () => redraw(view, "head"));
  keys(view, view.linesBox, {
    move(dx, dy) {
      const { at, toward } = view.focus();
      const next = Math.max(0, Math.min(view.board.T - 1, at + dy));
      point(view, { at: next, toward: dx ? (dx > 0 ? "to" : "from") : toward });
      if (next * LINE < view.linesBox.scrollTop) view.linesBox.scrollTop = next * LINE;
      if ((next + 1) * LINE > view.linesBox.scrollTop + view.linesBox.clientHeight) view.linesBox.scrollTop = (next + 1) * LINE - view.linesBox.clientHeight;
    },
    lock: () => lockAt(view, view.focus().at, view.focus().toward),
    release: () => releaseAt(view),
  });
}

function listenQuery(view) {
  const row = (event) => {
    const o = view.openQuery;
    if (!o) return {};
    const [x, y] = place(event, view.queryBase);
    const r = Math.floor((y + view.queryBox.scrollTop) / ROW) - HEAD_ROWS;
    const g = view.queryG;
    const strip = ["k", "product", "v"].find((n) => x >= g.x[n] && x < g.x[n] + g.span);
    const dim = strip ? Math.floor((x - g.x[strip]) / g.strip) : undefined;
    return y < HEAD_ROWS * ROW || o.order[r] === undefined ? {} : { row: o.order[r], dim };
  };
  view.queryBox.addEventListener("pointermove", (event) => point(view, row(event)));
  view.queryBox.addEventListener("pointerleave", () => point(view, {}));
  view.queryBox.addEventListener("scroll", () => redraw(view, "query"));
  keys(view, view.queryBox, {
    move(dx, dy) {
      const o = view.openQuery;
      if (!o) return;
      const now = o.order.indexOf(view.hover.row ?? -1);
      const next = Math.max(0, Math.min(o.order.length - 1, now + dy));
      const dim = dx ? Math.max(0, Math.min(view.queryG.D - 1, (view.hover.dim ?? -1) + dx)) : view.hover.dim;
      point(view, { row: o.order[next], dim });
      const [top, high] = [next * ROW, view.queryBox.clientHeight - (HEAD_ROWS + 1) * ROW];
      if (top < view.queryBox.scrollTop) view.queryBox.scrollTop = top;
      if (top > view.queryBox.scrollTop + high) view.queryBox.scrollTop = top - high;
    },
    lock: () => view.hover.row !== undefined && lockAt(view, view.hover.row),
    release: () => point(view, {}),
  });
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function redraw(view, ...parts) {
  for (const part of parts) view.dirty.add(part);
  view.request ??= requestAnimationFrame(() => {
    view.request = null;
    if (!view.board || !view.root.clientWidth) return;
    const dirty = view.dirty;
    view.dirty = new Set();
    const wanted = (part) => dirty.has(part) && !view.sections[{ marks: "head", boardmarks: "board" }[part] ?? part].hidden;
    if (wanted("text")) paintText(view);
    if (wanted("board")) {
      view.boardG = boardGeometry(view, view.boardPlot.clientWidth);
      view.boardPlot.style.height = view.boardG.height + 3 + "px";
      drawBoard(new CanvasPen(view.boardBase, view.boardG.width, view.boardG.height), view, view.boardG);
    }
    if (wanted("board") || wanted("boardmarks")) {
      drawBoardMarks(new CanvasPen(view.boardOver, view.boardG.width, view.boardG.height), view, view.boardG);
      view.boardSaid.textContent = sayHead(view);
    }
    if (wanted("head")) paintHeadView(view);
    if ((wanted("head") || wanted("marks")) && view.ui.show === "map") drawMapMarks(new CanvasPen(view.headOver, view.mapG.width, view.mapG.height), view, view.mapG);
    if (wanted("head") || wanted("marks")) view.headSaid.textContent = sayCell(view);
    if (wanted("query")) paintQuery(view);
    const now = performance.now();
    const data = view.root.dataset;
    data.paints = ++view.paints;
    if (view.began) [data.took, view.began] = [(now - view.began).toFixed(1), null];
    if (view.hoverBegan) [data.hoverTook, view.hoverBegan] = [(now - view.hoverBegan).toFixed(1), null];
    data.focus = view.focus().at;
    data.shown = view.shownHeads().map(view.nameOf).join(",");
  });
}

function paintText(view) {
  const { ui, board, theme } = view;
  const { at, toward, locked } = view.focus();
  const hovered = view.hover.head !== undefined;
  const heads = hovered ? [view.hover.head] : ui.shade === "head" ? [view.indexOf(view.opened())] : ui.shade === "chosen" ? view.chosen() : Array.from({ length: board.L * board.H }, (_, i) => i);
  const most = !hovered && ui.shade === "max";
  const colours = most ? [theme.primary] : heads.map((head) => view.colourOf(head) ?? theme.primary);
  const tint = (colour, part) => `color-mix(in srgb, ${colour} ${(75 * Math.sqrt(Math.min(1, part))).toFixed(1)}%, transparent)`;
  view.spans.forEach((span, i) => {
    const [q, k] = toward === "from" ? [at, i] : [i, at];
    const parts = k > q ? [] : most ? [Math.max(...heads.map((head) => view.share(head, q, k)))] : heads.map((head) => view.share(head, q, k));
    const bands = parts.map((part, n) => [tint(colours[n], part), `${(100 * n) / parts.length}%`, `${(100 * (n + 1)) / parts.length}%`]);
    span.style.background = !parts.length ? "" : bands.length === 1 ? bands[0][0] : `linear-gradient(${bands.map(([c, a, b]) => `${c} ${a} ${b}`).join(",")})`;
    span.classList.toggle("later", k > q);
    span.classList.toggle("here", i === at);
    span.setAttribute("aria-selected", i === ui.query);
  });
  view.chars.setAttribute("aria-activedescendant", view.spans[at]?.id ?? "");
  view.said.textContent = sayText(view, heads, at, toward, locked);
}

function paintHeadView(view) {
  const lines = view.ui.show === "lines";
  view.headPlot.hidden = lines;
  view.linesBox.hidden = !lines;
  const heads = view.shownHeads();
  view.headTitle.replaceChildren(
    ...heads.map((head) => {
      const label = view.labelOf(head);
      return element("span", { class: "name", style: `--c: ${view.colourOf(head)}` }, `Head ${view.nameOf(head)}${label && heads.length < 3 ? `, ${label.title}` : ""}`);
    }),
  );
  if (lines) {
    view.linesG = linesGeometry(view, view.linesBox.clientWidth);
    view.linesSpace.style.height = view.linesG.height + "px";
    const high = Math.min(view.linesBox.clientHeight, view.linesG.height);
    const from = view.focus().at * LINE;
    const hidden = from < view.linesBox.scrollTop || from + LINE > view.linesBox.scrollTop + high;
    if (view.reveal && hidden) view.linesBox.scrollTop = from - 0.7 * high;
    view.reveal = false;
    drawLines(new CanvasPen(view.linesBase, view.linesG.width, high), view, view.linesG, view.linesBox.scrollTop, high);
  } else {
    view.mapG = mapGeometry(view, view.headPlot.clientWidth);
    view.headPlot.style.height = view.mapG.height + "px";
    drawMap(new CanvasPen(view.headBase, view.mapG.width, view.mapG.height), view, view.mapG);
  }
}

function paintQuery(view) {
  const name = view.opened();
  const o = (view.openQuery = openQuery(view, name, view.focus().at));
  view.queryTitle.textContent = `Query ${view.focus().at} “${shown(view.board.tokens[view.focus().at])}” of head ${name}, opened`;
  if (!o) {
    view.querySaid.textContent = view.header.saved ? "This saved page holds the parts of the heads that were chosen; choose one of those." : "Fetching the head’s queries, keys and values.";
    return;
  }
  view.queryG = queryGeometry(view, view.queryBox.clientWidth, o.D);
  view.querySpace.style.height = view.queryG.height + "px";
  view.querySpace.style.width = view.queryG.width + "px";
  const high = Math.min(view.queryBox.clientHeight, view.queryG.height);
  drawQuery(new CanvasPen(view.queryBase, view.queryG.width, high), view, view.queryG, o, view.queryBox.scrollTop, high);
  view.querySaid.textContent = sayQuery(view, o);
  view.root.dataset.opened = `${name}@${o.t}`;
}

// The numbers of one query: all but the products q ∘ k and weight · v are the traced ones.
function openQuery(view, name, t) {
  const parts = view.details.get(name);
  if (!parts) return null;
  const { T } = view.board;
  const D = parts.q.length / T;
  const of = (values, s) => values.subarray(s * D, (s + 1) * D);
  const q = of(parts.q, t);
  const row = (values) => values.subarray(t * T, (t + 1) * T);
  const [scores, pattern] = [row(parts.attn_scores), row(parts.pattern)];
  const k = (s) => of(parts.k, s);
  const product = (s) => k(s).map((value, d) => value * q[d]);
  const o = { t, D, q, k, product, z: of(parts.z, t) };
  o.score = (s) => scores[s];
  o.weight = (s) => pattern[s];
  o.norm = (s) => parts.value_norm[s];
  o.given = (s) => pattern[s] * parts.value_norm[s];
  o.v = (s) => of(parts.v, s);
  o.written = (s) => o.v(s).map((value) => value * pattern[s]);
  o.order = Array.from({ length: T }, (_, s) => s);
  if (view.rowsBy === "weight") o.order.sort((a, b) => pattern[b] - pattern[a] || a - b);
  const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const seen = o.order.filter((s) => s <= t);
  o.most = {
    k: (parts.mostK ??= largest(parts.k)),
    q: (parts.mostQ ??= largest(parts.q)),
    product: Math.max(...seen.map((s) => largest(product(s)))),
    written: Math.max(...seen.map((s) => largest(o.written(s)))),
    given: Math.max(...seen.map(o.given)),
  };
  o.sum = seen.reduce((sum, s) => sum + pattern[s], 0);
  const peak = Math.max(...seen.map(o.score));
  o.peak = peak;
  o.below = seen.reduce((sum, s) => sum + Math.exp(scores[s] - peak), 0);
  return o;
}

// ---- in words ------------------------------------------------------------------------------------------------------

const quoted = (view, i) => `${i} “${shown(view.board.tokens[i])}”`;

function sayText(view, heads, at, toward, locked) {
  const { board } = view;
  const found = [];
  for (let i = 0; i < board.T; i++) {
    const [q, k] = toward === "from" ? [at, i] : [i, at];
    if (k <= q) for (const head of heads) found.push([view.share(head, q, k), head, i, q, k]);
  }
  found.sort((a, b) => b[0] - a[0]);
  const many = heads.length > 1;
  const value = view.ui.by === "value";
  const said = found.slice(0, 4).map(([, head, i, q, k]) => `${quoted(view, i)} ${plain(value ? view.given(head, q, k) : view.weight(head, q, k))}${many ? ` by ${view.nameOf(head)}` : ""}`);
  const who = many ? "" : ` Head ${view.nameOf(heads[0])}.`;
  return `${locked ? "" : "The last character, "}${quoted(view, at)} ${toward === "from" ? "looks most at" : "is looked at most by"} ${said.join(", ")}.${who}`;
}

function sayHead(view) {
  const head = view.hover.head ?? view.indexOf(view.opened());
  const name = view.nameOf(head);
  const about = view.header.about?.[name];
  const price = view.header.prices?.[name];
  const words = [`Layer ${name.split(".")[0]}, head ${name.split(".")[1]}`];
  if (about) {
    const kinds = view.header.kinds.map((k, i) => [k, about.scores[i], about.lift[i]]).filter(([, score]) => score !== null);
    kinds.sort((a, b) => b[2] - a[2]);
    words[0] += `: ${view.labelOf(head).title}`;
    words.push(kinds.slice(0, 3).map(([k, score]) => `${k.title} ${score.toFixed(2)} (chance ${k.chance.toFixed(2)})`).join(", "));
    words.push(`entropy ${about.entropy.toFixed(2)} nats`, `${about.distance.toFixed(1)} characters back on average`);
  }
  if (price) words.push(`without it the validation loss changes by ${signed(price[0], 4)} ± ${price[1]?.toFixed(4)} nats`);
  return words.join("; ") + ".";
}

function sayCell(view) {
  const { query, key } = view.hover;
  if (query === undefined) return "Point at a cell for its number; click locks the character.";
  return view.shownHeads().map((head) => `${view.nameOf(head)}: query ${quoted(view, query)}, key ${quoted(view, key)}: weight ${view.weight(head, query, key).toFixed(4)}, × ‖v W_O‖ ${view.board.norm[head * view.board.T + key].toFixed(3)} = ${view.given(head, query, key).toFixed(4)}`).join("; ");
}

function sayQuery(view, o) {
  const { row: s, dim } = view.hover;
  if (s === undefined) return `The weights of ${o.t + 1} keys sum to ${o.sum.toFixed(4)}. Point at a row for its sum, at a cell for its numbers.`;
  if (s > o.t) return `Key ${quoted(view, s)} comes after the query: masked, its score is minus infinity and its weight 0.`;
  const at = dim === undefined ? "" : ` Dimension ${dim}: q ${plain(o.q[dim])} · k ${plain(o.k(s)[dim])} = ${plain(o.product(s)[dim])}; v ${plain(o.v(s)[dim])} · ${o.weight(s).toFixed(4)} = ${plain(o.written(s)[dim], 4)}.`;
  const dot = o.product(s).reduce((sum, v) => sum + v, 0);
  return `Key ${quoted(view, s)}: q·k = ${plain(dot)}, / √${o.D} = ${plain(o.score(s))}; exp(${plain(o.score(s))} − ${plain(o.peak)}) / ${o.below.toFixed(3)} = ${o.weight(s).toFixed(4)}; × ‖v W_O‖ ${o.norm(s).toFixed(3)} = ${o.given(s).toFixed(4)}.${at}`;
}

// ---- pictures ------------------------------------------------------------------------------------------------------

function savePicture(view, part, kind) {
  const lines = part === "head" && view.ui.show === "lines";
  const o = view.openQuery;
  if (part === "query" && !o) return;
  const g = part === "board" ? view.boardG : part === "query" ? view.queryG : lines ? view.linesG : view.mapG;
  const [width, height] = [g.width + 2 * GAP, Math.min(g.height, 16_000) + 2 * GAP];
  const draw = (pen) => {
    if (part === "board") drawBoard(pen, view, g), drawBoardMarks(pen, view, g);
    else if (part === "query") drawQuery(pen, view, g, o, 0, height);
    else if (lines) drawLines(pen, view, g, 0, height);
    else drawMap(pen, view, g);
  };
  const name = `attention-${part}-${view.ui.heads.join("-")}.${kind}`;
  if (kind === "svg") {
    const pen = new SvgPen(width, height, view.theme.paper);
    draw(pen);
    return download(name, new Blob([pen.content], { type: "image/svg+xml" }));
  }
  const canvas = document.createElement("canvas");
  draw(new CanvasPen(canvas, width, height, view.theme.paper));
  canvas.toBlob((blob) => blob && download(name, blob));
}

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
