// A pen draws on a canvas or into an SVG file: both offer the same context, so each picture is written once.
import { SvgContext } from "./svg_context.js";

export function canvasContext(canvas, width, height, ratio = window.devicePixelRatio || 1) {
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

export class Pen {
  constructor(ctx, width, height) {
    Object.assign(this, { ctx, width, height, ratio: ctx instanceof SvgContext ? 2 : window.devicePixelRatio || 1 });
    ctx.imageSmoothingEnabled = false;
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
    segment(this.ctx, x0, y0, x1, y1);
    this.ctx.globalAlpha = 1;
  }
  text(words, x, y, fill, font, align = "left", alpha = 1) {
    Object.assign(this.ctx, { font, fillStyle: fill, textBaseline: "middle" });
    write(this.ctx, words, x, y, align, alpha);
  }
  image(canvas, x, y, w, h) {
    this.ctx.drawImage(canvas, x, y, w, h);
  }
}

// A pen on a canvas that is on the page.
export function canvasPen(canvas, width, height) {
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  return new Pen(canvasContext(canvas, width, height), width, height);
}

export function segment(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

export function write(ctx, text, x, y, align, alpha) {
  ctx.textAlign = align;
  ctx.globalAlpha = alpha;
  ctx.fillText(text, x, y);
  ctx.globalAlpha = 1;
}

export function disc(ctx, x, y, radius) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
}

let ruler;

export function textWidth(text, font) {
  ruler ??= new OffscreenCanvas(1, 1).getContext("2d");
  ruler.font = font;
  return ruler.measureText(text).width;
}

// Words cut to a width, in a font.
export function clipped(words, width, font) {
  if (textWidth(words, font) <= width) return words;
  let end = words.length;
  while (end > 1 && textWidth(`${words.slice(0, end)}…`, font) > width) end--;
  return `${words.slice(0, end)}…`;
}
