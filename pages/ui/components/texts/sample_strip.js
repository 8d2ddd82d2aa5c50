// The texts of a run, a card each. Cards that stand stay as they are, so that one being read does not move.
import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { html, render } from "../shared/vendor/lit-html.js";

export default component(mount, update);

function mount(view) {
  view.cards = [];
}

const card = ({ step, loss, prompt, text }) => html`<article class="card" role="listitem">
  <div class="head"><span class="step">${step}</span><span class="loss">${loss}</span></div>
  <pre class="prose" tabindex="0"><span class="prompt">${prompt.trimStart()}</span>${readableText(text)}</pre>
  </article>`;

function update(view, { cards }) {
  const others = !view.cards.length || view.cards.some(({ text }, i) => text !== cards[i]?.text);
  view.cards = cards;
  const label = "Text written at each evaluation";
  render(html`<div class="strip" tabindex="0" role="list" aria-label=${label}>${cards.map(card)}</div>`, view.root);
  const strip = view.root.firstElementChild;
  if (others) strip.scrollLeft = strip.scrollWidth;
}
