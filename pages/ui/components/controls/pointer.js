import { component } from "../shared/component.js";

const EVERY = 200; // ms between two looks
const PATIENCE = 20; // looks at a page that is drawn, before what is not there counts as missing
const SETTLES = 15; // looks after the first: a page may grow above what was shown
const HANDS = ["wheel", "touchstart", "keydown", "pointerdown"];
const STRIP = ".st-key-tour";

export default component(mount, update);

function mount(view) {
  view.ended = () => clearTimeout(view.timer);
}

function update(view, message) {
  if (!view.fresh || message.name === view.name) return;
  view.name = message.name;
  clearTimeout(view.timer);
  let looks = 0;
  let shown = 0;
  const hand = new AbortController();
  for (const kind of HANDS)
    addEventListener(kind, () => hand.abort(), { capture: true, once: true, signal: hand.signal });
  const look = () => {
    const drawn = document.querySelector("[data-test-script-state]")?.dataset.testScriptState === "notRunning";
    const target = drawn ? document.querySelector(message.selector) : null;
    if (target?.getClientRects().length) {
      if (!shown || !hand.signal.aborted) show(target);
      if (++shown > SETTLES || hand.signal.aborted) return hand.abort();
      view.timer = setTimeout(look, EVERY);
      return;
    }
    looks += drawn ? 1 : 0;
    if (looks > PATIENCE) return view.trigger("missing", message.name);
    view.timer = setTimeout(look, EVERY);
  };
  view.timer = setTimeout(look, EVERY);
}

// In the middle of what the strip at the bottom leaves free; at its top, if it is higher than that.
function show(target) {
  const main = target.closest("[data-testid=stMain]");
  const strip = document.querySelector(STRIP);
  if (!main || !strip) return target.scrollIntoView();
  const free = main.clientHeight - strip.offsetHeight;
  const box = target.getBoundingClientRect();
  const top = box.top - main.getBoundingClientRect().top;
  if (top >= 0 && top + box.height <= free) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const by = top - Math.max(60, (free - box.height) / 2);
  main.scrollBy({ top: by, behavior: still ? "instant" : "smooth" });
}
