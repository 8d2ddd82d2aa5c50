// The first thing one sees: a run that learns, as a film of a shipped one or live, and what it wrote and writes.
import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { button, element, shape } from "../shared/dom.js";
import { clock, fixed, grouped } from "../shared/format.js";
import { Player } from "../shared/player.js";
import { scale, spread, ticks } from "../shared/scales.js";
import { colourAt, still } from "../shared/theme.js";
import { choices, moment, stepAt, taken } from "./replay_film.js";

const FRAMES = 1000;
const SECONDS = 8;
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [216, 34, 158, 8, 22];

export default component(mount, update);

function mount(view) {
  view.chart = shape("svg", { role: "img", height: HEIGHT });
  view.now = element("p", { class: "now" });
  view.texts = ["before", "after"].map((name) => {
    const [head, words] = [element("b"), element("pre", { class: "prose" })];
    return { node: element("div", { class: `text ${name}` }, head, words), head, words };
  });
  view.player = new Player(view, {
    names: { play: `All of it in ${SECONDS} seconds`, back: "", first: "", end: "Skip to its end" },
    pace: () => FRAMES / (1000 * SECONDS),
    show: (frame) => draw(view, frame / FRAMES),
    whole: false,
  });
  view.player.last = FRAMES;
  view.player.buttons.end.textContent = "Skip";
  view.choice = ["film", "own"].map((mode) => button("", "", () => choose(view, mode)));
  const { play, end } = view.player.buttons;
  view.controls = element("div", { class: "bar steps" }, ...view.choice, play, view.player.slider, end);
  view.root.append(view.controls, view.chart, view.now);
  view.root.append(element("div", { class: "texts" }, ...view.texts.map((text) => text.node)));
  view.share = 1;
  view.resized(view.root, () => view.message && draw(view, view.share));
}

function update(view, message) {
  const before = view.message;
  view.message = message;
  view.root.dataset.points = message.own?.steps.length ?? 0;
  const another = message.own?.id !== before?.own?.id;
  if (!before || another) choose(view, message.own ? "own" : "film", !before && !still());
  else draw(view, view.share);
  clearTimeout(view.timer);
  if (message.live) view.timer = setTimeout(poll, 1000 * message.interval, view);
}

function poll(view) {
  if (view.abort.signal.aborted) return;
  view.timer = setTimeout(poll, 3000, view); // an answer that got lost
  view.trigger("poll", Date.now());
}

// Show the film or the learner's own run; a film starts by itself once, and not for who wants nothing to move.
function choose(view, mode, playing = false) {
  view.mode = view.message[mode] ? mode : "film";
  view.player.stop();
  view.player.go(view.mode === "film" && playing ? 0 : FRAMES);
  if (view.mode === "film" && playing && view.message.film) view.player.play();
}

function draw(view, share) {
  view.share = share;
  if (!view.message) return;
  const { message, mode, root } = view;
  const run = message[mode];
  root.dataset.mode = mode;
  root.dataset.share = share.toFixed(3);
  controls(view, run);
  const step = run ? (mode === "film" ? stepAt(share, run.of) : run.of) : 0;
  chart(view, run, step);
  const at = run?.steps.length ? moment(run, step) : null;
  const passed = run && mode === "own" ? run.at : step;
  view.now.textContent = at
    ? told(run, at, passed, message.size)
    : run
      ? `${run.title}: starting`
      : "Nothing to play yet.";
  const [first, last] = [run?.samples[0], at?.sample];
  tell(view.texts[0], "untrained", first);
  const newer = last !== first ? last : null;
  tell(view.texts[1], newer ? `step ${grouped(newer.step)}` : "trained: soon", newer);
}

function told(run, at, passed, size) {
  const loss = `${at.judged ? "loss on unseen text" : "training loss"} ${fixed(at.loss, 2)}`;
  const letters = `${choices(at.loss)} letters of ${size}`;
  const when = `step ${grouped(passed)} of ${grouped(run.of)}, ${clock(at.seconds)}`;
  return `${run.title}, ${when}: ${loss}, between ${letters}`;
}

