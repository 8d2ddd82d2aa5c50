// How the attention board looks: every drawing goes through a pen, which puts it on a canvas or into an SVG file.

const LINE = 14; // px a row of the lines view
const ROW = 18; // px a row of the opened query
const HEAD_ROWS = 3; // rows above the keys of the opened query
const GAP = 6;

class CanvasPen {
  constructor(canvas, width, height, paper) {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    this.ctx = canvas.getContext("2d");
    this.ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.ctx.clearRect(0, 0, width, height);
    this.ctx.imageSmoothingEnabled = false;
    this.ratio = ratio;
    if (paper) this.rect(0, 0, width, height, paper);
  }
  rect(x, y, w, h, fill, alpha = 1) {
    this.ctx.globalAlpha = alpha;
    this.ctx.fillStyle = fill;
    this.ctx.fillRect(x, y, w, h);
    this.ctx.globalAlpha = 1;
  }
  frame(x, y, w, h, stroke, width = 1) {
    this.ctx.strokeStyle = stroke;
    this.ctx.lineWidth = width;
    this.ctx.strokeRect(x, y, w, h);
  }
  line(x0, y0, x1, y1, stroke, alpha = 1, width = 1) {
    this.ctx.globalAlpha = alpha;
    this.ctx.strokeStyle = stroke;
    this.ctx.lineWidth = width;
    this.ctx.beginPath();
    this.ctx.moveTo(x0, y0);
    this.ctx.lineTo(x1, y1);
    this.ctx.stroke();
    this.ctx.globalAlpha = 1;
  }
  text(words, x, y, fill, font, align = "left", alpha = 1) {
    this.ctx.globalAlpha = alpha;
    this.ctx.font = font;
    this.ctx.fillStyle = fill;
    this.ctx.textAlign = align;
    this.ctx.textBaseline = "middle";
    this.ctx.fillText(words, x, y);
    this.ctx.globalAlpha = 1;
  }
  image(canvas, x, y, w, h) {
    this.ctx.drawImage(canvas, x, y, w, h);
  }
}

class SvgPen {
  constructor(width, height, paper) {
    this.ratio = 2;
    this.size = [width, height];
    this.parts = [];
    this.rect(0, 0, width, height, paper);
  }
  add(tag, attributes, content = "") {
    const escaped = (value) => String(value).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
    const listed = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(typeof value === "number" ? +value.toFixed(2) : value)}"`);
    this.parts.push(`<${tag}${listed.join("")}>${escaped(content)}</${tag}>`);
  }
  rect(x, y, width, height, fill, alpha = 1) {
    this.add("rect", { x, y, width, height, fill, "fill-opacity": alpha });
  }
  frame(x, y, width, height, stroke, thick = 1) {
    this.add("rect", { x, y, width, height, fill: "none", stroke, "stroke-width": thick });
  }
  line(x1, y1, x2, y2, stroke, alpha = 1, width = 1) {
    this.add("line", { x1, y1, x2, y2, stroke, "stroke-opacity": alpha.toFixed(3), "stroke-width": width });
  }
  text(words, x, y, fill, font, align = "left", alpha = 1) {
    const anchor = { left: "start", center: "middle", right: "end" }[align];
    const [, size, family] = /([\d.]+)px (.*)$/.exec(font);
    const style = { fill, "font-size": +size, "font-family": family, "text-anchor": anchor, "fill-opacity": alpha };
    this.add("text", { x, y, ...style, "dominant-baseline": "central", "xml:space": "preserve" }, words);
  }
  image(canvas, x, y, width, height) {
    const style = "image-rendering: pixelated";
    this.add("image", { x, y, width, height, href: canvas.toDataURL("image/png"), preserveAspectRatio: "none", style });
  }
  get content() {
    const [w, h] = this.size;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}">${this.parts.join("\n")}</svg>`;
  }
}

// ---- colours -------------------------------------------------------------------------------------------------------

const ROOTS = Uint8Array.from({ length: 65536 }, (_, i) => Math.round(255 * Math.sqrt(i / 65535)));

