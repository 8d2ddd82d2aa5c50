// Cards are added once and never redrawn, so that a card being read does not move.
import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { element } from "../shared/dom.js";

const AT_END = 24; // pixels from the right end that still count as "at the end"

export default component(mount, update);

function mount(view) {
  view.strip = element("div", { class: "strip", tabindex: 0, role: "list" });
  view.strip.ariaLabel = "Text written at each evaluation";
  view.texts = [];
  view.root.append(view.strip);
}

function card({ step, loss, prompt, text }) {
  const span = (name, words) => element("span", { class: name }, words);
  const head = element("div", { class: "head" }, span("step", step), span("loss", loss));
  const written = element(
    "pre",
    { class: "prose", tabindex: 0 },
    span("prompt", prompt.trimStart()),
    readableText(text),
  );
  return element("article", { class: "card", role: "listitem" }, head, written);
}

function update(view, { cards, following }) {
  const { strip } = view;
  const same = view.texts.every((text, i) => text === cards[i]?.text);
  const wasAtEnd = strip.scrollLeft + strip.clientWidth >= strip.scrollWidth - AT_END;
  if (!same) strip.replaceChildren();
  strip.append(...cards.slice(strip.children.length).map(card));
  view.texts = cards.map(({ text }) => text);
  if (!same || (following && wasAtEnd)) strip.scrollLeft = strip.scrollWidth;
}
