// What an attention board says in words, below each of its parts.
import { spelled } from "../shared/characters.js";
import { fixed, signed } from "../shared/format.js";

export const quoted = (view, i) => `${i} “${spelled(view.board.tokens[i])}”`;

export function sayText(view, heads, at, toward, locked) {
  const { T } = view.board;
  const found = [];
  for (let i = 0; i < T; i++) {
    const [q, k] = toward === "from" ? [at, i] : [i, at];
    if (k <= q) for (const head of heads) found.push({ share: view.share(head, q, k), head, i, q, k });
  }
  found.sort((a, b) => b.share - a.share);
  const many = heads.length > 1;
  const number = view.ui.by === "value" ? view.given : view.weight;
  const said = found.slice(0, 4).map(({ head, i, q, k }) => {
    const by = many ? ` by ${view.nameOf(head)}` : "";
    return `${quoted(view, i)} ${fixed(number(head, q, k))}${by}`;
  });
  const who = many ? "" : ` Head ${view.nameOf(heads[0])}.`;
  const does = toward === "from" ? "looks most at" : "is looked at most by";
  return `${locked ? "" : "The last character, "}${quoted(view, at)} ${does} ${said.join(", ")}.${who}`;
}

export function sayHead(view) {
  const head = view.hover.head ?? view.indexOf(view.opened());
  const name = view.nameOf(head);
  const [layer, number] = name.split(".");
  const about = view.header.about?.[name];
  const price = view.header.prices?.[name];
  const words = [`Layer ${layer}, head ${number}`];
  if (about) {
    const kinds = view.header.kinds.map((kind, i) => ({ ...kind, score: about.scores[i], lift: about.lift[i] }));
    const scored = kinds.filter(({ score }) => score !== null).sort((a, b) => b.lift - a.lift);
    const said = scored.map(({ title, score, chance }) => `${title} ${score.toFixed(2)} (chance ${chance.toFixed(2)})`);
    words[0] += `: ${view.labelOf(head).title}`;
    words.push(said.slice(0, 3).join(", "), `entropy ${about.entropy.toFixed(2)} nats`);
    words.push(`${about.distance.toFixed(1)} characters back on average`);
  }
  if (price) {
    const change = `${signed(price[0], 4)} ± ${price[1]?.toFixed(4)} nats`;
    words.push(`without it the validation loss changes by ${change}`);
  }
  return `${words.join("; ")}.`;
}

export function sayCell(view) {
  const { query, key } = view.hover;
  if (query === undefined) return "Point at a cell for its number; click locks the character.";
  const { norm, T } = view.board;
  const each = view.shownHeads().map((head) => {
    const where = `${view.nameOf(head)}: query ${quoted(view, query)}, key ${quoted(view, key)}`;
    const [weight, length] = [view.weight(head, query, key).toFixed(4), norm[head * T + key].toFixed(3)];
    return `${where}: weight ${weight}, × ‖v W_O‖ ${length} = ${view.given(head, query, key).toFixed(4)}`;
  });
  return each.join("; ");
}

export function sayQuery(view, o) {
  const { row: s, dim } = view.hover;
  const sum = `The weights of ${o.t + 1} keys sum to ${o.sum.toFixed(4)}.`;
  if (s === undefined) return `${sum} Point at a row for its sum, at a cell for its numbers.`;
  const key = `Key ${quoted(view, s)}`;
  if (s > o.t) return `${key} comes after the query: masked, its score is minus infinity and its weight 0.`;
  const weight = o.weight(s).toFixed(4);
  const product = `q ${fixed(o.q[dim])} · k ${fixed(o.k(s)[dim])} = ${fixed(o.product(s)[dim])}`;
  const value = `v ${fixed(o.v(s)[dim])} · ${weight} = ${fixed(o.written(s)[dim], 4)}`;
  const dot = o.product(s).reduce((total, v) => total + v, 0);
  const score = fixed(o.score(s));
  const softmax = `exp(${score} − ${fixed(o.peak)}) / ${o.below.toFixed(3)} = ${weight}`;
  const length = `× ‖v W_O‖ ${o.norm(s).toFixed(3)} = ${o.given(s).toFixed(4)}`;
  const at = dim === undefined ? "" : ` Dimension ${dim}: ${product}; ${value}.`;
  return `${key}: q·k = ${fixed(dot)}, / √${o.D} = ${score}; ${softmax}; ${length}.${at}`;
}
