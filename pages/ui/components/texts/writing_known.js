// What is known of one character: number i of column c, in whichever message it came.
export function judgement(view, { c, i }) {
  const block = view.columns[c].blocks.findLast(({ from }) => from <= i);
  const [k, n, K] = [i - block.from, block.n, block.kept];
  const rivals = Array.from({ length: K }, (_, r) => ({
    id: block.rivals[k * K + r],
    before: block.chances[k * K + r],
    after: block.chances[n * K + k * K + r],
  }));
  const [before, after, bits] = [0, 1, 2].map((row) => block.numbers[row * n + k]);
  return { id: block.ids[k], rank: block.rank[k], open: block.open[k], before, after, bits, rivals };
}

// The characters of a column up to number `end`.
export function textOf(view, c, end = view.columns[c].letters.length) {
  const { blocks } = view.columns[c];
  const found = [];
  for (const { from, ids } of blocks)
    for (let k = found.length - from; k < ids.length && found.length < end; k++)
      found.push(view.fixed.characters[ids[k]]);
  return found;
}
