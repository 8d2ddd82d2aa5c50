// One character of a text: what the model thought of it, what it might have been, and where to look further.
import { isolated, spelled, visible } from "../shared/characters.js";
import { button } from "../shared/dom.js";
import { chance, grouped } from "../shared/format.js";
import { html, render } from "../shared/vendor/lit-html.js";
import { judgement, textOf } from "./writing_known.js";

const BEFORE = 24; // characters of the text that lead up to it

export function about(view) {
  const place = (view.hover ?? view.kept)?.place;
  view.detail.classList.toggle("pointed", Boolean(place));
  const words = view.columns.length ? "Point at a character, or tap it, to see what it was drawn from." : "";
  render(place ? saidOf(view, place) : html`<p class="quiet">${words}</p>`, view.detail);
  view.fits();
}

function saidOf(view, place) {
  const one = judgement(view, place);
  const { c, i } = place;
  const over = view.columns[c].passages.filter((p) => p.start <= i && i < p.start + p.length);
  return html`${titleOf(view, place, one)}${numbersOf(view, one)}
    ${over.map(({ title }) => html`<p class="over">${title}</p>`)}${view.kept ? waysOf(view, view.kept.place) : ""}
    ${rivalsOf(view, one)}`;
}

function titleOf(view, { c, i }, { id }) {
  const before = [...view.given, ...textOf(view, c, i)].slice(-BEFORE - 1);
  const shown = isolated(before.slice(-BEFORE).map(visible).join(""));
  const led = html`<span class="led">${before.length > BEFORE ? "…" : ""}${shown}<b
    class="drawn">${spelled(view.fixed.characters[id])}</b></span>`;
  const name = `${grouped(i + 1)}${view.columns.length > 1 ? ` of seed ${view.columns[c].seed}` : ""}`;
  const step = (by, words, title) =>
    button(words, title, () => {
      const { c: column, i: at } = view.kept.place;
      const letter = view.columns[column].letters[at + by];
      if (letter) view.keep(letter);
    });
  const steps = () => html`<span class="steps">${step(-1, "‹", "The character before")}
    ${step(1, "›", "The character after")}
    ${button("×", "Let go of it (Escape)", () => view.keep(null), { label: "Close" })}</span>`;
  return html`<div class="title"><p>Character ${name}: ${led}</p>${view.kept ? steps() : ""}</div>`;
}

function numbersOf(view, { before, after, bits, rank, open }) {
  const V = view.fixed.characters.length;
  const bold = (name, words) => html`<span class="figure" data-name=${name}>${words}</span>`;
  const worth = Number.isFinite(bits) ? bits.toFixed(3) : "∞";
  const many = open === V ? `all ${grouped(V)}` : `${grouped(open)} of ${grouped(V)}`;
  return html`<div class="numbers">
    <p>Probability ${bold("before", chance(before))}, drawn with ${bold("after", chance(after))}</p>
    <p>${bold("bits", `${worth} bits`)}, rank ${bold("rank", grouped(rank))} · ${many} could be drawn</p></div>`;
}

// Two bars a character: above what the model itself says, below what was drawn from.
function rivalsOf(view, { id, rivals, before, after }) {
  const { characters } = view.fixed;
  const listed = rivals.some((rival) => rival.id === id) ? rivals : [...rivals, { id, before, after }];
  const most = Math.max(...listed.map((rival) => Math.max(rival.before, rival.after)));
  const bar = (kind, p) => html`<i class=${kind} style="width: ${((100 * p) / most).toFixed(2)}%"></i>`;
  const numbers = (one) => ["before", "after"].map((name) => html`<td class="number">${chance(one[name])}</td>`);
  const row = (rival) => html`<tr class=${rival.id === id ? "own" : ""}>
    <td class="name">${visible(characters[rival.id])}</td>
    <td class="bars" aria-hidden="true">${bar("before", rival.before)}${bar("after", rival.after)}</td>
    ${numbers(rival)}</tr>`;
  const rest = characters.length - listed.length;
  const left = (name) => rounded(1 - listed.reduce((sum, rival) => sum + rival[name], 0));
  const others = () =>
    html`<tr class="quiet"><td colspan="2">${grouped(rest)} others</td>${numbers({
      before: left("before"),
      after: left("after"),
    })}</tr>`;
  const head = ["", "", "model", "drawn from"].map((words) => html`<th class="number">${words}</th>`);
  const rows = [...listed.map(row), rest > 0 ? others() : ""];
  return html`<table class="rivals"><tr class="quiet">${head}</tr>${rows}</table>`;
}

// What is left of one is known no better than single precision allows.
const rounded = (p) => (p < 1e-6 ? 0 : p);

function waysOf(view, { c, i }) {
  const whole = [...view.given, ...textOf(view, c, i)];
  const link = ({ words, page, query, longest }) => {
    const kept = Math.min(longest, view.fixed.context ?? longest);
    const seed = "seed" in query ? { seed: view.columns[c].seed } : {};
    const parameters = new URLSearchParams({ ...query, ...seed, prompt: whole.slice(-kept).join("") });
    const cut = whole.length > kept ? `, the last ${grouped(kept)} characters` : "";
    const title = `Opens a new tab with the text before this character${cut}`;
    return html`<a href="${page}?${parameters}" target="_blank" rel="noopener" title=${title}>${words}</a> `;
  };
  return html`<nav class="ways" aria-label="Look further">${view.fixed.ways.map(link)}</nav>`;
}