function controls(view, run) {
  const { message, mode, player } = view;
  const both = message.film && message.own;
  for (const [i, name] of ["film", "own"].entries()) {
    view.choice[i].hidden = !both;
    view.choice[i].textContent = message[name]?.title ?? "";
    view.choice[i].title = `Show ${message[name]?.title ?? ""}`;
    view.choice[i].setAttribute("aria-pressed", mode === name);
  }
  view.controls.hidden = !message.film;
  for (const node of [player.buttons.play, player.buttons.end, player.slider]) node.hidden = mode !== "film" || !run;
  if (!player.frame) player.buttons.play.textContent = view.share >= 1 ? "Replay" : "Play";
}

function tell({ head, words }, name, sample) {
  head.textContent = name;
  words.textContent = sample ? readableText(sample.text.trim()) : "";
}

function chart(view, run, step) {
  const { chart: svg, message, theme } = view;
  const width = view.root.clientWidth || 600;
  const right = width < 480 ? 134 : RIGHT;
  svg.setAttribute("width", width);
  svg.setAttribute("aria-label", "Loss against steps: lower is better");
  const lowest = Math.min(...message.marks.map((mark) => mark.value), ...(run?.losses ?? []));
  const top = Math.max(...message.marks.map((mark) => mark.value));
  const y = scale([lowest - 0.1, top + 0.1], HEIGHT - BOTTOM, TOP);
  const x = scale([0, run?.of || 1], LEFT, width - right);
  const parts = [];
  const say = (words, at, up, anchor, colour = theme.text) =>
    parts.push(shape("text", { x: at, y: up, "text-anchor": anchor, fill: colour }, words));
  for (const tick of ticks(y, 4)) {
    parts.push(
      shape("line", { x1: LEFT, x2: width - right, y1: y.px(tick.value), y2: y.px(tick.value), stroke: theme.line }),
    );
    say(tick.text, LEFT - 5, y.px(tick.value) + 4, "end");
  }
  for (const tick of run ? ticks(x, 5) : []) say(tick.text, x.px(tick.value), HEIGHT - 6, "middle");
  say("step", width - right + 24, HEIGHT - 6, "start");
  const marks = [...message.marks].sort((a, b) => b.value - a.value);
  const labels = spread(
    marks.map((mark) => y.px(mark.value)),
    15,
    TOP + 4,
    HEIGHT - BOTTOM,
  );
  marks.forEach((mark, i) => {
    const [level, colour] = [y.px(mark.value), mark.colour === null ? theme.text : colourAt(theme, mark.colour)];
    parts.push(
      shape("line", {
        x1: LEFT,
        x2: width - right,
        y1: level,
        y2: level,
        stroke: colour,
        "stroke-dasharray": "4 4",
        opacity: 0.6,
      }),
    );
    if (labels[i] !== undefined) say(mark.label, width - right + 8, labels[i] + 4, "start");
  });
  const key = "thin: while learning, thick with dots: on unseen text";
  if (run && width >= 480) say(key, width - right - 6, TOP + 26, "end");
  if (run) lines(parts, run, step, x, y, colourAt(theme, run.colour));
  svg.replaceChildren(...parts);
}

function lines(parts, run, step, x, y, colour) {
  const count = taken(run.steps, step);
  const points = Array.from(
    { length: count },
    (_, i) => `${x.px(run.steps[i]).toFixed(1)},${y.px(run.losses[i]).toFixed(1)}`,
  );
  const line = { fill: "none", stroke: colour };
  parts.push(shape("polyline", { points: points.join(" "), ...line, "stroke-width": 1.2 }));
  const seen = run.evaluations.filter(([at]) => at <= step).map(([at, loss]) => [x.px(at), y.px(loss)]);
  parts.push(shape("polyline", { points: seen.join(" "), ...line, "stroke-width": 2.5 }));
  for (const [cx, cy] of seen) parts.push(shape("circle", { cx, cy, r: 3.5, fill: colour }));
  if (!count) return;
  const [cx, cy] = [x.px(run.steps[count - 1]), y.px(run.losses[count - 1])];
  parts.push(shape("circle", { class: "head", cx, cy, r: 5, fill: colour }));
}
