import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { html, render } from "../shared/vendor/lit-html.js";

export default component(mount, update);

function mount() {}

function update(view, { label, cells }) {
  const part = ([text, fill, ink, value]) =>
    html`<span style="background:${fill};color:${ink || "inherit"}" title=${value}>${readableText(text)}</span>`;
  render(html`<pre class="shaded" tabindex="0" aria-label=${label}>${cells.map(part)}</pre>`, view.root);
}
