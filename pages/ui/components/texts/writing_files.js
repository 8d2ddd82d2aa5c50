// The texts as one takes them along.
import { copied } from "../shared/clipboard.js";
import { button } from "../shared/dom.js";
import { download } from "../shared/saving.js";
import { html } from "../shared/vendor/lit-html.js";
import { judgement, textOf } from "./writing_known.js";

const TOLD = 2000; // ms for which the button says what it did
const LINES = "Save as JSON lines: a line a text, with its settings and the numbers of every character";

export function filesOf(view, redraw) {
  const say = (words) => {
    view.copying = words;
    redraw(view);
  };
  const copy = async () => {
    say((await copied(asText(view))) ? "Copied" : "Not copied");
    view.after(TOLD, () => say("Copy"));
  };
  const save = (kind, type, content) => () =>
    download(`${view.fixed.file}.${kind}`, new Blob([content(view)], { type }));
  return html`<span class="savers">${button(view.copying ?? "Copy", "Copy the prompt and what was written", copy)}
    ${button("TXT", "Save as plain text", save("txt", "text/plain", asText))}
    ${button("JSONL", LINES, save("jsonl", "application/jsonl", asLines))}</span>`;
}

function asText(view) {
  const texts = view.columns.map((_, c) => view.fixed.prompt + textOf(view, c).join(""));
  return texts.length === 1
    ? texts[0]
    : view.columns.map(({ seed }, c) => `— seed ${seed} —\n${texts[c]}\n`).join("\n");
}

function asLines(view) {
  const { prompt, about } = view.fixed;
  const line = ({ c, seed, ended, letters }) => {
    const numbers = letters.map((_, i) => judgement(view, { c, i }));
    const column = (name) => numbers.map((each) => +each[name].toPrecision(7));
    const [bits, rank, probability, drawn] = ["bits", "rank", "before", "after"].map(column);
    const text = textOf(view, c).join("");
    return JSON.stringify({ ...about, seed, prompt, text, ended, bits, rank, probability, drawn_with: drawn });
  };
  return view.columns.map((column) => `${line(column)}\n`).join("");
}
