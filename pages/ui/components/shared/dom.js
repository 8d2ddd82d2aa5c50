// What bars of controls are made of, as templates of lit-html, and what pointer and keyboard need everywhere.
import { html, nothing, render } from "./vendor/lit-html.js";

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// What a template makes, where nothing of it changes later.
export function made(template) {
  const place = new DocumentFragment();
  render(template, place);
  return place.firstElementChild;
}

export const button = (words, title, act, { kind, pressed, label, disabled = false } = {}) =>
  html`<button type="button" class=${kind ?? nothing} title=${title || nothing} aria-label=${label ?? nothing}
    aria-pressed=${pressed ?? nothing} ?disabled=${disabled} @click=${act}>${words}</button>`;

// A "?" that explains what stands before it.
export const note = (help) =>
  html`<span class="help" tabindex="0" role="note" title=${help} aria-label=${help}>?</span>`;

// A labelled menu of `options`, the words of each value; `chosen` gets the value.
export const menu = (label, title, options, value, chosen, hidden = false) =>
  html`<label title=${title} ?hidden=${hidden}>${label}
    <select title=${title} aria-label=${label} @change=${(event) => chosen(event.target.value)}>
      ${Object.entries(options).map((option) => optionOf(option, value))}</select></label>`;

const optionOf = ([name, words], value) => html`<option value=${name} .selected=${name === value}>${words}</option>`;

// Buttons of which one is pressed.
export const choice = (label, title, options, value, chosen) =>
  html`<span class="choice" role="group" aria-label=${label} title=${title}>${Object.entries(options).map(
    ([name, words]) => button(words, null, () => chosen(name), { pressed: name === value }),
  )}</span>`;

// A labelled slider with its value beside it, as `words` puts it.
export const slider = (label, title, { min, max, step, value }, words, moved, { code = "", hidden = false } = {}) =>
  html`<label title=${title} ?hidden=${hidden}>${label} ${code && html`<small>${code}</small>`}
    <input type="range" min=${min} max=${max} step=${step} title=${title} aria-label=${`${label} ${code}`.trim()}
      .value=${String(value)} style="--at:${(value - min) / (max - min)}"
      @input=${(event) => moved(Number(event.target.value))}><output>${words(value)}</output></label>`;

export const checkbox = (label, title, checked, changed) =>
  html`<label title=${title}><input type="checkbox" .checked=${checked}
    @change=${(event) => changed(event.target.checked)}>${label}</label>`;

// Controls behind a word; a click elsewhere and Escape hide them again, and the word has the focus that was among them.
export const disclosed = (words, title, content) =>
  html`<button type="button" class="opener" popovertarget="panel" title=${title}>${words}</button>
    <div popover class="panel" id="panel" @beforetoggle=${giveBack}>${content}</div>`;

function giveBack({ target: panel, newState }) {
  if (newState === "closed" && panel.contains(panel.getRootNode().activeElement)) panel.previousElementSibling.focus();
}

// A band of colour with words at its two ends.
export const colourKey = (low, colours, high) => html`<span class="key quiet">${low}<i
  style="background: linear-gradient(to right, ${colours})"></i>${high}</span>`;

export const swatch = (colour) => html`<span class="swatch" style="background:${colour}"></span>`;

// How far the coloured part of a slider's track reaches: a share from 0 to 1.
export const fill = (input, share) => input.style.setProperty("--at", share);

// Where an event happened, in pixels from the top left corner of a node.
export function place(event, node) {
  const box = node.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Which way an arrow key points, as [x, y]; undefined for any other key.
export const arrow = (event) => ARROWS[event.key];

// Where a key leads from number i in a row that ends with `last`; undefined for any other key.
export function along({ key }, i, last, pace = 1) {
  const to = { ArrowLeft: i - pace, ArrowRight: i + pace, Home: 0, End: last }[key];
  return to === undefined ? undefined : clamp(to, 0, last);
}

// The number in data-NAME of what an event happened on; null if there is none.
export function numberAt(event, name) {
  const found = event.target.closest?.(`[data-${name}]`)?.getAttribute(`data-${name}`);
  return found === undefined ? null : Number(found);
}

// What `at` finds under the pointer is hovered (null: nothing), a click on it keeps it, and so may the keys: a key for
// which `pressed` does not return false goes no further.
export function pointed(view, node, at, { hover, keep, pressed = () => false, by = "pointermove" }) {
  view.on(node, by, (event) => hover(at(event), event));
  view.on(node, "pointerleave", () => hover(null));
  view.on(node, "click", (event) => at(event) !== null && keep(at(event), event));
  view.on(node, "keydown", (event) => pressed(event) !== false && event.preventDefault());
}

// A part that scrolls can be reached by keyboard, and only as long as there is something to scroll.
export function scroller(view, node) {
  const fit = () => {
    if (node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  };
  view.resized(node, fit);
  return fit; // for when the content has changed
}
