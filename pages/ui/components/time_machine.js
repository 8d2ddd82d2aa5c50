// The time machine. All frames are here: whatever the learner moves, nothing is asked of the server.

const PACE = 700; // ms a snapshot while playing
const FALLBACK = ["#0072b2", "#d55e00", "#009e73", "#b3589a", "#8a6d00", "#3f8fc4", "#5c5c5c", "#7a3b2e"];
const HELP = {
  play: "Runs from here to the newest snapshot; press again to stop. The space bar does the same on the slider.",
  scrub: "The snapshot shown. Arrow keys go one back or on, Home and End to the first and the newest.",
  follow: "Keeps to the newest snapshot while the run goes on.",
  trails: "Draws where each character came from over the last snapshots.",
  career: "What is followed below the loss, along the same steps. Click into the chart to go to a step.",
  map: "Principal components of the character vectors at each snapshot, turned so as to lie as close as possible on the ones before. Click a character to follow it.",
  png: "The picture as it stands, twice as fine.",
  svg: "The picture as it stands, as vectors.",
};
const views = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const message = decode(data);
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = mount(parentElement)));
  view.send = setTriggerValue;
  readTheme(view);
  if (message.header.serial !== view.header?.serial) receive(view, message); // else only the theme has changed
  redraw(view);
  const call = ++view.calls;
  return () => setTimeout(() => view.calls === call && unmount(view, parentElement));
}

// ---- life ------------------------------------------------------------------------------------------------------------

function mount(parent) {
  const root = parent.querySelector(".machine");
  const view = { root, calls: 0, frames: [], at: 0, career: 0, line: null, chosen: null, trails: true, follow: false, playing: null, spots: [] };
  Object.assign(view, { ui: { sort: "layer", only: "all", by: "weight" }, hover: {}, colourOf: () => null, labelOf: () => null });
  view.nameOf = (head) => `${Math.floor(head / view.board.H)}.${head % view.board.H}`;
  build(view);
  view.observer = new ResizeObserver(() => redraw(view));
  view.observer.observe(root);
  return view;
}

function unmount(view, parent) {
  stop(view);
  clearTimeout(view.timer);
  cancelAnimationFrame(view.request);
  view.observer.disconnect();
  views.delete(parent);
}

function decode(bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const size = new DataView(buffer).getUint32(0, true);
  return { header: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size))), buffer, start: 4 + size };
}

function receive(view, { header, buffer, start }) {
  let at = start;
  const floats = (n) => {
    const found = new Float32Array(buffer, at, n);
    at += 4 * n;
    return found;
  };
  const first = !view.header;
  const step = view.frames.length ? view.frames[Math.round(view.at)].step : header.start;
  const newest = !view.frames.length || Math.round(view.at) === view.frames.length - 1;
  const other = view.header && view.header.film !== header.film;
  if (!header.from || other) view.frames = [];
  view.lacking = header.from > view.frames.length;
  view.header = header;
  view.curves = Object.fromEntries(["train", "val"].map((name, i) => [name, [floats(header.curves[i]), floats(header.curves[i])]]));
  const fresh = header.frames.map((frame) => ({
    ...frame,
    places: frame.explained ? floats(2 * header.characters.length) : null,
    chances: floats(header.characters.length),
    careers: header.careers.map((career) => floats(career.lines.length)),
  }));
  if (header.board) {
    const { L, H, T } = header.board;
    const tri = (T * (T + 1)) / 2;
    view.board = { L, H, T, tri, tokens: header.tokens };
    view.order = Array.from({ length: L * H }, (_, i) => i);
    for (const frame of fresh) {
      frame.bytes = new Uint8Array(buffer, at, L * H * tri);
      at += L * H * tri;
    }
  }
  if (!view.lacking) view.frames.push(...fresh);
  view.reach = 1e-9;
  for (const frame of view.frames) for (const v of frame.places ?? []) view.reach = Math.max(view.reach, Math.abs(v));
  view.sequential = scaleOf(header.scale);
  if (first) view.follow = header.live && header.start === null;
  if (view.career >= header.careers.length) view.career = 0;
  if (view.follow && newest && header.live) goTo(view, view.frames.length - 1);
  else goTo(view, nearest(view, step ?? Infinity));
  show(view);
  const data = view.root.dataset;
  data.messages = +data.messages + 1;
  data.bytes = buffer.byteLength;
  data.frames = view.frames.length;
  clearTimeout(view.timer);
  if (header.live || view.lacking) view.timer = setTimeout(poll, view.lacking ? 50 : header.interval * 1000, view);
}