// A scale of 256 colours from hexadecimal digits, as CSS colours and as pixels.
function scaleOf(hex) {
  const bytes = Uint8Array.from({ length: 768 }, (_, i) => parseInt(hex.substr(2 * i, 2), 16));
  const pixels = new Uint32Array(256);
  const css = [];
  for (let i = 0; i < 256; i++) {
    const [r, g, b] = bytes.subarray(3 * i, 3 * i + 3);
    pixels[i] = (255 << 24) | (b << 16) | (g << 8) | r;
    css.push(`rgb(${r},${g},${b})`);
  }
  return { pixels, css };
}

function rgbOf(colour) {
  const probe = (rgbOf.probe ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true }));
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return probe.getImageData(0, 0, 1, 1).data;
}

const shown = (token) => ({ "\n": "↵", " ": "␣", "\t": "⇥" })[token] ?? token;

function clipped(pen, words, width, font) {
  const ctx = pen.ctx ?? (clipped.ctx ??= new OffscreenCanvas(1, 1).getContext("2d"));
  ctx.font = font;
  if (ctx.measureText(words).width <= width) return words;
  while (words.length > 1 && ctx.measureText(words + "…").width > width) words = words.slice(0, -1);
  return words + "…";
}

// ---- the board: every head at once ---------------------------------------------------------------------------------

function boardGeometry(view, width) {
  const { board, ui } = view;
  const grid = ui.sort === "layer" && ui.only === "all";
  const left = grid ? 24 : 0;
  const columns = grid ? board.H : Math.max(1, Math.min(view.order.length, Math.floor(width / 66)));
  const cell = Math.max(12, Math.min(128, Math.floor((width - left) / columns)));
  const side = cell - (cell > 30 ? GAP : 2);
  const caption = cell >= 50 ? (view.header.about ? 28 : 15) : 0;
  const high = side + caption + (cell > 30 ? GAP : 2);
  const places = view.order.map((head, i) => {
    const [row, column] = grid ? [Math.floor(head / board.H), head % board.H] : [Math.floor(i / columns), i % columns];
    return { head, row, column, x: left + column * cell, y: row * high };
  });
  const rows = Math.max(1, ...places.map((p) => p.row + 1));
  return { width, height: rows * high, left, columns, cell, side, caption, high, places, grid };
}

// Pixels of one head, n × n, each the largest weight of those it stands for.
function paintHead(view, head, n, scratch) {
  const { T, tri, pattern } = view.board;
  const pooled = new Uint16Array(n * n);
  const place = Uint16Array.from({ length: T }, (_, k) => Math.floor((k * n) / T));
  const norms = view.ui.by === "value" ? view.board.norm.subarray(head * T, head * T + T) : null;
  const scale = norms ? 1 / view.top() : 1;
  let at = head * tri;
  for (let q = 0; q < T; q++) {
    const row = place[q] * n;
    for (let k = 0; k <= q; k++, at++) {
      const v = norms ? pattern[at] * norms[k] * scale : pattern[at];
      if (v > pooled[row + place[k]]) pooled[row + place[k]] = v;
    }
  }
  const image = new ImageData(n, n);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = view.sequential.pixels;
  for (let r = 0; r < n; r++) for (let c = 0; c <= r; c++) pixels[r * n + c] = colours[ROOTS[pooled[r * n + c]]];
  scratch.width = scratch.height = n;
  scratch.getContext("2d").putImageData(image, 0, 0);
}

function drawBoard(pen, view, g) {
  const { board, theme, header } = view;
  const scratch = document.createElement("canvas");
  const n = Math.max(1, Math.min(board.T, Math.round(g.side * pen.ratio)));
  const small = `11px ${theme.font}`;
  if (g.grid)
    for (let row = 0; row < board.L; row++) pen.text(`L${row}`, 0, row * g.high + g.caption + g.side / 2, theme.text, small, "left", 0.7);
  for (const { head, x, y } of g.places) {
    paintHead(view, head, n, scratch);
    pen.image(scratch, x, y + g.caption, g.side, g.side);
    pen.frame(x + 0.5, y + g.caption + 0.5, g.side - 1, g.side - 1, theme.line);
    if (!g.caption) continue;
    const name = view.nameOf(head);
    pen.text(name, x, y + 7, theme.text, small, "left", 0.9);
    const price = header.prices?.[name];
    if (price && g.cell >= 58) pen.text(signed(price[0], 3), x + g.side, y + 7, theme.text, small, "right", 0.9);
    const label = view.labelOf(head);
    const smaller = `${g.side < 66 ? 10 : 11}px ${theme.font}`;
    if (label) pen.text(clipped(pen, label.short, g.cell - 2, smaller), x, y + 20, theme.text, smaller, "left", label.key === "mixed" ? 0.5 : 0.9);
  }
  if (!g.places.length) pen.text("No head has this label here.", 0, 20, theme.text, `13px ${theme.font}`, "left", 0.7);
}

