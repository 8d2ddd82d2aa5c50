// How attention looks: all heads as a board, one or several as a map, or as lines between two columns. Also used by the
// time machine.
import { drawn } from "../shared/characters.js";
import { rgb } from "../shared/colours.js";
import { element } from "../shared/dom.js";
import { signed } from "../shared/format.js";
import { clipped } from "../shared/pens.js";

export const LINE = 14; // px a row of the lines view
const LETTER = 7; // px that a letter needs
export const GAP = 6;
const ROOTS = Uint8Array.from({ length: 65536 }, (_, i) => Math.round(255 * Math.sqrt(i / 65535)));

// ---- the board: every head at once ----------------------------------------------------------------------------------

export function boardGeometry(view, width) {
  const { board, ui, header, order } = view;
  const grid = ui.sort === "layer" && ui.only === "all";
  const left = grid ? 24 : 0;
  const columns = grid ? board.H : Math.max(1, Math.min(order.length, Math.floor(width / 66)));
  const words = header.about ? 28 : 15;
  const room = grid && view.room ? Math.max(34, Math.floor(view.room / board.L) - words) : 128;
  const cell = Math.max(12, Math.min(128, room, Math.floor((width - left) / columns)));
  const gap = cell > 30 ? GAP : 2;
  const side = cell - gap;
  const caption = cell < 50 ? 0 : words;
  const high = side + caption + gap;
  const places = order.map((head, i) => {
    const at = grid ? head : i;
    const [row, column] = [Math.floor(at / columns), at % columns];
    return { head, row, column, x: left + column * cell, y: row * high };
  });
  const rows = Math.max(1, ...places.map((place) => place.row + 1));
  return { width, height: rows * high, left, columns, cell, side, caption, high, places, grid };
}

// Pixels of one head, n × n, each the largest weight of those it stands for.
function paintHead(view, head, n) {
  const { T, tri, pattern, norm } = view.board;
  const pooled = new Uint16Array(n * n);
  const places = Uint16Array.from({ length: T }, (_, k) => Math.floor((k * n) / T));
  const norms = view.ui.by === "value" ? norm.subarray(head * T, head * T + T) : null;
  const scale = norms ? 1 / view.top() : 1;
  for (let q = 0, at = head * tri; q < T; q++) {
    const row = places[q] * n;
    for (let k = 0; k <= q; k++, at++) {
      const v = norms ? pattern[at] * norms[k] * scale : pattern[at];
      if (v > pooled[row + places[k]]) pooled[row + places[k]] = v;
    }
  }
  const image = new ImageData(n, n);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = view.sequential.pixels;
  for (let r = 0; r < n; r++) for (let c = 0; c <= r; c++) pixels[r * n + c] = colours[ROOTS[pooled[r * n + c]]];
  return onCanvas(image);
}

// Each cell in the colour of the strongest of several heads.
function paintSeveral(view, heads) {
  const { T, tri, pattern, norm } = view.board;
  const image = new ImageData(T, T);
  const colours = heads.map((head) => rgb(view.colourOf(head)));
  const scale = view.ui.by === "value" ? 1 / view.top() : 0;
  for (let q = 0, at = 0; q < T; q++)
    for (let k = 0; k <= q; k++, at++) {
      let [best, strongest] = [-1, 0];
      for (const [i, head] of heads.entries()) {
        const v = pattern[head * tri + at] * (scale ? norm[head * T + k] * scale : 1);
        if (v > best) [best, strongest] = [v, i];
      }
      image.data.set([...colours[strongest], ROOTS[Math.floor(best)]], 4 * (q * T + k));
    }
  return onCanvas(image);
}

