// The part of a canvas's 2D context that the charts use, writing SVG instead of pixels.
const START = { x: 0, y: 0, turn: 0, clip: "" };
const ANCHOR = { left: "start", center: "middle", right: "end" };

export class SvgContext {
  constructor(width, height, paper) {
    this.size = [width, height];
    this.parts = [];
    this.saved = [];
    this.state = START;
    this.clips = 0;
    Object.assign(this, {
      fillStyle: paper,
      strokeStyle: "#000",
      lineWidth: 1,
      globalAlpha: 1,
      font: "12px sans-serif",
    });
    Object.assign(this, { textAlign: "left", textBaseline: "alphabetic", lineCap: "butt", lineJoin: "miter" });
    this.setLineDash([]);
    this.beginPath();
    this.fillRect(0, 0, width, height);
  }
  add(tag, attributes, content = "") {
    const { x, y, turn, clip } = this.state;
    const moved =
      x || y || turn ? `translate(${number(x)} ${number(y)}) rotate(${number((turn * 180) / Math.PI)})` : "";
    const all = { ...attributes, transform: moved, "clip-path": clip };
    const listed = Object.entries(all).filter(([, value]) => value !== "");
    this.parts.push(
      `<${tag}${listed.map(([name, v]) => ` ${name}="${escaped(number(v))}"`).join("")}>${escaped(content)}</${tag}>`,
    );
  }
  save() {
    this.saved.push(this.state);
  }
  restore() {
    this.state = this.saved.pop() ?? START;
  }
  translate(x, y) {
    this.state = { ...this.state, x: this.state.x + x, y: this.state.y + y };
  }
  rotate(turn) {
    this.state = { ...this.state, turn: this.state.turn + turn };
  }
  setLineDash(dash) {
    this.dash = dash.join(" ");
  }
  beginPath() {
    this.path = [];
  }
  moveTo(x, y) {
    this.path.push(`M${number(x)} ${number(y)}`);
  }
  lineTo(x, y) {
    this.path.push(`${this.path.length ? "L" : "M"}${number(x)} ${number(y)}`);
  }
  rect(x, y, w, h) {
    this.path.push(`M${number(x)} ${number(y)}h${number(w)}v${number(h)}h${number(-w)}z`);
  }
  arc(x, y, r) {
    const [left, radius, wide] = [number(x - r), number(r), number(2 * r)];
    this.path.push(`M${left} ${number(y)}a${radius} ${radius} 0 1 0 ${wide} 0a${radius} ${radius} 0 1 0 ${-wide} 0z`);
  }
  clip() {
    const id = `clip-${++this.clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path.join("")}"/></clipPath>`);
    this.state = { ...this.state, clip: `url(#${id})` };
  }
  fill() {
    if (this.path.length) this.add("path", { d: this.path.join(""), ...this.filling });
  }
  stroke() {
    if (this.path.length) this.add(...this.asLine(), "");
  }
  // A path of one segment is a line, which drawing programs let one pick up.
  asLine() {
    const ends = /^M(\S+) (\S+)L(\S+) (\S+)$/.exec(this.path.join(""));
    if (!ends || this.path.length !== 2) return ["path", { d: this.path.join(""), ...this.stroking }];
    const [, x1, y1, x2, y2] = ends;
    return ["line", { x1, y1, x2, y2, ...this.stroking }];
  }
  fillRect(x, y, width, height) {
    this.add("rect", { x, y, width, height, ...this.filling });
  }
  strokeRect(x, y, width, height) {
    this.add("rect", { x, y, width, height, ...this.stroking });
  }
  clearRect() {}
  fillText(words, x, y) {
    this.add("text", { x, y, ...this.lettering, ...this.filling }, words);
  }
  strokeText(words, x, y) {
    this.add("text", { x, y, ...this.lettering, ...this.stroking }, words);
  }
  drawImage(canvas, x, y, width, height) {
    const style = "image-rendering: pixelated";
    const href = canvas.toDataURL("image/png");
    this.add("image", { x, y, width, height, href, preserveAspectRatio: "none", style });
  }
  get filling() {
    return { fill: this.fillStyle, "fill-opacity": this.globalAlpha };
  }
  get stroking() {
    const line = { "stroke-width": this.lineWidth, "stroke-linecap": this.lineCap, "stroke-linejoin": this.lineJoin };
    const seen = { "stroke-opacity": this.globalAlpha, "stroke-dasharray": this.dash };
    return { fill: "none", stroke: this.strokeStyle, ...line, ...seen };
  }
  get lettering() {
    const [, style, size, family] = /^(.*?)([\d.]+)px (.*)$/.exec(this.font);
    const baseline = this.textBaseline === "middle" ? "central" : "alphabetic";
    const font = { "font-size": size, "font-family": family, "font-weight": style.trim() };
    return { ...font, "text-anchor": ANCHOR[this.textAlign], "dominant-baseline": baseline, "xml:space": "preserve" };
  }
  get content() {
    const [w, h] = this.size;
    const size = `width="${w}" height="${h}" viewBox="0 0 ${w} ${h}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${this.parts.join("\n")}</svg>`;
  }
}

const number = (value) => (typeof value === "number" ? +value.toFixed(2) : value);
const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
