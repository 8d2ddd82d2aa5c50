import { button, clamp, element } from "./dom.js";
import { html, nothing, render } from "./vendor/lit-html.js";

const PARTS = ["play", "first", "back", "next", "end", "slider"];

// Steps that are played, moved through one by one or scrubbed, and the `bar` of what does it. `show(step)` draws a step
// and returns what stands at the end of the bar; `pace()` says how many steps pass in a millisecond. A step may lie
// between two if they are not `whole`, while playing only if it `settles`. A hand on the slider has `moved` it.
export class Player {
  constructor(view, options) {
    Object.assign(this, { names: {}, whole: true, settles: false, words: ["Play", "Pause"], label: "Step" });
    Object.assign(this, { title: "The step shown", spoken: () => nothing, parts: PARTS, before: () => "" });
    this.moved = (step) => this.go(step);
    Object.assign(this, options, { step: 0, last: 0, frame: null });
    this.bar = element("div", { class: "bar steps", role: "group", "aria-label": "Steps" });
    view.abort.signal.addEventListener("abort", () => cancelAnimationFrame(this.frame));
  }
  // Other steps: `last` is the number of the last one.
  reset(last, step = last) {
    this.last = last;
    this.go(step);
  }
  go(step, playing = null) {
    cancelAnimationFrame(playing ? null : this.frame);
    this.frame = playing;
    this.step = clamp(this.settles && !playing ? Math.round(step) : step, 0, this.last);
    this.draw();
  }
  play() {
    if (this.frame) return this.go(this.step);
    if (this.step >= this.last) this.step = 0;
    let before = null;
    const tick = (now) => {
      this.frame = requestAnimationFrame(tick);
      const to = this.step + (before === null ? 0 : now - before) * this.pace();
      before = now;
      this.go(to, to < this.last ? this.frame : null);
    };
    this.frame = requestAnimationFrame(tick);
  }
  draw() {
    const { names, words, last, step, frame, whole } = this;
    const shown = Math.floor(step);
    const beside = this.show(whole ? shown : step);
    const make = (name, text, act, disabled) =>
      button(text, names[name], act, { kind: `${name}${names.main === name ? " first" : ""}`, disabled });
    const said = (frame ? words[1] : step >= last && words[2]) || words[0];
    const parts = {
      play: make("play", said, () => this.play(), !last),
      first: make("begin", "«", () => this.go(0), shown === 0),
      back: make("back", "Back", () => this.go(shown - 1), shown === 0),
      next: make("next", names.step ?? "Step", () => this.go(shown + 1), shown === last),
      end: make("end", names.skip ?? "»", () => this.go(last), shown === last),
      slider: html`<input type="range" min="0" max=${last} step=${whole || this.settles ? 1 : "any"}
        aria-label=${this.label} title=${this.title} aria-valuetext=${this.spoken()} ?disabled=${!last}
        .value=${String(whole ? shown : step)} style="--at:${step / Math.max(1, last)}"
        @input=${({ target }) => this.moved(+target.value)} @keydown=${(event) => this.pressed(event)}>`,
    };
    render(html`${this.before()}${this.parts.map((name) => parts[name])}${beside}`, this.bar);
  }
  pressed(event) {
    if (event.key !== " ") return;
    event.preventDefault();
    this.play();
  }
}
