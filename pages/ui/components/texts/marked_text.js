import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { html, render } from "../shared/vendor/lit-html.js";

export default component(mount, update);

function mount() {}

function update(view, { label, runs }) {
  const part = ([kind, text]) =>
    kind === "mark" ? html`<mark>${readableText(text)}</mark>` : html`<span class=${kind}>${readableText(text)}</span>`;
  render(html`<pre class="prose" tabindex="0" aria-label=${label}>${runs.map(part)}</pre>`, view.root);
}