function drawBoardMarks(pen, view, g) {
  for (const { head, x, y } of g.places) {
    const colour = view.colourOf(head);
    if (colour) pen.frame(x - 1, y + g.caption - 1, g.side + 2, g.side + 2, colour, 3);
    if (head === view.hover.head) pen.frame(x - 2, y + g.caption - 2, g.side + 4, g.side + 4, view.theme.text, 1.5);
  }
}

const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const plain = (value, digits = 3) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);

// ---- one head, or several, as a map --------------------------------------------------------------------------------

function mapGeometry(view, width) {
  const { T } = view.board;
  const margin = 22;
  const room = Math.max(60, Math.min(width - margin - 2, 520));
  const cell = room / T >= 2 ? Math.floor(room / T) : room / T;
  const pitch = Math.min(cell, 36);
  return { width, margin, cell: pitch, side: pitch * T, height: margin + pitch * T + 2 };
}

function drawMap(pen, view, g) {
  const { board, theme } = view;
  const { T } = board;
  const heads = view.shownHeads();
  const scratch = document.createElement("canvas");
  if (heads.length === 1) paintHead(view, heads[0], T, scratch);
  else paintSeveral(view, heads, scratch);
  pen.image(scratch, g.margin, g.margin, g.side, g.side);
  pen.frame(g.margin - 0.5, g.margin - 0.5, g.side + 1, g.side + 1, theme.line);
  const small = `${Math.min(13, g.cell + 2)}px ${theme.code}`;
  if (g.cell >= 8)
    board.tokens.forEach((token, i) => {
      const at = g.margin + (i + 0.5) * g.cell;
      pen.text(shown(token), g.margin - 4, at, theme.text, small, "right", 0.8);
      pen.text(shown(token), at, g.margin - 8, theme.text, small, "center", 0.8);
    });
  const titles = `12px ${theme.font}`;
  if (g.side > 150) {
    pen.text("query: row", g.margin + g.side - 8, g.margin + 14, theme.text, titles, "right", 0.7);
    pen.text("key: column", g.margin + g.side - 8, g.margin + 30, theme.text, titles, "right", 0.7);
  }
}

// Each cell in the colour of the strongest of the heads.
function paintSeveral(view, heads, scratch) {
  const { T, tri, pattern, norm } = view.board;
  const image = new ImageData(T, T);
  const colours = heads.map((head) => rgbOf(view.colourOf(head)));
  const value = view.ui.by === "value";
  const scale = value ? 1 / view.top() : 1;
  for (let q = 0, at = 0; q < T; q++)
    for (let k = 0; k <= q; k++, at++) {
      let [best, strongest] = [-1, 0];
      heads.forEach((head, i) => {
        const v = pattern[head * tri + at] * (value ? norm[head * T + k] * scale : 1);
        if (v > best) [best, strongest] = [v, i];
      });
      const p = 4 * (q * T + k);
      const c = colours[strongest];
      [image.data[p], image.data[p + 1], image.data[p + 2], image.data[p + 3]] = [c[0], c[1], c[2], ROOTS[Math.floor(best)]];
    }
  scratch.width = scratch.height = T;
  scratch.getContext("2d").putImageData(image, 0, 0);
}

