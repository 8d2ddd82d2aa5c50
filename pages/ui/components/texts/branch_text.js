// A text of which every character answers to the pointer: how likely it was, and what else could have come. A click
// keeps one; then a rival can be taken in its place, or asked why it was not.
import { drawn, pointable, readableText, spelled } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { arrow, button, clamp, colourKey, element, made, numberAt, pointed } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { MOST } from "../shared/letters.js";
import { surpriseColour } from "../shared/theme.js";
import { html, render } from "../shared/vendor/lit-html.js";
import { reached } from "./writing_keys.js";

const TINT = 60; // percent of the colour where it is full: any letter can be read on it
const HELP = "Point at a character: what else could have come. Click it to keep it, then take a rival instead.";
const PAPER = "The text: arrow keys move from character to character, Enter keeps one, Escape lets go";

export default component(mount, update);

function mount(view) {
  view.hover = null;
  view.paper = element("pre", { class: "paper prose", tabindex: 0, role: "application", "aria-label": PAPER });
  view.head = element("div", { class: "head", "aria-live": "polite" });
  const label = "What could have come: arrow keys move";
  view.rivals = element("div", { class: "rivals", role: "group", "aria-label": label });
  view.root.append(view.paper, element("div", { class: "detail" }, view.head, view.rivals));
  pointed(view, view.paper, (event) => numberAt(event, "i"), {
    hover: (i, event) => event?.pointerType !== "touch" && hover(view, i),
    keep: (i) => choose(view, i),
    pressed: (event) => pressed(view, event),
  });
  view.on(view.rivals, "keydown", (event) => moved(view, event));
}

function update(view, data) {
  const other = view.fresh && (data.of !== view.data?.of || data.branch !== view.data?.branch);
  Object.assign(view, { data, chars: [...data.text] });
  if (!view.fresh) return;
  view.hover = null;
  draw(view);
  tell(view);
  const first = view.spans.find((_, i) => data.branches[i] === data.branch);
  const seen = data.kept === null ? first : view.spans[data.kept];
  if (seen && (other || data.kept !== null)) intoSight(view.paper, seen);
}

// Scrolls the paper, never the page.
function intoSight(paper, span) {
  const { top, bottom } = span.getBoundingClientRect();
  const box = paper.getBoundingClientRect();
  if (top < box.top || bottom > box.bottom) paper.scrollTop += top - box.top - paper.clientHeight / 3;
}

const tinted = ({ theme }, percent) => `color-mix(in srgb, ${surpriseColour(theme)} ${percent}%, transparent)`;

function draw(view) {
  const { data, chars } = view;
  const { branches, branch, forks, kept, bits } = data;
  view.spans = chars.map((character, i) => {
    const start = i > 0 && branches[i] === branch && branches[i - 1] !== branch;
    const kind = [start && "start", forks[i] && "fork", i === kept && "kept"].filter(Boolean).join(" ");
    const style = `background-color: ${tinted(view, Math.round(TINT * Math.min(1, bits[i] / MOST)))}`;
    return element("span", { "data-i": i, class: kind, style }, pointable(character));
  });
  const lines = view.spans.flatMap((span, i) => (chars[i] === "\n" ? [span, "\n"] : [span]));
  view.paper.replaceChildren(made(html`<span class="given">${readableText(data.prompt)}</span>`), ...lines);
}

function hover(view, i) {
  if (i === view.hover) return;
  view.hover = i;
  tell(view);
}

function pressed(view, event) {
  const i = view.hover ?? view.data.kept;
  const to = reached(view.spans, i, event.key);
  if (event.key === "Enter" && i !== null) return choose(view, i);
  if (to === undefined) return false;
  hover(view, to);
  if (to !== null) intoSight(view.paper, view.spans[to]);
}

// ---- what could have come -------------------------------------------------------------------------------------------

function tell(view) {
  const { data, chars, spans } = view;
  for (const span of view.paper.querySelectorAll(".pointed")) span.classList.remove("pointed");
  const i = view.hover ?? data.kept;
  view.root.dataset.shown = i ?? "";
  if (i === null) {
    const key = colourKey("0 bits", `transparent, ${tinted(view, TINT)}`, `${MOST} or more`);
    render(html`<p class="quiet">${HELP}</p>${key}`, view.head);
    return render("", view.rivals);
  }
  spans[i]?.classList.add("pointed");
  const cut = `${chance(2 ** -data.bits[i])} under the model, ${data.bits[i].toFixed(2)} bits, rank ${data.ranks[i]}`;
  const after = `; ${chance(data.chances[i])} as it was drawn`;
  render(html`<p><b>${spelled(chars[i])}</b> had probability ${cut}${after}.</p>`, view.head);
  const whole = i === data.kept ? data.everything : null;
  const list = whole ?? data.rivals;
  const from = whole ? 0 : i * data.each;
  const ranks = Array.from({ length: whole ? whole.ids.length : data.each }, (_, k) => k);
  render(
    ranks.map((k) => rival(view, i, list.before[from], list, from + k)),
    view.rivals,
  );
  view.rivals.scrollTop = 0;
  for (const [k, each] of buttons(view).entries()) each.tabIndex = k < 2 ? 0 : -1; // arrows lead to the others
}

const buttons = (view) => [...view.rivals.querySelectorAll("button")];

function moved(view, event) {
  const step = arrow(event);
  const all = buttons(view);
  const at = all.indexOf(event.target);
  if (!step || at < 0) return;
  event.preventDefault();
  all[clamp(at + step[0] + 2 * step[1], 0, all.length - 1)].focus();
}

function rival(view, i, most, { ids, before, after }, at) {
  const { data, chars } = view;
  const character = data.characters[ids[at]];
  const [seen, words] = [drawn(character), spelled(character)];
  const share = `width: ${((100 * before[at]) / most).toFixed(1)}%`;
  const row = html`<b>${seen}</b><span class="bar-of"><i style=${share}></i></span><span
    class="number">${chance(before[at])}</span>`;
  const drawing = after[at] === 0 ? "cut when it was drawn" : `${chance(after[at])} as it was drawn`;
  const title = `${words}: ${chance(before[at])} under the model, ${drawing}`;
  if (character === chars[i])
    return html`<span class="row here" title=${title}>${row}</span><span class="quiet small">stands here</span>`;
  const act = (kind) => () => send(view, { kind, character }, i);
  const label = `${seen} ${chance(before[at])} take it instead`;
  return [
    button(row, `Take it instead: a branch grows. ${title}`, act("take"), { kind: "row", label }),
    button("Why not?", `Which parts of the model spoke against ${words}`, act("why"), {
      kind: "why",
      label: `Why not? ${words}`,
    }),
  ];
}

function choose(view, i) {
  view.hover = null;
  send(view, { kind: "choose" }, i);
}

function send(view, act, i) {
  const { of, branches, places } = view.data;
  view.act({ ...act, of, branch: branches[i], place: places[i] }, act.kind !== "why");
}
