// A value at the right end of a chart that is dragged up and down: what somebody guesses before the curve is there.

import { clamp } from "../shared/dom.js";
import { segment, textWidth, write } from "../shared/pens.js";
import { dot } from "./curves_draw.js";

const HOLD = 16; // px around the handle that take hold of it
const HANDLE_WIDTH = 34; // px of its band
const HANDLE_RADIUS = 7;
const ROOM = 40; // px left of its words that are free of curves too

// Where the handle is; null if the chart has none.
function handleOf(view, f) {
  const { handle } = view.header;
  if (!handle || !f) return null;
  const held = view.held ?? handle.value;
  const val = f.shown.find((curve) => curve.kind === "val" && curve.n);
  const waiting = val ? val.value[val.n - 1] : f.y.at((f.top + f.bottom) / 2);
  const value = held ?? waiting;
  const y = clamp(f.y.px(value), f.top, f.bottom);
  return { value, made: held !== null, x: f.right - HANDLE_WIDTH / 2, y, within: handle.within };
}

export const grabs = (view, p) => {
  const at = handleOf(view, view.frame);
  return Boolean(at) && Math.hypot(at.x - p.x, at.y - p.y) <= HOLD;
};

// Follow the pointer; what is let go is told to the page.
export function moveHandle(view, p) {
  const f = view.frame;
  view.held = +f.y.at(clamp(p.y, f.top, f.bottom)).toFixed(2);
}

export function letGoHandle(view) {
  view.trigger("dragged", { value: view.held });
}

export function drawHandle(ctx, view, f) {
  const at = handleOf(view, f);
  if (!at) return;
  const { theme } = view;
  const [left, right] = [f.right - HANDLE_WIDTH, f.right];
  if (at.made) {
    const [high, low] = [at.value + at.within, at.value - at.within].map((v) => clamp(f.y.px(v), f.top, f.bottom));
    Object.assign(ctx, { fillStyle: theme.text, globalAlpha: 0.14 });
    ctx.fillRect(left, high, right - left, Math.max(2, low - high));
  }
  Object.assign(ctx, { strokeStyle: theme.text, globalAlpha: 0.8, lineWidth: 1.5 });
  segment(ctx, left, at.y, right, at.y);
  Object.assign(ctx, { fillStyle: at.made ? theme.text : theme.paper, globalAlpha: 1, strokeStyle: theme.text });
  dot(ctx, at.x, at.y, HANDLE_RADIUS);
  Object.assign(ctx, { font: f.font, fillStyle: theme.text, textBaseline: "middle" });
  const words = at.made ? `your guess ${at.value.toFixed(2)} ± ${at.within.toFixed(2)}` : "drag: your guess of the end";
  const wide = textWidth(words, f.font);
  const y = clearOf(f, right - wide - ROOM, at.y - HANDLE_RADIUS);
  ctx.globalAlpha = 0.85;
  ctx.fillStyle = theme.paper;
  ctx.fillRect(right - wide - 8, y - 9, wide + 8, 18);
  ctx.fillStyle = theme.text;
  write(ctx, words, right - 4, y, "right", 0.95);
  ctx.globalAlpha = 0.4;
  segment(ctx, at.x, y + 9, at.x, at.y - HANDLE_RADIUS);
}

// Where words at the right end stand clear of everything drawn from `left` on, and of `y`: above it, if there is room.
function clearOf(f, left, y) {
  let top = y;
  for (const curve of f.shown) {
    for (let i = 0; i < curve.n; i++) {
      const inside = f.x.px(curve[f.by][i]) >= left;
      const here = inside ? f.y.px(curve.value[i]) : top;
      if (here < top) top = here;
    }
  }
  return Math.max(f.top + 9, top - 18);
}