function drawMapMarks(pen, view, g) {
  const { theme, board, hover } = view;
  const { at, toward } = view.focus();
  const start = g.margin + at * g.cell;
  const long = toward === "from" ? at + 1 : board.T - at;
  const [x, y, w, h] = toward === "from" ? [g.margin, start, long * g.cell, g.cell] : [start, start, g.cell, long * g.cell];
  pen.frame(x - 1, y - 1, w + 2, h + 2, theme.primary, 2);
  const big = `bold 15px ${theme.code}`;
  const label = (i, across) => {
    const middle = g.margin + (i + 0.5) * g.cell;
    const [lx, ly] = across ? [middle, 9] : [9, middle];
    pen.rect(lx - 9, ly - 9, 18, 18, theme.paper);
    pen.text(shown(board.tokens[i]), lx, ly, theme.primary, big, "center");
  };
  label(at, toward === "to");
  if (hover.query === undefined || hover.key === undefined) return;
  pen.frame(g.margin + hover.key * g.cell - 1, g.margin + hover.query * g.cell - 1, g.cell + 2, g.cell + 2, theme.text, 1.5);
  label(toward === "from" ? hover.key : hover.query, toward === "from");
}

// ---- as lines between two columns ----------------------------------------------------------------------------------

function linesGeometry(view, width) {
  const wide = Math.min(width, 520);
  return { width: wide, height: view.board.T * LINE, left: 46, right: wide - 46 };
}

// Rows first to last are in sight; `offset` is how far they are scrolled.
function drawLines(pen, view, g, offset, high) {
  const { board, theme } = view;
  const heads = view.shownHeads();
  const { at, toward, locked } = view.focus();
  const y = (i) => (i + 0.5) * LINE - offset;
  const only = locked ? at : null;
  const bars = new Map();
  heads.forEach((head, n) => {
    const colour = view.colourOf(head) ?? theme.primary;
    const link = (q, k) => {
      const part = view.share(head, q, k);
      const alpha = Math.min(1, part / (only === null ? heads.length : 1));
      if (only !== null) bars.set(`${n}:${toward === "from" ? k : q}`, [colour, part, toward === "from" ? k : q, n]);
      const [y0, y1] = [y(q), y(k)];
      if (alpha < 0.015 || Math.max(y0, y1) < -LINE || Math.min(y0, y1) > high + LINE) return;
      pen.line(g.left, y0, g.right, y1, colour, alpha, 1 + 1.5 * part);
    };
    if (only === null) for (let q = 0; q < board.T; q++) for (let k = 0; k <= q; k++) link(q, k);
    else if (toward === "from") for (let k = 0; k <= only; k++) link(only, k);
    else for (let q = only; q < board.T; q++) link(q, only);
  });
  const side = toward === "from" ? g.right : g.left - 40;
  for (const [colour, part, i, n] of bars.values())
    pen.rect(side + (40 / heads.length) * n, y(i) - LINE / 2 + 1, 40 / heads.length, LINE - 2, colour, 0.9 * Math.sqrt(part));
  const font = `13px ${theme.code}`;
  for (let i = Math.max(0, Math.floor(offset / LINE)); i < board.T && y(i) < high + LINE; i++) {
    const here = i === at && (locked || view.hover.at !== undefined);
    if (here) pen.frame((toward === "from" ? g.left - 41 : g.right - 1) + 0.5, y(i) - LINE / 2 + 0.5, 41, LINE - 1, theme.primary, 1.5);
    pen.text(shown(board.tokens[i]), g.left - 8, y(i), theme.text, font, "right");
    pen.text(shown(board.tokens[i]), g.right + 8, y(i), theme.text, font, "left");
  }
}

// ---- one query opened ----------------------------------------------------------------------------------------------

function queryGeometry(view, width, D) {
  const wide = Math.max(width, 700);
  const numbers = 62 + 74 + 118 + 66 + 96;
  const strip = Math.max(1, Math.min(12, Math.floor((wide - numbers - 44) / 3 / D)));
  const span = strip * D;
  const x = { key: 0, k: 62 };
  x.product = x.k + span + 14;
  x.score = x.product + span + 10;
  x.soft = x.score + 74;
  x.norm = x.soft + 118;
  x.given = x.norm + 66;
  x.v = x.given + 96;
  return { width: wide, x, strip, span, D, rows: view.board.T, height: (HEAD_ROWS + view.board.T) * ROW };
}

