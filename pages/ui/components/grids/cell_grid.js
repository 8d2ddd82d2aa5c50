// A table of buttons, of which one is a stop on the way with Tab; arrows lead to the others.
import { component } from "../shared/component.js";
import { arrow } from "../shared/dom.js";
import { html, nothing, render } from "../shared/vendor/lit-html.js";

export default component(mount, update);

function mount(view) {
  // Clicks that the server does not yet know of, as [number, key]. All are told again with the next: of several that
  // come while its script is busy, Streamlit hands it only the last. A number is above all that were given before.
  Object.assign(view, { clicks: [], number: Date.now() });
  view.on(view.root, "click", (event) => clicked(view, event.target.closest("button")));
  view.on(view.root, "keydown", (event) => moved(view, event));
}

function update(view, message) {
  Object.assign(view, { message, clicks: view.clicks.filter(([number]) => number > message.known) });
  draw(view);
}

function draw(view) {
  const { corner, columns, rows, label, live } = view.message;
  const cells = rows.flatMap(([, row]) => row.filter(Boolean));
  if (!cells.some(({ key }) => key === view.stop)) view.stop = cells[0]?.key;
  const narrow = cells.every(({ text }) => text.length < 3);
  const head = [corner, ...columns].map((name, i) => html`<th scope=${i ? "col" : nothing}>${name}</th>`);
  const line = ([name, row]) =>
    html`<tr><th scope="row">${name}</th>${row.map((cell) => html`<td>${cell && cellOf(view, cell)}</td>`)}</tr>`;
  const grid = html`<div class="scroll">
    <table role="grid" aria-label=${label} class="${narrow ? "narrow" : ""} ${live ? "" : "still"}">
      <thead><tr>${head}</tr></thead><tbody>${rows.map(line)}</tbody></table></div>`;
  render(grid, view.root);
}

// What is read of a cell begins with what is seen of it.
function cellOf({ message, stop, clicks }, { key, text, title, fill, ink, state }) {
  const flips = message.toggles ? clicks.filter(([, clicked]) => clicked === key).length : 0;
  const off = (state === "off") !== (flips % 2 === 1);
  return html`<button type="button" tabindex=${key === stop ? 0 : -1} data-key=${key} title=${title}
    aria-label=${text.trim() ? `${text} · ${title}` : title} aria-pressed=${message.toggles ? off : nothing}
    class=${off ? "off" : state === "off" ? "" : state} style="background:${fill};color:${ink}">${text}</button>`;
}

function clicked(view, node) {
  if (!node) return;
  const { key } = node.dataset;
  view.stop = key;
  if (view.message.live) view.clicks.push([++view.number, key]);
  draw(view); // seen at once; the server's answer follows
  if (view.message.live) view.trigger("pick", view.clicks);
}

// An arrow key goes to the next cell in its direction, over gaps.
function moved(view, event) {
  const step = arrow(event);
  const keys = view.message.rows.map(([, row]) => row.map((cell) => cell?.key));
  let r = keys.findIndex((row) => row.includes(event.target.dataset.key));
  if (!step || r < 0) return;
  event.preventDefault();
  let c = keys[r].indexOf(event.target.dataset.key);
  do {
    c += step[0];
    r += step[1];
  } while (keys[r] && c in keys[r] && !keys[r][c]);
  if (!keys[r]?.[c]) return;
  view.stop = keys[r][c];
  draw(view);
  view.root.querySelector("button[tabindex='0']").focus();
}
