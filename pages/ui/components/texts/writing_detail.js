// One character of a text: what the model thought of it, what it might have been, and where to look further.
import { isolated, spelled, visible } from "../shared/characters.js";
import { button, element } from "../shared/dom.js";
import { chance, grouped } from "../shared/format.js";
import { judgement, textOf } from "./writing_known.js";

const BEFORE = 24; // characters of the text that lead up to it

export function buildDetail(view) {
  const step = (by, words, title) => {
    const made = button(words, title, () => {
      const { c, i } = view.kept;
      if (view.columns[c].letters[i + by]) view.keep({ c, i: i + by });
      made.focus({ preventScroll: true });
    });
    return made;
  };
  view.steps = [step(-1, "‹", "The character before"), step(1, "›", "The character after")];
  view.close = button("×", "Let go of it (Escape)", () => view.keep(null), { "aria-label": "Close" });
}

// Drawn anew only if there is something else to tell: who reads or walks through it is not disturbed by what comes.
export function about(view) {
  const place = view.hover ?? view.kept;
  const over = place ? passagesOver(view, place) : [];
  const told = JSON.stringify([view.text, place, view.kept, over]);
  if (told === view.told) return;
  view.told = told;
  view.detail.classList.toggle("pointed", place !== null);
  if (!place) {
    const words = view.columns.length ? "Point at a character, or tap it, to see what it was drawn from." : "";
    return view.detail.replaceChildren(element("p", { class: "quiet" }, words));
  }
  const one = judgement(view, place);
  view.detail.replaceChildren(
    titleOf(view, place, one),
    numbersOf(view, one),
    ...over.map((words) => element("p", { class: "over" }, words)),
    ...(view.kept ? [waysOf(view, view.kept)] : []),
    rivalsOf(view, one),
  );
  view.fits();
}

const passagesOver = (view, { c, i }) =>
  view.columns[c].passages.filter((p) => p.start <= i && i < p.start + p.length).map(({ title }) => title);

function titleOf(view, { c, i }, { id }) {
  const before = [...view.given, ...textOf(view, c, i)].slice(-BEFORE - 1);
  const shown = isolated(before.slice(-BEFORE).map(visible).join(""));
  const name = `${grouped(i + 1)}${view.columns.length > 1 ? ` of seed ${view.columns[c].seed}` : ""}`;
  const character = element("b", { class: "drawn" }, spelled(view.fixed.characters[id]));
  const words = element("span", { class: "led" }, `${before.length > BEFORE ? "…" : ""}${shown}`, character);
  const steps = view.kept ? [element("span", { class: "steps" }, ...view.steps, view.close)] : [];
  return element("div", { class: "title" }, element("p", {}, `Character ${name}: `, words), ...steps);
}

function numbersOf(view, { before, after, bits, rank, open }) {
  const V = view.fixed.characters.length;
  const bold = (name, words) => element("span", { class: "figure", "data-name": name }, words);
  const worth = Number.isFinite(bits) ? bits.toFixed(3) : "∞";
  const many = open === V ? `all ${grouped(V)}` : `${grouped(open)} of ${grouped(V)}`;
  const line = (...words) => element("p", {}, ...words);
  return element(
    "div",
    { class: "numbers" },
    line("Probability ", bold("before", chance(before)), ", drawn with ", bold("after", chance(after))),
    line(bold("bits", `${worth} bits`), ", rank ", bold("rank", grouped(rank)), ` · ${many} could be drawn`),
  );
}

// Two bars a character: above what the model itself says, below what was drawn from.
function rivalsOf(view, { id, rivals, before, after }) {
  const listed = rivals.some((rival) => rival.id === id) ? rivals : [...rivals, { id, before, after }];
  const most = Math.max(...listed.map((rival) => Math.max(rival.before, rival.after)));
  const bar = (kind, p) => element("i", { class: kind, style: `width: ${((100 * p) / most).toFixed(2)}%` });
  const number = (p) => element("td", { class: "number" }, chance(p));
  const rows = listed.map((rival) => {
    const name = element("td", { class: "name" }, visible(view.fixed.characters[rival.id]));
    const bars = element(
      "td",
      { class: "bars", "aria-hidden": "true" },
      bar("before", rival.before),
      bar("after", rival.after),
    );
    return element(
      "tr",
      { class: rival.id === id ? "own" : "" },
      name,
      bars,
      number(rival.before),
      number(rival.after),
    );
  });
  const rest = view.fixed.characters.length - listed.length;
  if (rest > 0) {
    const left = (name) => Math.max(0, 1 - listed.reduce((sum, rival) => sum + rival[name], 0));
    const words = element("td", { colspan: 2 }, `${grouped(rest)} others`);
    rows.push(
      element("tr", { class: "quiet" }, words, number(rounded(left("before"))), number(rounded(left("after")))),
    );
  }
  const head = ["", "", "model", "drawn from"].map((words) => element("th", { class: "number" }, words));
  return element("table", { class: "rivals" }, element("tr", { class: "quiet" }, ...head), ...rows);
}

// What is left of one is known no better than single precision allows.
const rounded = (p) => (p < 1e-6 ? 0 : p);

function waysOf(view, { c, i }) {
  const whole = [...view.given, ...textOf(view, c, i)];
  const links = view.fixed.ways.map(({ words, page, query, longest }) => {
    const kept = Math.min(longest, view.fixed.context ?? longest);
    const prompt = whole.slice(-kept).join("");
    const seed = "seed" in query ? { seed: view.columns[c].seed } : {};
    const parameters = new URLSearchParams({ ...query, ...seed, prompt });
    const cut = whole.length > kept ? `, the last ${grouped(kept)} characters` : "";
    const title = `Opens a new tab with the text before this character${cut}`;
    return element("a", { href: `${page}?${parameters}`, target: "_blank", rel: "noopener", title }, words);
  });
  return element("nav", { class: "ways", "aria-label": "Look further" }, ...links);
}