function poll(view) {
  if (document.hidden) return (view.timer = setTimeout(poll, 1000, view));
  view.timer = setTimeout(poll, 5000, view); // if no answer comes
  view.send("poll", { film: view.header.film, steps: view.lacking ? [] : view.frames.map((f) => f.step), serial: view.header.serial });
}

// ---- moving ----------------------------------------------------------------------------------------------------------

const now = (view) => view.frames[Math.round(view.at)];

function nearest(view, step) {
  let best = 0;
  view.frames.forEach((f, i) => Math.abs(f.step - step) <= Math.abs(view.frames[best].step - step) && (best = i));
  return step === Infinity ? Math.max(0, view.frames.length - 1) : best;
}

function goTo(view, at) {
  view.at = clamp(at, 0, Math.max(0, view.frames.length - 1));
  redraw(view);
}

function byHand(view, at) {
  stop(view);
  view.follow = view.header.live && at >= view.frames.length - 1;
  goTo(view, at);
}

function play(view) {
  if (view.playing) return stop(view);
  if (view.at >= view.frames.length - 1) view.at = 0;
  let last = performance.now();
  const tick = (time) => {
    view.at = Math.min(view.frames.length - 1, view.at + (time - last) / PACE);
    last = time;
    redraw(view, true);
    if (view.at >= view.frames.length - 1) stop(view);
    else view.playing = requestAnimationFrame(tick);
  };
  view.playing = requestAnimationFrame((time) => ((last = time), tick(time)));
  redraw(view);
}

function stop(view) {
  if (!view.playing) return;
  cancelAnimationFrame(view.playing);
  view.playing = null;
  view.at = Math.round(view.at);
  redraw(view);
}

function toUrl(view) {
  const step = now(view)?.step;
  const url = new URL(location.href);
  if (step === undefined || (view.follow && view.header.live)) url.searchParams.delete("step");
  else url.searchParams.set("step", step);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

// ---- what is there ---------------------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name.startsWith("on") ? (made[name] = value) : made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function chart(view, name, title, height, draw, ...controls) {
  const canvas = element("canvas", { role: "img" });
  const save = ["png", "svg"].map((kind) => element("button", { type: "button", title: HELP[kind], "aria-label": `Save ${title} as ${kind}`, onclick: () => savePicture(view, name, kind) }, kind));
  const box = element("section", { class: name, "aria-label": title }, element("header", {}, element("h4", {}, title), ...controls, element("span", { class: "save" }, ...save)), canvas);
  view.charts[name] = { canvas, box, draw, height };
  return box;
}

function check(view, name, label) {
  const input = element("input", { type: "checkbox" });
  input.onchange = () => ((view[name] = input.checked), name === "follow" && view.follow && goTo(view, view.frames.length - 1), redraw(view));
  view[name + "Box"] = input;
  return element("label", { title: HELP[name] }, input, label);
}

function build(view) {
  view.charts = {};
  view.playButton = element("button", { type: "button", class: "play", title: HELP.play, onclick: () => play(view) }, "▶ Play");
  view.range = element("input", { type: "range", min: 0, step: 1, title: HELP.scrub, "aria-label": "Snapshot" });
  view.range.oninput = () => byHand(view, +view.range.value);
  view.range.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    play(view);
  });
  view.readout = element("output", { class: "readout" });
  view.followLabel = check(view, "follow", "Follow");
  view.stones = element("div", { class: "stones", role: "group", "aria-label": "Milestones" });
  view.menu = element("select", { title: HELP.career, "aria-label": "Careers" });
  view.menu.onchange = () => ((view.career = +view.menu.value), (view.line = null), show(view), redraw(view));
  view.legend = element("div", { class: "legend" });
  view.said = element("p", { class: "said" });
  view.spread = element("span", { class: "note" });
  view.bars = element("div", { class: "rows", role: "list" });
  view.barsTitle = element("h4", {}, "Next character");
  view.sampleTitle = element("h4", {}, "What it writes");
  view.sample = element("pre", { tabindex: 0 });
  const loss = chart(view, "loss", "Loss (nats per character)", 170, drawLoss);
  const careers = chart(view, "careers", "Careers", 170, drawCareers, view.menu);
  careers.append(view.legend, view.said);
  const map = chart(view, "map", "Character vectors", 0, drawPlaces, check(view, "trails", "Trails"));
  map.querySelector("h4").title = HELP.map;
  view.kinds = element("div", { class: "legend" });
  map.append(view.kinds, view.spread);
  const board = chart(view, "board", "Attention", -1, drawHeads);
  view.boardNote = element("span", { class: "note" });
  board.append(view.boardNote);
  view.root.append(
    element("div", { class: "bar" }, view.playButton, view.range, view.readout, view.followLabel),
    view.stones,
    loss,
    careers,
    element("div", { class: "grid" }, map, element("section", { class: "bars" }, element("header", {}, view.barsTitle), view.bars), element("section", { class: "text" }, element("header", {}, view.sampleTitle), view.sample), board),
  );
  for (const name of ["loss", "careers"]) {
    const { canvas } = view.charts[name];
    const stepAt = (event) => ((event.offsetX - LEFT) / (canvas.clientWidth - LEFT - RIGHT)) * view.header.of;
    const drag = (event) => byHand(view, nearest(view, stepAt(event)));
    canvas.onpointerdown = (event) => (event.button || (canvas.setPointerCapture(event.pointerId), drag(event)), undefined);
    canvas.onpointermove = (event) => {
      if (event.buttons & 1) drag(event);
      else if (name === "careers") pointAt(view, event, nearest(view, stepAt(event)));
    };
    canvas.onpointerleave = () => name === "careers" && pick(view, null);
  }
  view.charts.map.canvas.onclick = (event) => {
    const away = view.spots.map(([x, y]) => Math.hypot(x - event.offsetX, y - event.offsetY));
    const best = away.indexOf(Math.min(...away));
    view.chosen = away[best] < 16 && view.chosen !== best ? best : null;
    redraw(view);
  };
}

