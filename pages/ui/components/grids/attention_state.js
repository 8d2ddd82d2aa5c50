// What is locked on an attention board, and in which order its heads stand.
const CHOICES = {
  toward: ["from", "to"],
  by: ["weight", "value"],
  shade: ["head", "chosen", "max"],
  show: ["map", "lines"],
};
const MOST_HEADS = 8;

// The twin of BoardView in attention_board.py, which reads and writes the same words.
export function parse({ heads = "", query = "", mode = "" }) {
  const words = mode.split(",");
  const named = (name, usual) => words.find((word) => word.startsWith(`${name}:`))?.slice(name.length + 1) ?? usual;
  const chosen = Object.entries(CHOICES).map(([name, all]) => [
    name,
    all.find((word) => words.includes(word)) ?? all[0],
  ]);
  return {
    ...Object.fromEntries(chosen),
    heads: heads.split(",").filter(Boolean),
    query: query === "" ? null : +query,
    sort: named("sort", "layer"),
    only: named("only", "all"),
  };
}

export function written(ui) {
  const words = Object.keys(CHOICES).filter((name) => ui[name] !== CHOICES[name][0]);
  const mode = words.map((name) => ui[name]);
  if (ui.sort !== "layer") mode.push(`sort:${ui.sort}`);
  if (ui.only !== "all") mode.push(`only:${ui.only}`);
  const made = { heads: ui.heads.join(","), query: ui.query === null ? "" : String(ui.query), mode: mode.join(",") };
  return Object.fromEntries(Object.entries(made).filter(([, value]) => value));
}

// Bring what is locked within the board.
export function fit(ui, { L, H, T }, { kinds, about, prices }) {
  const known = (name) => /^\d+\.\d+$/.test(name) && +name.split(".")[0] < L && +name.split(".")[1] < H;
  const heads = ui.heads.filter(known).slice(-MOST_HEADS);
  const sorts = ["layer", ...(prices ? ["price"] : [])];
  if (about) sorts.push("entropy", "distance", ...kinds.map((kind) => kind.key));
  return {
    ...ui,
    heads: heads.length ? heads : ["0.0"],
    query: ui.query !== null && ui.query >= T ? null : ui.query,
    sort: sorts.includes(ui.sort) ? ui.sort : "layer",
    only: about ? ui.only : "all",
  };
}

// The heads to show, in the order asked for.
export function ordered(ui, { L, H }, { kinds, about, prices }) {
  const kind = kinds?.findIndex(({ key }) => key === ui.sort) ?? -1;
  const rank = (head) => {
    const name = nameOf(head, H);
    if (ui.sort === "layer") return head;
    if (ui.sort === "price") return -(prices[name]?.[0] ?? -Infinity);
    return kind < 0 ? about[name][ui.sort] : -(about[name].lift[kind] ?? -1);
  };
  const all = Array.from({ length: L * H }, (_, head) => head);
  const shown = all.filter((head) => ui.only === "all" || about[nameOf(head, H)].label === ui.only);
  return shown.sort((a, b) => rank(a) - rank(b) || a - b);
}

// With `add`, a head joins those chosen or leaves them; else it is the only one.
export function withHead(heads, name, add) {
  if (!add) return [name];
  if (!heads.includes(name)) return [...heads, name].slice(-MOST_HEADS);
  return heads.length > 1 ? heads.filter((head) => head !== name) : heads;
}

export const nameOf = (head, H) => `${Math.floor(head / H)}.${head % H}`;
export const indexOf = (name, H) => name.split(".").reduce((layer, head) => +layer * H + +head);
