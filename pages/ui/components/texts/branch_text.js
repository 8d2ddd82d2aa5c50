// A text of which every character answers to the pointer: how likely it was, and what else could have come. A click
// keeps one; then a rival can be taken in its place, or asked why it was not.
import { drawn, readableText, spelled, standing } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { arrow, button, clamp, colourKey, element } from "../shared/dom.js";
import { chance } from "../shared/format.js";
import { surpriseColour } from "../shared/theme.js";

const MOST = 8; // bits at which the tint is full
const AGAIN = 1000; // ms after which another act is taken, whether the last one changed the text or not
const TINT = 60; // percent of the colour there: any letter can be read on it

export default component(mount, update);

function mount(view) {
  view.hover = null;
  view.paper = element("pre", { class: "paper prose", tabindex: 0, role: "application" });
  view.paper.ariaLabel = "The text: arrow keys move from character to character, Enter keeps one, Escape lets go";
  view.head = element("div", { class: "head", "aria-live": "polite" });
  view.rivals = element("div", { class: "rivals", role: "group" });
  view.rivals.ariaLabel = "What could have come: arrow keys move";
  view.root.append(view.paper, element("div", { class: "detail" }, view.head, view.rivals));
  const at = (event) => {
    const i = event.target.closest?.("[data-i]")?.dataset.i;
    return i === undefined ? null : Number(i);
  };
  view.on(view.paper, "pointermove", (event) => event.pointerType !== "touch" && hover(view, at(event)));
  view.on(view.paper, "pointerleave", () => hover(view, null));
  view.on(view.paper, "click", (event) => at(event) !== null && choose(view, at(event)));
  view.on(view.paper, "keydown", (event) => pressed(view, event));
  view.on(view.rivals, "keydown", (event) => moved(view, event));
}

function update(view, data) {
  const other = view.fresh && (data.of !== view.data?.of || data.branch !== view.data?.branch);
  Object.assign(view, { data, busy: false, chars: [...data.text] });
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

function draw(view) {
  const { data, chars, theme } = view;
  const hue = surpriseColour(theme);
  view.spans = chars.map((character, i) => {
    const tint = Math.round(TINT * Math.min(1, data.bits[i] / MOST));
    const start = i > 0 && data.branches[i] === data.branch && data.branches[i - 1] !== data.branch;
    const marks = [start ? "start" : "", data.forks[i] ? "fork" : "", i === data.kept ? "kept" : ""];
    const style = `background-color: color-mix(in srgb, ${hue} ${tint}%, transparent)`;
    return element("span", { "data-i": i, class: marks.filter(Boolean).join(" "), style }, standing(character));
  });
  const given = element("span", { class: "given" }, readableText(data.prompt));
  const lines = view.spans.flatMap((span, i) => (chars[i] === "\n" ? [span, "\n"] : [span]));
  view.paper.replaceChildren(given, ...lines);
}

function hover(view, i) {
  if (i === view.hover) return;
  view.hover = i;
  tell(view);
}

function pressed(view, event) {
  const last = view.chars.length - 1;
  const i = view.hover ?? view.data.kept;
  const ends = { Home: 0, End: last };
  const step = arrow(event);
  if (event.key === "Enter" && i !== null) choose(view, i);
  else if (event.key === "Escape") hover(view, null);
  else if (step || event.key in ends) {
    hover(view, step ? clamp((i ?? -1) + (step[0] || step[1]), 0, last) : ends[event.key]);
    intoSight(view.paper, view.spans[view.hover]);
  } else return;
  event.preventDefault();
}

// ---- what could have come -------------------------------------------------------------------------------------------

function tell(view) {
  const { data, chars, spans } = view;
  for (const span of view.paper.querySelectorAll(".pointed")) span.classList.remove("pointed");
  const i = view.hover ?? data.kept;
  view.root.dataset.shown = i ?? "";
  if (i === null) {
    const words = "Point at a character: what else could have come. Click it to keep it, then take a rival instead.";
    const key = colourKey(
      "0 bits",
      `transparent, color-mix(in srgb, ${surpriseColour(view.theme)} ${TINT}%, transparent)`,
      `${MOST} or more`,
    );
    view.head.replaceChildren(element("p", { class: "quiet" }, words), key);
    return view.rivals.replaceChildren();
  }
  spans[i]?.classList.add("pointed");
  const before = 2 ** -data.bits[i];
  const cut = `${chance(before)} under the model, ${data.bits[i].toFixed(2)} bits, rank ${data.ranks[i]}`;
  const after = `; ${chance(data.chances[i])} as it was drawn`;
  view.head.replaceChildren(element("p", {}, element("b", {}, spelled(chars[i])), ` had probability ${cut}${after}.`));
  const whole = i === data.kept ? data.everything : null;
  const list = whole ?? data.rivals;
  const from = whole ? 0 : i * data.each;
  const count = whole ? whole.ids.length : data.each;
  const most = list.before[from];
  const rows = Array.from({ length: count }, (_, k) => rival(view, i, most, list, from + k));
  view.rivals.replaceChildren(...rows.flat());
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
  const share = `width: ${((100 * before[at]) / most).toFixed(1)}%`;
  const bar = element("span", { class: "bar-of" }, element("i", { style: share }));
  const numbers = element("span", { class: "number" }, chance(before[at]));
  const drawing = after[at] === 0 ? "cut when it was drawn" : `${chance(after[at])} as it was drawn`;
  const title = `${spelled(character)}: ${chance(before[at])} under the model, ${drawing}`;
  if (character === chars[i]) {
    const same = element("span", { class: "row here", title }, element("b", {}, drawn(character)), bar, numbers);
    return [same, element("span", { class: "quiet small" }, "stands here")];
  }
  const words = spelled(character);
  const act = (kind) => () => send(view, { kind, character }, i);
  const take = button(
    [element("b", {}, drawn(character)), bar, numbers],
    `Take it instead: a branch grows. ${title}`,
    act("take"),
    { class: "row", "aria-label": `${drawn(character)} ${chance(before[at])} take it instead` },
  );
  const why = button("Why not?", `Which parts of the model spoke against ${words}`, act("why"), {
    class: "why",
    "aria-label": `Why not? ${words}`,
  });
  return [take, why];
}

function choose(view, i) {
  view.hover = null;
  send(view, { kind: "choose" }, i);
}

function send(view, act, i) {
  if (view.busy) return; // one at a time: the tree may be another one then
  view.busy = true;
  setTimeout(() => Object.assign(view, { busy: false }), AGAIN); // what changes nothing here brings no update
  const { of, branches, places } = view.data;
  view.trigger("act", { ...act, of, branch: branches[i], place: places[i] });
}
