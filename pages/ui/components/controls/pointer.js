import { component } from "../shared/component.js";
import { still } from "../shared/theme.js";

const EVERY = 200; // ms between two looks
const PATIENCE = 20; // looks at a page that is drawn, before what is not there counts as missing
const SETTLES = 15; // looks after the first: a page may grow above what was shown
const HANDS = ["wheel", "touchstart", "keydown", "pointerdown"];
const STRIP = ".st-key-tour";

export default component(mount, update);

function mount(view) {
  for (const kind of HANDS) view.on(window, kind, () => Object.assign(view, { moved: true }), { capture: true });
}

function update(view, message) {
  if (!view.fresh || message.name === view.message?.name) return;
  Object.assign(view, { message, looks: 0, shown: 0, moved: false });
  view.after(EVERY, look);
}

function look(view) {
  const drawn = document.querySelector("[data-test-script-state]")?.dataset.testScriptState === "notRunning";
  const target = drawn ? document.querySelector(view.message.selector) : null;
  if (target?.getClientRects().length) {
    if (!view.shown || !view.moved) show(target);
    if (++view.shown > SETTLES || view.moved) return;
  } else if (drawn && ++view.looks > PATIENCE) return view.trigger("missing", view.message.name);
  view.after(EVERY, look);
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
  const by = top - Math.max(60, (free - box.height) / 2);
  main.scrollBy({ top: by, behavior: still() ? "instant" : "smooth" });
}
