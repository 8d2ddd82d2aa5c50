// A line of text with, if it has one, a bar of how far something is. What it says comes with the page, then from
// whoever asks the server (said.js).
import { component } from "../shared/component.js";
import { note } from "../shared/dom.js";
import { listened } from "../shared/said.js";
import { html, render } from "../shared/vendor/lit-html.js";

export default component(mount, update);

function mount(view, { name }) {
  listened(view, name, show);
}

function update(view, { line }) {
  if (view.fresh) show(view, line);
}

function piece({ text, kind, icon }) {
  if (!kind) return text;
  if (kind === "strong") return html`<b>${text}</b>`;
  const sign = icon ? html`<i aria-hidden="true">${icon}</i> ` : "";
  const [ink, ground] = [`var(--st-${kind}-text-color)`, `var(--st-${kind}-background-color)`];
  return html`<span class="badge" style="color:${ink};background:${ground}">${sign}${text}</span>`;
}

const gone = (progress) => html`<div class="track" role="progressbar" aria-label="How far it is" aria-valuemin="0"
  aria-valuemax="100" aria-valuenow=${Math.round(100 * progress)}><i style="width:${100 * progress}%"></i></div>`;

function show(view, { pieces, help, progress, faint }) {
  const explained = help && pieces.length ? html`&nbsp;${note(help)}` : "";
  const words = html`<p class=${faint ? "faint" : ""}>${pieces.map(piece)}${explained}</p>`;
  render(html`${words}${progress === null ? "" : gone(progress)}`, view.root);
}
