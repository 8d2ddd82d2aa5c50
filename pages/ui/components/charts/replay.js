// The first thing one sees: a run that learns, as a film of a shipped one or live, and what it wrote and writes.
import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { button, element } from "../shared/dom.js";
import { clock, fixed, grouped } from "../shared/format.js";
import { Player } from "../shared/player.js";
import { scale, spread, ticks } from "../shared/scales.js";
import { colourAt, still } from "../shared/theme.js";
import { html, render, svg } from "../shared/vendor/lit-html.js";
import { choices, moment, stepAt, taken } from "./replay_film.js";

const FRAMES = 1000;
const SECONDS = 8;
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [216, 34, 158, 8, 22];
const KEY = "thin: while learning, thick with dots: on unseen text";

export default component(mount, update);

function mount(view) {
  view.player = new Player(view, {
    names: { play: `All of it in ${SECONDS} seconds`, end: "Skip to its end", skip: "Skip" },
    words: ["Play", "Pause", "Replay"],
    pace: () => FRAMES / (1000 * SECONDS),
    before: () => modes(view),
    show: (frame) => draw(view, frame / FRAMES),
    whole: false,
  });
  Object.assign(view.player, { last: FRAMES, step: FRAMES });
  view.content = element("div");
  view.root.append(view.player.bar, view.content);
  view.resized(view.root, () => view.message && view.player.draw());
}

function update(view, message) {
  const before = view.message;
  view.message = message;
  view.root.dataset.points = message.own?.steps.length ?? 0;
  const another = message.own?.id !== before?.own?.id;
  if (!before || another) choose(view, message.own ? "own" : "film", !before && !still());
  else view.player.draw();
  if (message.live) view.poll(1000 * message.interval, () => Date.now(), { hidden: true });
  else view.quiet();
}

// Show the film or the learner's own run; a film starts by itself once, and not for who wants nothing to move.
function choose(view, mode, playing = false) {
  const { message, player } = view;
  view.mode = message[mode] ? mode : "film";
  const film = view.mode === "film" && message.film;
  player.parts = film ? ["play", "slider", "end"] : [];
  player.bar.hidden = !message.film;
  player.go(film && playing ? 0 : FRAMES);
  if (film && playing) player.play();
}

function modes(view) {
  const { film, own } = view.message;
  const one = (name, { title }) =>
    button(title, `Show ${title}`, () => choose(view, name), { pressed: view.mode === name });
  return film && own ? [one("film", film), one("own", own)] : "";
}

function draw(view, share) {
  const { message, mode, root } = view;
  const run = message[mode];
  Object.assign(root.dataset, { mode, share: share.toFixed(3) });
  const step = run ? (mode === "film" ? stepAt(share, run.of) : run.of) : 0;
  const at = run?.steps.length ? moment(run, step) : null;
  const passed = run && mode === "own" ? run.at : step;
  const now = at ? told(run, at, passed, message.size) : run ? `${run.title}: starting` : "Nothing to play yet.";
  const [first, last] = [run?.samples[0], at?.sample];
  const newer = last !== first ? last : null;
  const text = (kind, name, sample) => html`<div class="text ${kind}"><b>${name}</b>
    <pre class="prose">${sample ? readableText(sample.text.trim()) : ""}</pre></div>`;
  const after = newer ? `step ${grouped(newer.step)}` : "trained: soon";
  const content = html`${chart(view, run, step)}<p class="now">${now}</p>
    <div class="texts">${text("before", "untrained", first)}${text("after", after, newer)}</div>`;
  render(content, view.content);
  return "";
}

function told(run, at, passed, size) {
  const loss = `${at.judged ? "loss on unseen text" : "training loss"} ${fixed(at.loss, 2)}`;
  const letters = `${choices(at.loss)} letters of ${size}`;
  const when = `step ${grouped(passed)}, ${clock(at.seconds)}`;
  return `${run.title}, ${when}: ${loss}, between ${letters}`;
}

function chart({ root, message, theme }, run, step) {
  const width = root.clientWidth || 600;
  const right = width - (width < 480 ? 134 : RIGHT);
  const marks = [...message.marks].sort((a, b) => b.value - a.value);
  const lowest = Math.min(...marks.map((mark) => mark.value), ...(run?.losses ?? []));
  const y = scale([lowest - 0.1, marks[0].value + 0.1], HEIGHT - BOTTOM, TOP);
  const x = scale([0, run?.of || 1], LEFT, right);
  const say = (words, at, up, anchor) =>
    svg`<text x=${at} y=${up} text-anchor=${anchor} fill=${theme.text}>${words}</text>`;
  const level = (value, colour, dash = "none", opacity = 1) => svg`<line x1=${LEFT} x2=${right} y1=${y.px(value)}
    y2=${y.px(value)} stroke=${colour} stroke-dasharray=${dash} opacity=${opacity}></line>`;
  const places = marks.map((mark) => y.px(mark.value));
  const labels = spread(places, 15, TOP + 4, HEIGHT - BOTTOM);
  const mark = ({ value, colour, label }, i) => [
    level(value, colour === null ? theme.text : colourAt(theme, colour), "4 4", 0.6),
    labels[i] === undefined ? "" : say(label, right + 8, labels[i] + 4, "start"),
  ];
  return html`<svg role="img" height=${HEIGHT} width=${width} aria-label="Loss against steps: lower is better">
    ${ticks(y, 4).map(({ value, text }) => [level(value, theme.line), say(text, LEFT - 5, y.px(value) + 4, "end")])}
    ${(run ? ticks(x, 5) : []).map(({ value, text }) => say(text, x.px(value), HEIGHT - 6, "middle"))}
    ${say("step", right + 24, HEIGHT - 6, "start")}${marks.map(mark)}
    ${run && width >= 480 ? say(KEY, right - 6, TOP + 26, "end") : ""}
    ${run ? lines(run, step, x, y, colourAt(theme, run.colour)) : ""}</svg>`;
}

function lines(run, step, x, y, colour) {
  const count = taken(run.steps, step);
  const at = (i) => `${x.px(run.steps[i]).toFixed(1)},${y.px(run.losses[i]).toFixed(1)}`;
  const seen = run.evaluations.filter(([when]) => when <= step).map(([when, loss]) => [x.px(when), y.px(loss)]);
  const line = (points, width) => svg`<polyline points=${points.join(" ")} fill="none" stroke=${colour}
    stroke-width=${width}></polyline>`;
  const dot = ([cx, cy], r, kind) => svg`<circle class=${kind} cx=${cx} cy=${cy} r=${r} fill=${colour}></circle>`;
  const points = Array.from({ length: count }, (_, i) => at(i));
  const head = () => dot(points.at(-1).split(","), 5, "head");
  return [line(points, 1.2), line(seen, 2.5), seen.map((place) => dot(place, 3.5, "")), count ? head() : ""];
}