function onCanvas(image) {
  const canvas = element("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

export function drawBoard(pen, view, g) {
  const { board, theme, header } = view;
  const n = Math.max(1, Math.min(board.T, Math.round(g.side * pen.ratio)));
  const small = `11px ${theme.font}`;
  const middle = (row) => row * g.high + g.caption + g.side / 2;
  for (let row = 0; g.grid && row < board.L; row++) pen.text(`L${row}`, 0, middle(row), theme.text, small, "left", 0.7);
  for (const { head, x, y } of g.places) {
    pen.image(paintHead(view, head, n), x, y + g.caption, g.side, g.side);
    pen.frame(x + 0.5, y + g.caption + 0.5, g.side - 1, g.side - 1, theme.line);
    if (!g.caption) continue;
    const name = view.nameOf(head);
    const price = header.prices?.[name];
    const label = view.labelOf(head);
    const smaller = `${g.side < 66 ? 10 : 11}px ${theme.font}`;
    const faint = label?.key === "mixed" ? 0.5 : 0.9;
    pen.text(name, x, y + 7, theme.text, small, "left", 0.9);
    if (price && g.cell >= 58) pen.text(signed(price[0], 3), x + g.side, y + 7, theme.text, small, "right", 0.9);
    if (label) pen.text(clipped(label.short, g.cell - 2, smaller), x, y + 20, theme.text, smaller, "left", faint);
  }
  if (!g.places.length) pen.text("No head has this label here.", 0, 20, theme.text, `13px ${theme.font}`, "left", 0.7);
}

export function drawBoardMarks(pen, view, g) {
  for (const { head, x, y } of g.places) {
    const colour = view.colourOf(head);
    const [top, side] = [y + g.caption, g.side];
    if (colour) pen.frame(x - 1, top - 1, side + 2, side + 2, colour, 3);
    if (head === view.hover.head) pen.frame(x - 2, top - 2, side + 4, side + 4, view.theme.text, 1.5);
  }
}

// ---- one head, or several, as a map ---------------------------------------------------------------------------------

export function mapGeometry(view, width) {
  const { T } = view.board;
  const margin = 22;
  const room = Math.max(60, Math.min(width - margin - 2, 520));
  const pitch = Math.min(room / T >= 2 ? Math.floor(room / T) : room / T, 36);
  return { width, margin, cell: pitch, side: pitch * T, height: margin + pitch * T + 2 };
}

export function drawMap(pen, view, { margin, cell, side }) {
  const { board, theme } = view;
  const heads = view.shownHeads();
  const picture = heads.length === 1 ? paintHead(view, heads[0], board.T) : paintSeveral(view, heads);
  pen.image(picture, margin, margin, side, side);
  pen.frame(margin - 0.5, margin - 0.5, side + 1, side + 1, theme.line);
  const small = `${Math.max(LETTER + 2, Math.min(13, cell + 2))}px ${theme.mono}`;
  const every = Math.ceil(LETTER / cell); // where cells are smaller than a letter, not each can be named
  for (const [i, token] of board.tokens.entries()) {
    if (i % every) continue;
    const at = margin + (i + 0.5) * cell;
    pen.text(drawn(token), margin - 4, at, theme.text, small, "right", 0.8);
    pen.text(drawn(token), at, margin - 8, theme.text, small, "center", 0.8);
  }
  const titles = side > 150 ? ["query: row", "key: column"] : [];
  for (const [i, words] of titles.entries())
    pen.text(words, margin + side - 8, margin + 14 + 16 * i, theme.text, `12px ${theme.font}`, "right", 0.7);
}

export function drawMapMarks(pen, view, { margin, cell }) {
  const { theme, board, hover } = view;
  const { at, toward } = view.focus();
  const start = margin + at * cell;
  const from = toward === "from";
  const long = (from ? at + 1 : board.T - at) * cell;
  const [x, y, w, h] = from ? [margin, start, long, cell] : [start, start, cell, long];
  pen.frame(x - 1, y - 1, w + 2, h + 2, theme.accent, 2);
  const label = (i, across) => {
    const middle = margin + (i + 0.5) * cell;
    const [lx, ly] = across ? [middle, 9] : [9, middle];
    pen.rect(lx - 9, ly - 9, 18, 18, theme.paper);
    pen.text(drawn(board.tokens[i]), lx, ly, theme.accent, `bold 15px ${theme.mono}`, "center");
  };
  label(at, !from);
  if (hover.query === undefined || hover.key === undefined) return;
  pen.frame(margin + hover.key * cell - 1, margin + hover.query * cell - 1, cell + 2, cell + 2, theme.text, 1.5);
  label(from ? hover.key : hover.query, from);
}

// ---- as lines between two columns -----------------------------------------------------------------------------------

export function linesGeometry(view, width) {
  const wide = Math.min(width, 520);
  return { width: wide, height: view.board.T * LINE, left: 46, right: wide - 46 };
}

// Rows first to last are in sight; `offset` is how far they are scrolled.
export function drawLines(pen, view, g, offset, high) {
  const { board, theme } = view;
  const { T } = board;
  const heads = view.shownHeads();
  const { at, toward, locked } = view.focus();
  const y = (i) => (i + 0.5) * LINE - offset;
  const from = toward === "from";
  const side = from ? g.right : g.left - 40;
  const bar = 40 / heads.length;
  const bars = [];
  for (const [n, head] of heads.entries()) {
    const colour = view.colourOf(head) ?? theme.accent;
    const link = (q, k) => {
      const part = view.share(head, q, k);
      const alpha = Math.min(1, part / (locked ? 1 : heads.length));
      if (locked) bars.push([side + bar * n, y(from ? k : q), colour, part]);
      const [y0, y1] = [y(q), y(k)];
      if (alpha < 0.015 || Math.max(y0, y1) < -LINE || Math.min(y0, y1) > high + LINE) return;
      pen.line(g.left, y0, g.right, y1, colour, alpha, 1 + 1.5 * part);
    };
    if (locked && from) for (let k = 0; k <= at; k++) link(at, k);
    else if (locked) for (let q = at; q < T; q++) link(q, at);
    else for (let q = 0; q < T; q++) for (let k = 0; k <= q; k++) link(q, k);
  }
  for (const [x, middle, colour, part] of bars)
    pen.rect(x, middle - LINE / 2 + 1, bar, LINE - 2, colour, 0.9 * Math.sqrt(part));
  const font = `13px ${theme.mono}`;
  for (let i = Math.max(0, Math.floor(offset / LINE)); i < T && y(i) < high + LINE; i++) {
    const left = from ? g.left - 41 : g.right - 1;
    if (i === at && locked) pen.frame(left + 0.5, y(i) - LINE / 2 + 0.5, 41, LINE - 1, theme.accent, 1.5);
    pen.text(drawn(board.tokens[i]), g.left - 8, y(i), theme.text, font, "right");
    pen.text(drawn(board.tokens[i]), g.right + 8, y(i), theme.text, font, "left");
  }
}
