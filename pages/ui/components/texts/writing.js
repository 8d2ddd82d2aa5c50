// Texts that grow. Each message brings the characters that are new (see writing.py); the answer to it says how many of
// each text are here, which asks for the next. A character is a span in the line that it stands in, so that the browser
// lays out the last line only, whatever came before.
import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { element, made, pointed, scroller } from "../shared/dom.js";
import { grouped } from "../shared/format.js";
import { letterOf, surpriseKey, tintsFrom } from "../shared/letters.js";
import { html, render } from "../shared/vendor/lit-html.js";
import { about } from "./writing_detail.js";
import { filesOf } from "./writing_files.js";
import { reached } from "./writing_keys.js";

const AT_END = 40; // pixels from the foot of a text that still count as its end
const REASONS = { blank: "a blank line", speaker: "a speaker’s name", string: "the string to stop at" };

export default component(mount, update);

function mount(view) {
  Object.assign(view, { columns: [], hover: null, kept: null, asked: 0, said: "" });
  view.bar = element("div", { class: "bar" });
  view.progress = element("progress", { "aria-label": "Characters written", max: 1, value: 0 });
  view.papers = element("div", { class: "papers" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.fits = scroller(view, view.detail);
  view.root.append(view.bar, view.progress, element("div", { class: "desk" }, view.papers, view.detail));
  view.keep = (letter) => keep(view, letter);
  pointed(view, view.papers, ({ target }) => (target.place ? target : null), {
    by: "pointerover",
    hover: (letter, event) => (!event || event.pointerType === "mouse") && hover(view, letter),
    keep: view.keep,
    pressed: (event) => pressed(view, event),
  });
}

// ---- what comes -----------------------------------------------------------------------------------------------------

function update(view, message) {
  tintsFrom(view);
  if (message.text !== view.text && message.fixed) begin(view, message);
  if (message.text === view.text && view.fresh) take(view, message);
  if (view.fresh) ask(view, message);
  about(view);
}

function begin(view, { text, fixed, columns, of }) {
  Object.assign(view, { text, fixed, of, hover: null, kept: null });
  const given = [...fixed.prompt];
  const unread = fixed.context === null ? 0 : Math.max(0, given.length - fixed.context);
  const prompt = (characters, kind, title) =>
    made(html`<span class=${kind} title=${title}>${readableText(characters.join(""))}</span>`);
  view.given = given;
  view.columns = columns.map(({ seed }, c) => {
    const line = element("div", { class: "line" });
    if (unread) line.append(prompt(given.slice(0, unread), "unread", "Beyond the model's context: not read"));
    line.append(prompt(given.slice(unread), "prompt", "The prompt"));
    const label = `Text of seed ${seed}: arrow keys move from character to character, Escape lets go`;
    const paper = element("div", { class: "paper prose", tabindex: 0, role: "application", "aria-label": label }, line);
    const foot = element("p", { class: "quiet foot" });
    const node = element("section", { class: "column", "aria-label": `Seed ${seed}` }, paper, foot);
    return { c, seed, node, paper, foot, line, letters: [], blocks: [], bits: 0, passages: [], seen: 0 };
  });
  view.papers.style.setProperty("--columns", columns.length);
  view.papers.replaceChildren(...view.columns.map(({ node }) => node));
}

const bar = (view) =>
  render(html`<span class="count">${view.said}</span>${surpriseKey()}${filesOf(view, bar)}`, view.bar);

function take(view, message) {
  const { columns, of } = view;
  const atEnd = columns.filter(({ paper: p }) => p.scrollHeight - p.scrollTop - p.clientHeight < AT_END);
  for (const [c, news] of message.columns.entries()) {
    const column = columns[c];
    const have = column.letters.length;
    if (news.n && news.from <= have && news.from + news.n > have) append(view, column, news);
    underline(column, news.passages);
    column.ended = news.ended;
    column.foot.textContent = footOf(view, column);
  }
  for (const { paper } of atEnd) paper.scrollTop = paper.scrollHeight;
  const written = columns.reduce((sum, { letters }) => sum + letters.length, 0);
  const whole = of * columns.length;
  const pace = message.seconds > 0 ? ` · ${grouped(written / message.seconds)} a second` : "";
  const several = columns.length > 1 ? ` in ${columns.length} texts` : "";
  view.said = `${grouped(written)}${message.live ? ` of ${grouped(whole)}` : ""} characters${several}${pace}`;
  bar(view);
  Object.assign(view.progress, { value: written / whole, hidden: !message.live });
  Object.assign(view.root.dataset, { written, live: message.live });
}

function append(view, column, news) {
  column.blocks.push(news);
  for (let k = column.letters.length - news.from; k < news.n; k++) {
    const character = view.fixed.characters[news.ids[k]];
    const bits = news.numbers[2 * news.n + k];
    const letter = letterOf(character, bits);
    letter.place = { c: column.c, i: column.letters.length };
    column.letters.push(letter);
    column.bits += bits;
    if (!column.line.isConnected) column.paper.append(column.line);
    column.line.append(letter);
    if (character === "\n") {
      letter.textContent = "↵";
      letter.className = "break";
      column.line = element("div", { class: "line" });
    }
  }
}

function underline(column, passages) {
  const name = ({ start, length, title }) => `${start}+${length} ${title}`;
  const [old, now] = [new Map(column.passages.map((p) => [name(p), p])), new Map(passages.map((p) => [name(p), p]))];
  const paint = ({ start, length }, on) => {
    for (const letter of column.letters.slice(start, start + length)) letter.classList.toggle("copied", on);
  };
  for (const [key, passage] of old) if (!now.has(key)) paint(passage, false);
  for (const [key, p] of now) if (!old.has(key) || p.start + p.length > column.seen) paint(p, true);
  Object.assign(column, { passages, seen: column.letters.length });
}

function footOf(view, { seed, letters, bits, ended }) {
  const mean = letters.length ? ` · ${(bits / letters.length).toFixed(2)} bits a character` : "";
  const why = REASONS[ended] ? ` · ends at ${REASONS[ended]}` : ended === "stopped" ? " · stopped" : "";
  return `seed ${seed}${view.columns.length > 1 ? ` · ${grouped(letters.length)} characters` : ""}${mean}${why}`;
}

function ask(view, { text, live, columns }) {
  const lacks = text !== view.text || columns.some(({ from, n }, c) => from + n > view.columns[c].letters.length);
  const have = () => (text === view.text ? view.columns.map(({ letters }) => letters.length) : []);
  if (live || lacks) view.poll(0, () => ({ text, have: have(), at: ++view.asked }), { hidden: true });
  else view.quiet();
}

// ---- pointer and keyboard -------------------------------------------------------------------------------------------

function hover(view, letter) {
  if (letter === view.hover) return;
  view.hover?.classList.remove("pointed");
  letter?.classList.add("pointed");
  view.hover = letter;
  about(view);
}

function keep(view, letter) {
  view.kept?.classList.remove("kept");
  letter?.classList.add("kept");
  letter?.scrollIntoView({ block: "nearest", inline: "nearest" });
  view.kept = letter;
  about(view);
}

function pressed(view, event) {
  const column = view.columns.find(({ paper }) => paper === event.target);
  if (!column?.letters.length) return false;
  const from = view.kept?.place.c === column.c ? view.kept.place.i : null;
  const to = reached(column.letters, from, event.key);
  return to === undefined ? false : keep(view, column.letters[to] ?? null);
}