function pointAt(view, event, frame) {
  const { y } = careerScale(view, view.charts.careers.height);
  const away = [...view.frames[frame].careers[view.career]].map((v) => (Number.isFinite(v) ? Math.abs(y(v) - event.offsetY) : Infinity));
  const best = away.indexOf(Math.min(...away));
  pick(view, away[best] < 24 ? best : null);
}

function pick(view, line) {
  if (view.line === line) return;
  view.line = line;
  redraw(view);
}

function show(view) {
  const { header, frames } = view;
  view.range.max = Math.max(0, frames.length - 1);
  view.range.disabled = view.playButton.disabled = frames.length < 2;
  view.followLabel.hidden = !header.live;
  view.menu.replaceChildren(...header.careers.map((c, i) => element("option", { value: i }, c.title)));
  view.menu.value = view.career;
  view.charts.careers.box.hidden = !header.careers.length;
  view.charts.map.box.hidden = !frames[0]?.places;
  view.charts.board.box.hidden = !header.board;
  view.stones.replaceChildren(
    ...header.milestones.map((m) => element("button", { type: "button", title: m.help, onclick: () => byHand(view, nearest(view, m.step)) }, m.label, element("small", {}, grouped(m.step)))),
  );
  view.bars.replaceChildren(
    ...header.bars.map((i) => element("div", { class: "row", role: "listitem" }, element("code", {}, header.characters[i]), element("span", { class: "track" }, element("i", {})), element("output", {}))),
  );
  showLegend(view);
  if (header.board) view.boardNote.textContent = `Rows are layers, columns heads; each map shows the last ${header.board.T} characters of the prompt, a row what one of them looks at.`;
}

function showLegend(view) {
  const { palette } = view.theme;
  const swatch = ([label, at]) => element("span", {}, element("i", { style: `background:${palette[at % palette.length]}` }), label);
  const present = view.header.class_names.map((name, i) => [name, i]).filter(([, i]) => view.header.classes.includes(i));
  view.kinds.replaceChildren(...present.map(swatch));
  const career = view.header.careers[view.career];
  if (!career) return;
  view.charts.careers.box.querySelector("h4").title = career.help;
  const layered = /^\d+\.\d+$/.test(career.lines[0]);
  const layers = [...new Set(career.lines.map((line) => +line.split(".")[0]))];
  view.legend.replaceChildren(...(layered ? layers.map((layer) => [`layer ${layer}`, layer]) : career.lines.map((label, i) => [label, i])).map(swatch));
}

// ---- drawing ---------------------------------------------------------------------------------------------------------

function readTheme(view) {
  const style = getComputedStyle(view.root);
  const get = (name) => style.getPropertyValue("--st-" + name).trim();
  const palette = get("chart-categorical-colors").split(",").map((c) => c.trim()).filter((c) => window.CSS.supports("color", c));
  view.theme = {
    palette: palette.length ? palette : FALLBACK,
    text: get("text-color") || "#333",
    paper: get("background-color") || "#fff",
    line: get("border-color") || "#ddd",
    primary: get("primary-color") || "#a33",
    font: get("font") || "sans-serif",
    code: get("code-font") || "monospace",
  };
  if (view.header) showLegend(view);
}

