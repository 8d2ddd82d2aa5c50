// From logits to probabilities: the twin of next_distribution in core/sampling.py, with every step kept for showing.
export function distribution(logits, temperature, topK, topP) {
  const V = logits.length;
  const ids = Array.from({ length: V }, (_, id) => id);
  const likeliest = [...ids].sort((a, b) => logits[b] - logits[a] || a - b);
  const best = likeliest[0];
  const rank = new Array(V);
  for (const [at, id] of likeliest.entries()) rank[id] = at;
  if (temperature === 0) {
    const probs = ids.map((id) => (id === best ? 1 : 0));
    return { probs, whole: probs, rank, best, cut: ids.map((id) => (id === best ? null : "temperature")) };
  }
  const single = Math.fround(temperature);
  const x = Array.from(logits, (l) => Math.fround(l / single)); // single precision, as the model's logits are
  const kth = topK > 0 && topK < V ? [...x].sort((a, b) => b - a)[topK - 1] : -Infinity;
  const cut = x.map((v) => (v < kth ? "top-k" : null));
  const shift = Math.max(...x) > 700 ? Math.max(...x) : 0; // e^709 is the largest that fits
  const exps = x.map((v) => Math.exp(v - shift));
  const total = (values) => values.reduce((sum, v) => sum + v, 0);
  const kept = (values) => values.map((v, id) => (cut[id] ? 0 : v));
  const sum = total(kept(exps));
  const everything = total(exps);
  const soft = kept(exps).map((e) => e / sum);
  const before = new Array(V).fill(0);
  let running = 0;
  for (const id of topP < 1 ? [...ids].sort((a, b) => soft[b] - soft[a] || a - b) : []) {
    before[id] = running;
    if (!cut[id] && running >= topP) cut[id] = "top-p";
    running += soft[id];
  }
  const mass = topP < 1 ? total(kept(soft)) : 1;
  const probs = topP < 1 ? kept(soft).map((s) => s / mass) : soft;
  return { probs, soft, x, exps, sum, shift, mass, before, cut, rank, best, whole: exps.map((e) => e / everything) };
}

// Which of the choices, laid end to end in this order, a number between 0 and 1 falls into, and where that one ends.
export function fallsInto(probs, order, u) {
  let [running, taken] = [0, null];
  for (const id of order) {
    if (!probs[id]) continue;
    running += probs[id];
    taken = id;
    if (running > u) break;
  }
  return { taken, from: running - probs[taken], to: running };
}
