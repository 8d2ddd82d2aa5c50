import { component } from "../shared/component.js";
import { merged } from "../shared/progress.js";

const PLACE = "bardlab.progress";

export default component(mount, update);

function mount() {}

function update(view, { now }) {
  if (!view.fresh) return;
  const both = merged(now, stored() ?? now);
  const text = JSON.stringify(both);
  keep(text);
  if (text !== JSON.stringify(merged(now, now))) view.trigger("kept", both);
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(PLACE));
  } catch {
    return null; // nothing may be kept here, or it is damaged
  }
}

function keep(text) {
  try {
    if (localStorage.getItem(PLACE) !== text) localStorage.setItem(PLACE, text);
  } catch {
    // a browser that keeps nothing
  }
}
