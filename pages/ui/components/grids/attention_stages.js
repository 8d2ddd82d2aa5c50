// From scores to weights, one step after another: the numbers of one query of one head, as they become an average.
import { drawn } from "../shared/characters.js";
import { fixed } from "../shared/format.js";

const [HIGH, FOOT, HEAD] = [190, 22, 18]; // px: the whole, the letters below, the numbers above
const [MOVE, REST] = [700, 900]; // ms from one step to the next, and before that
const [NAMED, APART] = [3, 44]; // of the heaviest keys, whose numbers stand over them if they are so many px apart

// The steps of an opened query: what each makes of key s, and how it is said. Null is minus infinity.
export function stages(o) {
  const dot = (s) => o.product(s).reduce((sum, value) => sum + value, 0);
  const scaled = (s) => dot(s) / Math.sqrt(o.D);
  const allowed = (s, value) => (s > o.t ? null : value);
  const raised = (s) => (s > o.t ? 0 : Math.exp(o.score(s) - o.peak));
  const s = o.order.reduce((best, key) => (key <= o.t && o.weight(key) > o.weight(best) ? key : best), 0);
  const sum = fixed(o.below, 3);
  return [
    { name: "q · k", of: dot, says: `How well the query fits each key: here ${fixed(dot(s), 3)}.` },
    {
      name: `÷ √${o.D}`,
      of: scaled,
      says: `Divided by the root of the head’s width, so that no score grows with it: ${fixed(scaled(s), 3)}.`,
    },
    {
      name: "mask",
      of: (key) => allowed(key, o.score(key)),
      says:
        o.t + 1 < o.order.length
          ? "What comes later may not be seen: minus infinity. Drawn larger from here on."
          : "What comes later may not be seen; nothing comes after the last character. Drawn larger from here on.",
    },
    {
      name: "exp",
      of: raised,
      says: `exp(score − the largest): ${fixed(raised(s), 3)}, and e^−∞ = 0. Together they are ${sum}.`,
    },
    { name: "÷ sum", of: o.weight, says: `Divided by ${sum}: ${fixed(o.weight(s), 4)}. All weights sum to 1.` },
  ].map((stage) => ({ ...stage, signed: stage.name !== "exp" && stage.name !== "÷ sum", key: s }));
}

// Where each bar of a step ends, as parts of the height over the foot.
export function bars(all, n, T) {
  const values = Array.from({ length: T }, (_, s) => all[n].of(s));
  if (!all[n].signed) return values.map((value) => ({ from: 0, to: value, value }));
  const scale = all[n].name === "mask" ? values : values.map((_, s) => all[0].of(s)); // so that dividing shows
  const most = Math.max(1e-9, ...scale.map(Math.abs));
  return values.map((value) => ({ from: 0.5, to: value === null ? 0.5 : 0.5 + value / most / 2, value }));
}

// Bars between two steps: `at` is 1.25 a quarter of the way from the second to the third.
export function between(all, at, T) {
  const [low, part] = [Math.floor(at), at - Math.floor(at)];
  const first = bars(all, low, T);
  if (!part) return first;
  const eased = part * part * (3 - 2 * part);
  const mix = (a, b) => a + (b - a) * eased;
  const second = bars(all, low + 1, T);
  return first.map((bar, s) => ({ from: mix(bar.from, second[s].from), to: mix(bar.to, second[s].to), value: null }));
}

export function drawStages(pen, view, o, at, width) {
  const { theme, board } = view;
  const all = stages(o);
  const step = Math.min(28, width / board.T);
  const room = HIGH - FOOT - HEAD;
  const y = (part) => HEAD + room * (1 - part);
  const heaviest = [...o.order].filter((s) => s <= o.t).sort((a, b) => o.weight(b) - o.weight(a));
  const free = (s, taken) => taken.every((other) => Math.abs(other - s) * step > APART);
  const named = [];
  for (const s of heaviest) if (named.length < NAMED && free(s, named)) named.push(s);
  const shown = between(all, at, board.T);
  pen.line(0, y(shown[0].from), step * board.T, y(shown[0].from), theme.line);
  for (const [s, { from, to, value }] of shown.entries()) {
    const x = s * step;
    const colour = s === all[0].key ? theme.accent : theme.text;
    const later = s > o.t && at >= 2;
    pen.rect(
      x + 0.5,
      Math.min(y(from), y(to)),
      Math.max(1, step - 1),
      Math.abs(y(to) - y(from)),
      colour,
      s > o.t ? 0.3 : 0.75,
    );
    if (step >= 7) {
      const letter = `${Math.min(13, step + 3)}px ${theme.mono}`;
      pen.text(drawn(board.tokens[s]), x + step / 2, HIGH - FOOT / 2, colour, letter, "center", later ? 0.35 : 0.9);
    }
    if (value === null || !named.includes(s)) continue;
    const above = Math.max(8, Math.min(y(to), y(from)) - 8);
    pen.text(fixed(value), x + step / 2, above, theme.text, `11px ${theme.font}`, s < 2 ? "left" : "center", 0.9);
  }
}

export const stagesHeight = HIGH;

// Where an animation that began at a step stands after some ms, and whether it is over. A frame's time may lie a little
// before the click that it follows.
export function played(from, since, last) {
  const elapsed = Math.max(0, since);
  const whole = MOVE + REST;
  const steps = Math.floor(elapsed / whole);
  const rest = elapsed - steps * whole;
  const at = from + steps + Math.max(0, rest - REST) / MOVE;
  return at >= last ? { at: last, over: true } : { at, over: false };
}
