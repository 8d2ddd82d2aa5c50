import { copied } from "../shared/clipboard.js";
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
  const done = await copied(link);
  say(view, done ? "Copied" : "Press Ctrl + C");
  view.address.hidden = done;
  if (done) return;
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
