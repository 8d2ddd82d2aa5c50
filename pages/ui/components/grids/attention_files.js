// What of an attention board can be saved: its parts as pictures, and the numbers in them.

import { visible } from "../shared/characters.js";
import { Pen } from "../shared/pens.js";
import { drawBoard, drawBoardMarks, drawLines, drawMap, GAP } from "./attention_draw.js";
import { drawQuery } from "./attention_query.js";

export const fileName = (view, part) => `attention-${part}-${view.ui.heads.join("-")}`;

export function picture(view, part) {
  const o = view.openQuery;
  if (part === "query" && !o) return null;
  const lines = part === "head" && view.ui.show === "lines";
  const g = { board: view.boardG, query: view.queryG, head: lines ? view.linesG : view.mapG }[part];
  const [width, height] = [g.width + 2 * GAP, Math.min(g.height, 16_000) + 2 * GAP];
  const draw = (ctx) => {
    const pen = new Pen(ctx, width, height);
    if (part === "board") {
      drawBoard(pen, view, g);
      drawBoardMarks(pen, view, g);
    } else if (part === "query") drawQuery(pen, view, g, o, 0, height);
    else if (lines) drawLines(pen, view, g, 0, height);
    else drawMap(pen, view, g);
  };
  return { width, height, draw };
}

export function headsTable(view) {
  const { header } = view;
  const kinds = header.kinds ?? [];
  const head = [
    "head",
    "label",
    "entropy_nats",
    "distance",
    ...kinds.map((kind) => kind.key),
    "price_nats",
    "price_error",
  ];
  const row = (at) => {
    const name = view.nameOf(at);
    const about = header.about?.[name];
    const scores = kinds.map((_, i) => about?.scores[i] ?? "");
    return [
      name,
      about?.label ?? "",
      about?.entropy ?? "",
      about?.distance ?? "",
      ...scores,
      ...(header.prices?.[name] ?? []),
    ];
  };
  return [head, ...view.order.map(row)];
}

export function weightsTable(view) {
  const { T, tokens, norm } = view.board;
  const rows = [["head", "query", "query_character", "key", "key_character", "weight", "weight_times_value"]];
  for (const head of view.shownHeads())
    for (let q = 0; q < T; q++)
      for (let k = 0; k <= q; k++) {
        const weight = view.weight(head, q, k);
        const characters = [q, visible(tokens[q]), k, visible(tokens[k])];
        rows.push([view.nameOf(head), ...characters, weight, weight * norm[head * T + k]]);
      }
  return rows;
}

export function queryTable(view) {
  const o = view.openQuery;
  const head = ["key", "character", "score", "weight", "length", "contribution"];
  const row = (s) => [s, visible(view.board.tokens[s]), o.score(s), o.weight(s), o.norm(s), o.given(s)];
  return [head, ...(o ? o.order.filter((s) => s <= o.t).map(row) : [])];
}
