// Texts that grow. Each message brings the characters that are new (see writing.py); the answer to it says how many of
// each text are here, which asks for the next. A character is a span in the line that it stands in, so that the browser
// lays out the last line only, whatever came before.
import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { colourKey, element, scroller } from "../shared/dom.js";
import { grouped } from "../shared/format.js";
import { letterOf, MOST, tintsFrom } from "../shared/letters.js";
import { surpriseRamp } from "../shared/theme.js";
import { about, buildDetail } from "./writing_detail.js";
import { filesOf } from "./writing_files.js";
import { reached } from "./writing_keys.js";

const RETRY = 3000; // ms after which an answer counts as lost
const AT_END = 40; // pixels from the foot of a text that still count as its end
const REASONS = { blank: "a blank line", speaker: "a speaker’s name", string: "the string to stop at" };

export default component(mount, update);

function mount(view) {
  Object.assign(view, { columns: [], hover: null, kept: null, asked: 0 });
  view.count = element("span", { class: "count" });
  view.progress = element("progress", { "aria-label": "Characters written", max: 1, value: 0 });
  view.bar = element("div", { class: "bar" });
  view.papers = element("div", { class: "papers" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.fits = scroller(view, view.detail);
  view.root.append(view.bar, view.progress, element("div", { class: "desk" }, view.papers, view.detail));
  buildDetail(view);
  const at = (event) => placeOf(event.target);
  view.on(view.papers, "pointerover", (event) => event.pointerType === "mouse" && hover(view, at(event)));
  view.on(view.papers, "pointerleave", () => hover(view, null));
  view.on(view.papers, "click", (event) => at(event) && keep(view, at(event)));
  view.on(view.papers, "keydown", (event) => pressed(view, event));
  view.keep = (place) => keep(view, place);
  view.ended = () => clearTimeout(view.timer);
}

const placeOf = (node) => node?.place ?? null;

// ---- what comes -----------------------------------------------------------------------------------------------------

function update(view, message) {
  tintsFrom(view);
  if (message.text !== view.text && message.fixed) begin(view, message);
  const key = view.bar.querySelector(".key i");
  if (key) key.style.background = `linear-gradient(to right, ${surpriseRamp(view.theme)})`; // the theme may be another
  if (message.text === view.text && view.fresh) take(view, message);
  if (view.fresh) ask(view, message);
  about(view);
}

function begin(view, { text, fixed, columns, of }) {
  Object.assign(view, { text, fixed, of, hover: null, kept: null });
  const given = [...fixed.prompt];
  const unread = fixed.context === null ? 0 : Math.max(0, given.length - fixed.context);
  view.given = given;
  view.columns = columns.map(({ seed }, c) => {
    const first = element("div", { class: "line" });
    if (unread) first.append(promptOf(given.slice(0, unread), "unread", "Beyond the model's context: not read"));
    first.append(promptOf(given.slice(unread), "prompt", "The prompt"));
    const label = `Text of seed ${seed}: arrow keys move from character to character, Escape lets go`;
    const paper = element(
      "div",
      { class: "paper prose", tabindex: 0, role: "application", "aria-label": label },
      first,
    );
    const foot = element("p", { class: "quiet foot" });
    const column = { c, seed, paper, foot, line: first, letters: [], blocks: [], bits: 0, passages: [], seen: 0 };
    column.node = element("section", { class: "column", "aria-label": `Seed ${seed}` }, paper, foot);
    return column;
  });
  view.papers.style.setProperty("--columns", columns.length);
  view.papers.replaceChildren(...view.columns.map((column) => column.node));
  const key = colourKey("0 bits", surpriseRamp(view.theme), `${MOST} or more`);
  view.bar.replaceChildren(view.count, key, filesOf(view));
}

const promptOf = (characters, kind, title) =>
  element("span", { class: kind, title }, readableText(characters.join("")));

function take(view, message) {
  view.seconds = message.seconds;
  const atEnd = view.columns.filter(({ paper: p }) => p.scrollHeight - p.scrollTop - p.clientHeight < AT_END);
  message.columns.forEach((news, c) => {
    const column = view.columns[c];
    const have = column.letters.length;
    if (news.n && news.from <= have && news.from + news.n > have) append(view, column, news);
    underline(column, news.passages);
    column.ended = news.ended;
    column.foot.textContent = footOf(view, column);
  });
  for (const { paper } of atEnd) paper.scrollTop = paper.scrollHeight;
  const written = view.columns.reduce((sum, { letters }) => sum + letters.length, 0);
  const whole = view.of * view.columns.length;
  const pace = view.seconds > 0 ? ` · ${grouped(written / view.seconds)} a second` : "";
  const several = view.columns.length > 1 ? ` in ${view.columns.length} texts` : "";
  const of = message.live ? ` of ${grouped(whole)}` : "";
  view.count.textContent = `${grouped(written)}${of} characters${several}${pace}`;
  view.progress.value = written / whole;
  view.progress.hidden = !message.live;
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
  const here = column.letters.length;
  for (const [key, passage] of old) if (!now.has(key)) paint(passage, false);
  for (const [key, p] of now) if (!old.has(key) || p.start + p.length > column.seen) paint(p, true);
  Object.assign(column, { passages, seen: here });
}

function footOf(view, { seed, letters, bits, ended }) {
  const mean = letters.length ? ` · ${(bits / letters.length).toFixed(2)} bits a character` : "";
  const why = REASONS[ended] ? ` · ends at ${REASONS[ended]}` : ended === "stopped" ? " · stopped" : "";
  return `seed ${seed}${view.columns.length > 1 ? ` · ${grouped(letters.length)} characters` : ""}${mean}${why}`;
}

// ---- asking for more ------------------------------------------------------------------------------------------------

function ask(view, { text, live, columns }) {
  clearTimeout(view.timer);
  const lacks = text !== view.text || columns.some(({ from, n }, c) => from + n > view.columns[c].letters.length);
  if (live || lacks) view.timer = setTimeout(poll, 0, view, text);
}

function poll(view, text) {
  view.timer = setTimeout(poll, RETRY, view, text);
  const have = text === view.text ? view.columns.map(({ letters }) => letters.length) : [];
  view.trigger("poll", { text, have, at: ++view.asked });
}

// ---- pointer and keyboard -------------------------------------------------------------------------------------------

const same = (a, b) => a === b || (a && b && a.c === b.c && a.i === b.i);
const letterAt = (view, place) => place && view.columns[place.c].letters[place.i];

function hover(view, place) {
  if (same(place, view.hover)) return;
  letterAt(view, view.hover)?.classList.remove("pointed");
  letterAt(view, place)?.classList.add("pointed");
  view.hover = place;
  about(view);
}

function keep(view, place) {
  letterAt(view, view.kept)?.classList.remove("kept");
  letterAt(view, place)?.classList.add("kept");
  letterAt(view, place)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  view.kept = place;
  about(view);
}

function pressed(view, event) {
  const column = view.columns.find(({ paper }) => paper === event.target);
  if (!column?.letters.length) return;
  const from = view.kept?.c === column.c ? view.kept.i : null;
  const to = reached(column.letters, from, event.key);
  if (to === undefined) return;
  event.preventDefault();
  keep(view, to === null ? null : { c: column.c, i: to });
}
