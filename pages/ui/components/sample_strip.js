// Cards are added once and never redrawn, so that a card being read does not move.
const AT_END = 24; // pixels from the right end that still count as "at the end"

function card({ step, loss, prompt, text }) {
  const box = document.createElement("article");
  box.className = "card";
  box.setAttribute("role", "listitem");
  const head = document.createElement("div");
  head.className = "head";
  for (const [name, words] of [["step", step], ["loss", loss]]) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = words;
    head.append(span);
  }
  const body = document.createElement("pre");
  const start = document.createElement("span");
  start.className = "prompt";
  start.textContent = prompt.trimStart();
  body.append(start, text);
  box.append(head, body);
  box.dataset.text = text;
  return box;
}

export default function ({ data, parentElement }) {
  const strip = parentElement.querySelector(".strip");
  const cards = data.cards;
  const shown = [...strip.children];
  const same = shown.every((box, i) => i < cards.length && box.dataset.text === cards[i].text);
  const wasAtEnd = strip.scrollLeft + strip.clientWidth >= strip.scrollWidth - AT_END;
  if (!same) strip.replaceChildren();
  for (let i = strip.children.length; i < cards.length; i++) strip.append(card(cards[i]));
  if (!same || (data.following && wasAtEnd)) strip.scrollLeft = strip.scrollWidth;
}
