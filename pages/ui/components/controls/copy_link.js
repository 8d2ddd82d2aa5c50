import { component } from "../shared/component.js";
import { button, element } from "../shared/dom.js";

const HELP = "Copies the address of this page: whoever opens it sees the same run, settings, view and axes.";
const SHOWN = 2500; // ms for which the button says what it did

export default component(mount, update);

function mount(view) {
  view.button = button("Copy link", HELP, () => copy(view));
  view.address = element("input", { class: "address", readonly: "", hidden: "", "aria-label": "Address of this page" });
  view.spoken = element("span", { class: "spoken", "aria-live": "polite" });
  view.root.append(view.address, view.button, view.spoken);
  view.ended = () => clearTimeout(view.timer);
}

function update() {}

async function copy(view) {
  const link = location.href;
  const copied = (await byPermission(link)) || bySelection(link);
  say(view, copied ? "Copied" : "Press Ctrl + C");
  view.address.hidden = copied;
  if (copied) return;
  view.address.value = link;
  view.address.select();
}

function say(view, words) {
  view.button.textContent = view.spoken.textContent = words;
  clearTimeout(view.timer);
  view.timer = setTimeout(() => {
    view.button.textContent = "Copy link";
    view.spoken.textContent = "";
  }, SHOWN);
}

// Browsers offer the clipboard to pages of https and of one's own machine only.
async function byPermission(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function bySelection(text) {
  const box = element("textarea", { style: "position: fixed; opacity: 0" });
  const before = document.activeElement;
  box.value = text;
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  before?.focus?.();
  return copied;
}
