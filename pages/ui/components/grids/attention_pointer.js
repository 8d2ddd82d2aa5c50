// Pointer and keyboard on an attention board: what is under the pointer is looked at, a click or Enter locks it.

import { arrow, clamp, place } from "../shared/dom.js";
import { LINE } from "./attention_draw.js";
import { HEAD_ROWS, ROW } from "./attention_query.js";
import { withHead } from "./attention_state.js";

export function listen(view) {
  listenText(view);
  listenBoard(view);
  listenMap(view);
  listenLines(view);
  listenQuery(view);
}

const lockHead = (view, head, add) =>
  view.set({ heads: withHead(view.ui.heads, view.nameOf(head), add || view.several) });

function lockAt(view, at, toward = view.ui.toward) {
  const again = view.ui.query === at && view.ui.toward === toward;
  view.set(again ? { query: null } : { query: at, toward });
}

function releaseAt(view) {
  view.point({});
  if (view.ui.query !== null) view.set({ query: null });
}

// What is under the pointer, by `found`, is looked at; a click locks it. Arrow keys move, Enter locks, Escape releases.
function looks(view, node, found, { click = () => {}, move, lock, release }) {
  view.on(node, "pointermove", (event) => view.point(found(event)));
  view.on(node, "pointerleave", () => view.point({}));
  view.on(node, "blur", () => view.point({}));
  view.on(node, "click", (event) => click(found(event), event));
  view.on(node, "keydown", (event) => {
    const step = arrow(event);
    if (step) move(...step);
    else if (event.key === "Enter" || event.key === " ") lock(event.shiftKey);
    else if (event.key === "Escape") release();
    else return;
    event.preventDefault();
  });
}

function listenText(view) {
  const { chars } = view;
  const letterAt = ({ target }) => (target.dataset.at === undefined ? {} : { at: +target.dataset.at });
  const found = (event) => (event.target === chars ? view.hover : letterAt(event));
  const nearestInLine = (now, dy) => {
    const here = view.spans[now];
    const beyond = view.spans.filter((span) => (span.offsetTop - here.offsetTop) * dy > 4);
    const top = (dy > 0 ? beyond[0] : beyond.at(-1))?.offsetTop;
    const away = (span) => Math.abs(span.offsetLeft - here.offsetLeft);
    const line = beyond.filter((span) => span.offsetTop === top).sort((a, b) => away(a) - away(b));
    return line.length ? +line[0].dataset.at : now;
  };
  looks(view, chars, found, {
    click: (_, event) => letterAt(event).at !== undefined && lockAt(view, letterAt(event).at),
    move(dx, dy) {
      const { at: now } = view.focus();
      view.point({ at: clamp(dy ? nearestInLine(now, dy) : now + dx, 0, view.board.T - 1) });
    },
    lock: () => lockAt(view, view.focus().at),
    release: () => releaseAt(view),
  });
}

function listenBoard(view) {
  const over = (event) => {
    const { x, y } = place(event, view.boardPlot);
    const g = view.boardG;
    return { head: g?.places.find((p) => x >= p.x && x < p.x + g.cell && y >= p.y && y < p.y + g.high)?.head };
  };
  looks(view, view.boardPlot, over, {
    click({ head }, { shiftKey, ctrlKey, metaKey }) {
      if (head !== undefined) lockHead(view, head, shiftKey || ctrlKey || metaKey);
    },
    move(dx, dy) {
      const { places, columns } = view.boardG;
      const now = places.findIndex((p) => p.head === (view.hover.head ?? view.indexOf(view.opened())));
      const next = places[Math.max(0, now) + dx + dy * columns];
      if (next) view.point({ head: next.head });
    },
    lock: (add) => view.hover.head !== undefined && lockHead(view, view.hover.head, add),
    release() {
      view.point({});
      if (view.ui.heads.length > 1) view.set({ heads: view.ui.heads.slice(-1) });
    },
  });
}

function listenMap(view) {
  const from = () => view.ui.toward === "from";
  const cell = (event) => {
    const { x, y } = place(event, view.headPlot);
    const g = view.mapG;
    const [key, query] = [Math.floor((x - g.margin) / g.cell), Math.floor((y - g.margin) / g.cell)];
    if (key < 0 || query < 0 || query >= view.board.T || key > query) return {};
    return { key, query, at: from() ? query : key };
  };
  looks(view, view.headPlot, cell, {
    click: ({ at }) => at !== undefined && lockAt(view, at),
    move(dx, dy) {
      const { at } = view.focus();
      const now = { query: from() ? at : view.board.T - 1, key: at, ...view.hover };
      const query = clamp(now.query + dy, 0, view.board.T - 1);
      const key = clamp(now.key + dx, 0, query);
      view.point({ query, key, at: from() ? query : key });
    },
    lock: () => lockAt(view, view.focus().at),
    release: () => releaseAt(view),
  });
}

function listenLines(view) {
  const { linesBox } = view;
  const end = (event) => {
    const { x, y } = place(event, view.linesSpace);
    const at = Math.floor(y / LINE);
    const toward = x < view.linesG.left + 10 ? "from" : x > view.linesG.right - 10 ? "to" : null;
    return at >= 0 && at < view.board.T && toward ? { at, toward } : {};
  };
  view.on(linesBox, "scroll", () => view.redraw("head"));
  looks(view, linesBox, end, {
    click: ({ at, toward }) => at !== undefined && lockAt(view, at, toward),
    move(dx, dy) {
      const { at, toward } = view.focus();
      const next = clamp(at + dy, 0, view.board.T - 1);
      view.point({ at: next, toward: dx ? (dx > 0 ? "to" : "from") : toward });
      keepInSight(linesBox, next * LINE, LINE, linesBox.clientHeight);
    },
    lock: () => lockAt(view, view.focus().at, view.focus().toward),
    release: () => releaseAt(view),
  });
}

function listenQuery(view) {
  const { queryBox } = view;
  const row = (event) => {
    const [o, g] = [view.openQuery, view.queryG];
    const { x, y } = place(event, view.queryBase);
    const at = o?.order[Math.floor((y + queryBox.scrollTop) / ROW) - HEAD_ROWS];
    if (at === undefined || y < HEAD_ROWS * ROW) return {};
    const strip = ["k", "product", "v"].find((name) => x >= g.x[name] && x < g.x[name] + g.span);
    return { row: at, dim: strip ? Math.floor((x - g.x[strip]) / g.strip) : undefined };
  };
  view.on(queryBox, "scroll", () => view.redraw("query"));
  looks(view, queryBox, row, {
    move(dx, dy) {
      const o = view.openQuery;
      if (!o) return;
      const next = clamp(o.order.indexOf(view.hover.row ?? -1) + dy, 0, o.order.length - 1);
      const dim = dx ? clamp((view.hover.dim ?? -1) + dx, 0, view.queryG.D - 1) : view.hover.dim;
      view.point({ row: o.order[next], dim });
      keepInSight(queryBox, next * ROW, ROW, queryBox.clientHeight - HEAD_ROWS * ROW);
    },
    lock: () => view.hover.row !== undefined && lockAt(view, view.hover.row),
    release: () => view.point({}),
  });
}

function keepInSight(node, top, size, room) {
  node.scrollTop = clamp(node.scrollTop, top + size - room, top);
}
