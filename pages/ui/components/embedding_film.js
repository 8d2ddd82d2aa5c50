// The moving map. Where it stands, its trails and whether it plays live here; new maps come from the server.
const FRAME_MS = 450; // one snapshot to the next while playing
const films = new WeakMap();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".film");
  let film = films.get(root);
  if (!film) films.set(root, (film = mount(root)));
  receive(film, data);
  film.calls += 1;
  const call = film.calls;
  return () => setTimeout(() => film.calls === call && unmount(film, root));
}

function mount(root) {
  const find = (name) => root.querySelector(name);
  const film = { root, at: null, playing: false, hover: null, calls: 0, abort: new AbortController() };
  Object.assign(film, { play: find(".play"), scrub: find(".scrub"), said: find("output"), trails: find(".trails") });
  Object.assign(film, { stage: find(".stage"), canvas: find("canvas"), legend: find(".legend") });
  const signal = { signal: film.abort.signal };
  film.play.addEventListener("click", () => setPlaying(film, !film.playing), signal);
  film.scrub.addEventListener("input", () => {
    setPlaying(film, false);
    film.at = +film.scrub.value;
    draw(film);
  }, signal);
  film.trails.addEventListener("change", () => draw(film), signal);
  film.stage.addEventListener("pointermove", (event) => hover(film, event), signal);
  film.stage.addEventListener("pointerleave", () => { film.hover = null; draw(film); }, signal);
  film.stage.addEventListener("keydown", (event) => step(film, event), signal);
  film.observer = new ResizeObserver(() => draw(film));
  film.observer.observe(film.stage);
  return film;
}

function unmount(film, root) {
  cancelAnimationFrame(film.request);
  film.observer.disconnect();
  film.abort.abort();
  films.delete(root);
}

function receive(film, { header, places }) {
  const bytes = Uint8Array.from(atob(places), (letter) => letter.charCodeAt(0)).buffer;
  const wasLast = film.at === null || film.at >= film.last - 1e-6;
  [film.frames, film.count] = header.shape;
  film.last = film.frames - 1;
  film.places = new Float32Array(bytes);
  film.header = header;
  film.stage.style.height = header.height + "px";
  film.scrub.max = film.last;
  film.scrub.disabled = film.play.disabled = film.frames < 2;
  if (wasLast || film.at > film.last) film.at = film.last;
  let reach = 1e-9;
  for (const value of film.places) reach = Math.max(reach, Math.abs(value));
  film.reach = reach;
  const kinds = [...new Set(header.kinds)];
  film.colour = Object.fromEntries(kinds.map((kind, i) => [kind, header.colours[i % header.colours.length]]));
  film.legend.replaceChildren(...kinds.map((kind) => {
    const entry = document.createElement("span");
    const spot = document.createElement("i");
    spot.style.background = film.colour[kind];
    entry.append(spot, kind);
    return entry;
  }));
  film.root.dataset.frames = film.frames;
  draw(film);
}

function setPlaying(film, playing) {
  film.playing = playing && film.frames > 1;
  film.play.textContent = film.playing ? "Pause" : "Play";
  film.play.setAttribute("aria-pressed", film.playing);
  cancelAnimationFrame(film.request);
  if (!film.playing) return;
  if (film.at >= film.last - 1e-6) film.at = 0;
  let before = null;
  const tick = (now) => {
    if (before !== null) film.at = Math.min(film.last, film.at + (now - before) / FRAME_MS);
    before = now;
    draw(film);
    if (film.at >= film.last) setPlaying(film, false);
    else film.request = requestAnimationFrame(tick);
  };
  film.request = requestAnimationFrame(tick);
}

function step(film, event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  setPlaying(film, false);
  film.at = Math.max(0, Math.min(film.last, Math.round(film.at) + by));
  draw(film);
}

// Between two snapshots characters move in a straight line.
function place(film, at, v) {
  const low = Math.floor(at);
  const high = Math.min(film.last, low + 1);
  const part = at - low;
  const value = (frame, axis) => film.places[2 * (frame * film.count + v) + axis];
  return [0, 1].map((axis) => value(low, axis) * (1 - part) + value(high, axis) * part);
}

function screen(film, [x, y]) {
  const { clientWidth: w, clientHeight: h } = film.stage;
  const scale = film.header.line ? (0.46 * w) / film.reach : (0.46 * Math.min(w, h)) / film.reach;
  return [w / 2 + x * scale, h / 2 - y * scale];
}

function draw(film) {
  if (!film.header) return;
  const { canvas, stage, header, count } = film;
  const [w, h, ratio] = [stage.clientWidth, stage.clientHeight, devicePixelRatio || 1];
  if (!w) return;
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  const style = getComputedStyle(film.root);
  const ink = style.color;
  c.strokeStyle = style.getPropertyValue("--st-border-color") || "#888";
  c.beginPath();
  c.moveTo(0, h / 2);
  c.lineTo(w, h / 2);
  if (!header.line) {
    c.moveTo(w / 2, 0);
    c.lineTo(w / 2, h);
  }
  c.stroke();
  const spots = [];
  for (let v = 0; v < count; v++) {
    const lift = header.line ? ((v % 7) - 3) * 22 : 0; // labels on a line would cover each other
    const [x, y] = screen(film, place(film, film.at, v));
    spots.push([x, y, lift]);
    const colour = film.colour[header.kinds[v]];
    if (film.trails.checked && film.at > 0) {
      c.strokeStyle = colour;
      c.globalAlpha = film.hover === v ? 0.9 : 0.22;
      c.lineWidth = film.hover === v ? 2 : 1;
      c.beginPath();
      for (let f = 0; f <= Math.ceil(film.at); f++) {
        const [px, py] = screen(film, place(film, Math.min(f, film.at), v));
        f ? c.lineTo(px, py) : c.moveTo(px, py);
      }
      c.stroke();
    }
    c.globalAlpha = film.hover === null || film.hover === v ? 1 : 0.45;
    c.fillStyle = colour;
    c.beginPath();
    c.arc(x, y, film.hover === v ? 5 : 3.2, 0, 2 * Math.PI);
    c.fill();
    c.fillStyle = ink;
    c.font = (film.hover === v ? "bold 16px " : "13px ") + style.fontFamily;
    c.fillText(header.labels[v], x + 5, y - 5 + lift);
    c.globalAlpha = 1;
  }
  film.spots = spots;
  film.scrub.value = film.at;
  film.said.textContent = header.captions[Math.round(film.at)] ?? "";
  film.root.dataset.at = film.at.toFixed(2);
}

function hover(film, event) {
  const box = film.stage.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let nearest = null;
  let best = 18;
  (film.spots ?? []).forEach(([px, py, lift], v) => {
    const distance = Math.min(Math.hypot(px - x, py - y), Math.hypot(px + 8 - x, py - 9 + lift - y));
    if (distance < best) [best, nearest] = [distance, v];
  });
  if (nearest !== film.hover) {
    film.hover = nearest;
    draw(film);
  }
}
