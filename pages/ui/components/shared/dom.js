export const SVG = "http://www.w3.org/2000/svg";

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function button(words, title, onclick, attributes = {}) {
  return element("button", { type: "button", title, onclick, ...attributes }, ...[words].flat());
}

// A labelled menu of `options`, the words of each value; `chosen` gets the value.
export function menu(label, title, options, value, chosen) {
  const select = element("select", { title, "aria-label": label });
  fillOptions(select, options);
  select.value = value;
  select.onchange = () => chosen(select.value);
  return element("label", { title }, label, select);
}

// A button that shows and hides what lies behind it; a click elsewhere and Escape hide it again.
export function disclosed(view, words, title, ...content) {
  const panel = element("div", { class: "panel", hidden: "" }, ...content);
  const opener = button(words, title, () => show(panel.hidden), { "aria-expanded": "false", class: "opener" });
  const show = (open) => {
    panel.hidden = !open;
    opener.ariaExpanded = String(open);
  };
  const both = element("span", { class: "disclosed" }, opener, panel);
  view.on(document, "pointerdown", (event) => !event.composedPath().includes(both) && show(false));
  view.on(both, "keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    show(false);
    opener.focus();
  });
  return both;
}

export function fillOptions(select, options) {
  const made = Object.entries(options).map(([value, words]) => element("option", { value }, words));
  select.replaceChildren(...made);
}

// A labelled slider with its value beside it, as `words` puts it. `show` brings a value set elsewhere.
export function slider(label, title, { min, max, step, value }, words, moved, code = "") {
  const output = element("output");
  const spoken = code ? `${label} ${code}` : label;
  const input = element("input", { type: "range", min, max, step, title, "aria-label": spoken });
  const show = (now) => {
    input.value = now;
    fill(input, (now - min) / (max - min));
    output.textContent = words(now);
  };
  input.oninput = () => {
    show(Number(input.value));
    moved(Number(input.value));
  };
  show(value);
  const name = code ? [label, " ", element("small", {}, code)] : [label];
  return Object.assign(element("label", { title }, ...name, input, output), { show, input });
}

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

// A band of colour with words at its two ends.
export function colourKey(low, colours, high) {
  const band = element("i", { style: `background: linear-gradient(to right, ${colours})` });
  return element("span", { class: "key quiet" }, low, band, high);
}

export const swatch = (colour) => element("span", { class: "swatch", style: `background:${colour}` });

// A part that scrolls can be reached by keyboard, and only as long as there is something to scroll.
export function scroller(view, node) {
  const fit = () => {
    if (node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  };
  view.resized(node, fit);
  return fit; // for when the content has changed
}
