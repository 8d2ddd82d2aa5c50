import { button, clamp, element, fill } from "./dom.js";

// Steps that are played, moved through one by one or scrubbed. `show(step)` draws a step, which may lie between two;
// `pace()` says how many steps pass in a millisecond. The view gets `go`, `play` and `stop`.
export class Player {
  constructor(view, { names, pace, show, whole = true }) {
    Object.assign(this, { view, pace, show, whole, step: 0, last: 0, frame: null });
    const by = (change) => () => this.go(Math.floor(this.step) + change);
    const make = (name, words, act, kind = "") => button(words, names[name], act, kind ? { class: kind } : {});
    this.buttons = {
      play: make("play", "Play", () => this.play(), names.main === "play" ? "first" : ""),
      back: make("back", "Back", by(-1)),
      next: make("next", names.step ?? "Step", by(1), names.main === "next" ? "first" : ""),
      first: make("first", "«", () => this.go(0)),
      end: make("end", "»", () => this.go(Infinity)),
    };
    this.slider = element("input", {
      type: "range",
      min: 0,
      step: whole ? 1 : "any",
      "aria-label": "Step",
      title: "The step shown",
    });
    this.slider.oninput = () => this.go(+this.slider.value);
    this.where = element("span", { class: "where" });
    view.abort.signal.addEventListener("abort", () => cancelAnimationFrame(this.frame));
  }
  get controls() {
    const { first, back, next, end, play } = this.buttons;
    return [play, first, back, next, end, this.slider, this.where];
  }
  // Other steps: `last` is the number of the last one.
  reset(last, step = last) {
    this.last = last;
    this.slider.max = last;
    this.go(step);
  }
  go(step, playing = false) {
    if (!playing) this.stop();
    this.step = clamp(step, 0, this.last);
    const shown = Math.floor(this.step);
    this.slider.value = this.whole ? shown : this.step;
    fill(this.slider, this.step / Math.max(1, this.last));
    this.view.root.dataset.step = shown;
    this.buttons.first.disabled = this.buttons.back.disabled = shown === 0;
    this.buttons.next.disabled = this.buttons.end.disabled = shown === this.last;
    this.show(this.whole ? shown : this.step);
  }
  play() {
    if (this.frame) return this.stop();
    if (this.step >= this.last) this.step = 0;
    this.buttons.play.textContent = "Pause";
    let before = null;
    const tick = (now) => {
      this.frame = requestAnimationFrame(tick);
      if (before !== null) this.go(this.step + (now - before) * this.pace(), true);
      before = now;
      if (this.step >= this.last) this.stop();
    };
    this.frame = requestAnimationFrame(tick);
  }
  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.buttons.play.textContent = "Play";
  }
}
