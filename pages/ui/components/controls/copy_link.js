import { copied } from "../shared/clipboard.js";
import { component } from "../shared/component.js";
import { button } from "../shared/dom.js";
import { html, render } from "../shared/vendor/lit-html.js";

const HELP = "Copies the address of this page: whoever opens it sees the same run, settings, view and axes.";
const SHOWN = 2500; // ms for which the button says what it did

export default component(mount, update);

function mount(view) {
  view.address = "";
  draw(view);
}

function update() {}

function draw(view, said = "") {
  const { address } = view;
  const content = html`<input class="address" readonly ?hidden=${!address} .value=${address}
    aria-label="Address of this page">${button(said || "Copy link", HELP, () => copy(view))}
    <span class="spoken" aria-live="polite">${said}</span>`;
  render(content, view.root);
}

async function copy(view) {
  const done = await copied(location.href);
  view.address = done ? "" : location.href;
  draw(view, done ? "Copied" : "Press Ctrl + C");
  if (!done) view.root.querySelector("input").select();
  view.after(SHOWN, draw);
}
