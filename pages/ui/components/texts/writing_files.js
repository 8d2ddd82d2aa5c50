// The texts as one takes them along.
import { copied } from "../shared/clipboard.js";
import { button, element } from "../shared/dom.js";
import { download } from "../shared/saving.js";
import { judgement, textOf } from "./writing_known.js";

const TOLD = 2000; // ms for which the button says what it did

export function filesOf(view) {
  const copy = button("Copy", "Copy the prompt and what was written", async () => {
    copy.textContent = (await copied(asText(view))) ? "Copied" : "Not copied";
    setTimeout(() => copy.replaceChildren("Copy"), TOLD);
  });
  const save = (kind, type, content) => () =>
    download(`${view.fixed.file}.${kind}`, new Blob([content(view)], { type }));
  const lines = "Save as JSON lines: a line a text, with its settings and the numbers of every character";
  return element(
    "span",
    { class: "savers" },
    copy,
    button("TXT", "Save as plain text", save("txt", "text/plain", asText)),
    button("JSONL", lines, save("jsonl", "application/jsonl", asLines)),
  );
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
