// One query of one head, opened: how its scores, weights and what it writes come about, key by key.
import { drawn } from "../shared/characters.js";
import { fixed } from "../shared/format.js";

export const ROW = 18; // px a key
export const HEAD_ROWS = 3; // rows above the keys
const WIDTHS = { key: 62, score: 74, soft: 118, norm: 66, given: 96 };

// The numbers of query `t`: all but the products q ∘ k and weight · v are the traced ones.
export function openQuery(parts, t, T, heaviestFirst) {
  const D = parts.q.length / T;
  const of = (values, s) => values.subarray(s * D, (s + 1) * D);
  const row = (values) => values.subarray(t * T, (t + 1) * T);
  const [q, scores, weights] = [of(parts.q, t), row(parts.attn_scores), row(parts.pattern)];
  const k = (s) => of(parts.k, s);
  const v = (s) => of(parts.v, s);
  const product = (s) => k(s).map((value, d) => value * q[d]);
  const written = (s) => v(s).map((value) => value * weights[s]);
  const given = (s) => weights[s] * parts.value_norm[s];
  const keys = Array.from({ length: T }, (_, s) => s);
  const order = heaviestFirst ? [...keys].sort((a, b) => weights[b] - weights[a] || a - b) : keys;
  const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const seen = keys.slice(0, t + 1);
  const most = (size) => Math.max(...seen.map(size));
  const peak = most((s) => scores[s]);
  parts.largest ??= { k: largest(parts.k), q: largest(parts.q) };
  return {
    t,
    D,
    q,
    k,
    v,
    product,
    written,
    given,
    order,
    peak,
    z: of(parts.z, t),
    score: (s) => scores[s],
    weight: (s) => weights[s],
    norm: (s) => parts.value_norm[s],
    sum: seen.reduce((sum, s) => sum + weights[s], 0),
    below: seen.reduce((sum, s) => sum + Math.exp(scores[s] - peak), 0),
    most: {
      ...parts.largest,
      product: most((s) => largest(product(s))),
      written: most((s) => largest(written(s))),
      given: most(given),
    },
  };
}

export function queryGeometry(view, width, D) {
  const wide = Math.max(width, 700);
  const numbers = Object.values(WIDTHS).reduce((sum, w) => sum + w, 0);
  const strip = Math.max(1, Math.min(12, Math.floor((wide - numbers - 44) / 3 / D)));
  const span = strip * D;
  const k = WIDTHS.key;
  const product = k + span + 14;
  const score = product + span + 10;
  const soft = score + WIDTHS.score;
  const norm = soft + WIDTHS.soft;
  const given = norm + WIDTHS.norm;
  const x = { key: 0, k, product, score, soft, norm, given, v: given + WIDTHS.given };
  return { width: wide, x, strip, span, D, rows: view.board.T, height: (HEAD_ROWS + view.board.T) * ROW };
}

function drawStrip(pen, values, x, y, g, most, colours) {
  for (let d = 0; d < g.D; d++) {
    const c = Math.round(127.5 + 127.5 * Math.max(-1, Math.min(1, values[d] / (most || 1))));
    pen.rect(x + d * g.strip, y + 2, g.strip, ROW - 4, colours[c]);
  }
}

export function drawQuery(pen, view, g, o, offset, high) {
  for (let r = Math.max(0, Math.floor(offset / ROW)); r < o.order.length; r++) {
    const y = (HEAD_ROWS + r) * ROW - offset;
    if (y > high) break;
    drawKey(pen, view, g, o, o.order[r], y);
  }
  drawHeading(pen, view, g, o);
}

function drawKey(pen, view, g, o, s, y) {
  const { theme, board, diverging } = view;
  const { x } = g;
  const middle = y + ROW / 2;
  const numbers = `12px ${theme.font}`;
  const say = (words, at) => pen.text(words, at, middle, theme.text, numbers, "right");
  const masked = s > o.t;
  const faint = masked ? 0.35 : 1;
  const here = view.hover.row === s || (view.hover.key === s && view.hover.query === o.t);
  if (here) pen.rect(0, y, g.width, ROW, theme.shade);
  pen.text(String(s), x.key + 22, middle, theme.text, `11px ${theme.font}`, "right", 0.6 * faint);
  pen.text(drawn(board.tokens[s]), x.key + 36, middle, theme.text, `13px ${theme.mono}`, "center", faint);
  drawStrip(pen, o.k(s), x.k, y, g, o.most.k, diverging.css);
  if (masked) return pen.text("−∞  masked: comes later", x.score, middle, theme.text, numbers, "left", 0.5);
  drawStrip(pen, o.product(s), x.product, y, g, o.most.product, diverging.css);
  say(fixed(o.score(s)), x.soft - 14);
  pen.rect(x.soft, y + 3, 58 * o.weight(s), ROW - 6, theme.accent, 0.75);
  say(o.weight(s).toFixed(4), x.norm - 12);
  say(o.norm(s).toFixed(3), x.given - 14);
  pen.rect(x.given, y + 3, (36 * o.given(s)) / (o.most.given || 1), ROW - 6, theme.palette[1], 0.75);
  say(o.given(s).toFixed(3), x.v - 12);
  drawStrip(pen, o.written(s), x.v, y, g, o.most.written, diverging.css);
}

function drawHeading(pen, view, g, o) {
  const { theme, board, diverging } = view;
  const { x } = g;
  const small = `11px ${theme.font}`;
  pen.rect(0, 0, g.width, HEAD_ROWS * ROW, theme.paper);
  const within = (most) => `±${most.toPrecision(2)}`;
  const titles = [
    ["key", x.key, ""],
    ["k", x.k, within(o.most.k)],
    ["q ∘ k", x.product, within(o.most.product)],
    ["score", x.score, `q·k / √${g.D}`],
    ["softmax", x.soft, "weight"],
    ["‖v W_O‖", x.norm, "length"],
    ["contribution", x.given, "weight · length"],
    ["weight · v", x.v, `${within(o.most.written)}; below: sum, z`],
  ];
  for (const [words, at, note] of titles) {
    pen.text(words, at, ROW / 2, theme.text, `bold 12px ${theme.font}`);
    pen.text(note, at, ROW * 1.5, theme.text, small, "left", 0.65);
  }
  const middle = 2.5 * ROW;
  pen.text("query", x.key, middle, theme.text, small, "left", 0.65);
  pen.text(drawn(board.tokens[o.t]), x.key + 46, middle, theme.accent, `bold 14px ${theme.mono}`, "center");
  drawStrip(pen, o.q, x.k, 2 * ROW, g, o.most.q, diverging.css);
  drawStrip(pen, o.z, x.v, 2 * ROW, g, Math.max(...o.z.map(Math.abs)), diverging.css);
  pen.text("← q; keys below", x.product, middle, theme.text, small, "left", 0.65);
  pen.text(`Σ ${o.sum.toFixed(4)}`, x.norm - 12, middle, theme.text, `12px ${theme.font}`, "right", 0.8);
  pen.line(0, HEAD_ROWS * ROW - 0.5, g.width, HEAD_ROWS * ROW - 0.5, theme.line);
}