function stripOf(pen, values, x, y, g, most, colours) {
  for (let d = 0; d < g.D; d++) {
    const c = Math.round(127.5 + 127.5 * Math.max(-1, Math.min(1, values[d] / (most || 1))));
    pen.rect(x + d * g.strip, y + 2, g.strip, ROW - 4, colours[c]);
  }
}

function drawQuery(pen, view, g, o, offset, high) {
  const { theme, board } = view;
  const small = `11px ${theme.font}`;
  const numbers = `12px ${theme.font}`;
  const { x } = g;
  for (let r = Math.max(0, Math.floor(offset / ROW)); r < o.order.length; r++) {
    const y = (HEAD_ROWS + r) * ROW - offset;
    if (y > high) break;
    const s = o.order[r];
    const masked = s > o.t;
    const faint = masked ? 0.35 : 1;
    const here = view.hover.row === s || (view.hover.key === s && view.hover.query === o.t);
    if (here) pen.rect(0, y, g.width, ROW, theme.shade);
    pen.text(String(s), x.key + 22, y + ROW / 2, theme.text, small, "right", 0.6 * faint);
    pen.text(shown(board.tokens[s]), x.key + 36, y + ROW / 2, theme.text, `13px ${theme.code}`, "center", faint);
    stripOf(pen, o.k(s), x.k, y, g, o.most.k, view.diverging.css);
    if (masked) {
      pen.text("−∞  masked: comes later", x.score, y + ROW / 2, theme.text, numbers, "left", 0.5);
      continue;
    }
    stripOf(pen, o.product(s), x.product, y, g, o.most.product, view.diverging.css);
    pen.text(plain(o.score(s)), x.soft - 14, y + ROW / 2, theme.text, numbers, "right");
    pen.rect(x.soft, y + 3, 58 * o.weight(s), ROW - 6, theme.primary, 0.75);
    pen.text(o.weight(s).toFixed(4), x.norm - 12, y + ROW / 2, theme.text, numbers, "right");
    pen.text(o.norm(s).toFixed(3), x.given - 14, y + ROW / 2, theme.text, numbers, "right");
    pen.rect(x.given, y + 3, (36 * o.given(s)) / (o.most.given || 1), ROW - 6, theme.palette[1], 0.75);
    pen.text(o.given(s).toFixed(3), x.v - 12, y + ROW / 2, theme.text, numbers, "right");
    stripOf(pen, o.written(s), x.v, y, g, o.most.written, view.diverging.css);
  }
  pen.rect(0, 0, g.width, HEAD_ROWS * ROW, theme.paper);
  const title = (words, at, note) => {
    pen.text(words, at, ROW / 2, theme.text, `bold 12px ${theme.font}`);
    pen.text(note, at, ROW * 1.5, theme.text, small, "left", 0.65);
  };
  title("key", x.key, "");
  title("k", x.k, `±${o.most.k.toPrecision(2)}`);
  title("q ∘ k", x.product, `±${o.most.product.toPrecision(2)}`);
  title("score", x.score, `q·k / √${g.D}`);
  title("softmax", x.soft, "weight");
  title("‖v W_O‖", x.norm, "length");
  title("contribution", x.given, "weight · length");
  title("weight · v", x.v, `±${o.most.written.toPrecision(2)}; below: sum, z`);
  const y = 2 * ROW;
  pen.text("query", x.key, y + ROW / 2, theme.text, small, "left", 0.65);
  pen.text(shown(board.tokens[o.t]), x.key + 46, y + ROW / 2, theme.primary, `bold 14px ${theme.code}`, "center");
  stripOf(pen, o.q, x.k, y, g, o.most.q, view.diverging.css);
  stripOf(pen, o.z, x.v, y, g, Math.max(...o.z.map(Math.abs)), view.diverging.css);
  pen.text("← q; keys below", x.product, y + ROW / 2, theme.text, small, "left", 0.65);
  pen.text(`Σ ${o.sum.toFixed(4)}`, x.norm - 12, y + ROW / 2, theme.text, numbers, "right", 0.8);
  pen.line(0, HEAD_ROWS * ROW - 0.5, g.width, HEAD_ROWS * ROW - 0.5, theme.line);
}