function redraw(view, atOnce = false) {
  if (atOnce) return paint(view);
  view.request ??= requestAnimationFrame(() => ((view.request = null), paint(view)));
}

function drawHeads(pen, view) {
  const pattern = (view.expanded ??= new Uint16Array(0));
  const { bytes } = now(view);
  if (pattern.length !== bytes.length) view.expanded = new Uint16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) view.expanded[i] = bytes[i] * 257;
  view.board.pattern = view.expanded;
  drawBoard(pen, view, boardGeometry(view, pen.width));
}

function sizeOf(view, name) {
  const { canvas, box, height } = view.charts[name];
  const width = Math.floor(box.clientWidth);
  if (height > 0) return { width, height };
  if (height === 0) return { width, height: Math.min(width, 430) };
  const limited = Math.min(width, 24 + view.board.H * 128);
  return { width: limited, height: Math.max(20, boardGeometry(view, limited).height) };
}

function paint(view) {
  if (!view.header || !view.root.clientWidth) return;
  const frame = now(view);
  if (!frame) return;
  for (const [name, { canvas, box, draw }] of Object.entries(view.charts)) {
    if (box.hidden) continue;
    if (name === "board" && view.playing && view.painted === frame) continue; // the maps change with the snapshot only
    const size = sizeOf(view, name);
    const pen = new CanvasPen(canvas, size.width, size.height);
    pen.width = size.width;
    draw(pen, view, size);
  }
  view.painted = frame;
  paintWords(view, frame);
  if (!view.playing) toUrl(view);
}

function paintWords(view, frame) {
  const { header } = view;
  const at = Math.round(view.at);
  view.range.value = at;
  view.range.style.setProperty("--at", at / Math.max(1, view.frames.length - 1));
  const loss = frame.val === null ? "untrained" : `validation ${frame.val.toFixed(4)}`;
  view.range.setAttribute("aria-valuetext", `step ${grouped(frame.step)}, ${loss}`);
  view.readout.textContent = `step ${grouped(frame.step)} of ${grouped(header.of)} · ${loss}`;
  view.playButton.textContent = view.playing ? "❚❚ Pause" : "▶ Play";
  view.followBox.checked = view.follow;
  view.trailsBox.checked = view.trails;
  if (frame.explained) {
    const [a, b] = frame.explained;
    const line = b === 0 ? "one number a character, so they lie on a line" : `this plane holds ${Math.round(100 * (a + b))} % of their variance`;
    view.spread.textContent = `Step ${grouped(frame.step)}, ${loss}: ${line}.`;
  }
  [...view.bars.children].forEach((row, i) => {
    const chance = between(view, (f) => f.chances[header.bars[i]]);
    row.querySelector("i").style.width = `${100 * chance}%`;
    row.querySelector("output").textContent = chance < 0.0005 ? "< 0.1 %" : `${(100 * chance).toFixed(1)} %`;
  });
  view.bars.dataset.first = header.bars.length ? frame.chances[header.bars[0]].toFixed(4) : "";
  if (view.written !== frame.sample) {
    view.written = frame.sample;
    const { sample } = frame;
    view.sampleTitle.textContent = sample ? (sample.step === frame.step ? "What it writes" : `What it wrote at step ${grouped(sample.step)}`) : "What it writes";
    view.sample.replaceChildren(...(sample ? [element("span", { class: "prompt" }, sample.prompt.trimStart()), sample.text] : ["No sample was kept for this step."]));
  }
  const career = header.careers[view.career];
  if (career) {
    const values = frame.careers[view.career];
    const named = view.line === null ? [...values.keys()].sort((a, b) => (values[b] || -9) - (values[a] || -9)).slice(0, 3) : [view.line];
    view.said.textContent = `${career.help} At step ${grouped(frame.step)}: ${named.map((i) => `${career.lines[i]} ${fixed(values[i], 2)}`).join(", ")}.`;
  }
  const data = view.root.dataset;
  data.step = frame.step;
  data.at = view.at.toFixed(2);
}

function savePicture(view, name, kind) {
  const size = sizeOf(view, name);
  const title = `${name}-step-${now(view).step}.${kind}`;
  if (kind === "svg") {
    const pen = new SvgPen(size.width, size.height, view.theme.paper);
    pen.width = size.width;
    view.charts[name].draw(pen, view, size);
    return download(title, new Blob([pen.content], { type: "image/svg+xml" }));
  }
  const canvas = document.createElement("canvas");
  const pen = new CanvasPen(canvas, size.width, size.height, view.theme.paper);
  pen.width = size.width;
  view.charts[name].draw(pen, view, size);
  canvas.toBlob((blob) => download(title, blob));
}

function download(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
