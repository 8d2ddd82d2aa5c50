// The exponential mean over steps: a point that is d steps back counts w^d, in units of `unit` steps, and stands for
// all the steps since the point before it. So the line depends on the run, not on how often it was reported. From zero
// and divided by the weights so far, as TensorBoard does; points that are not numbers do not count.
export function smoothed(step, value, n, weight, unit, into = new Float32Array(n)) {
  let [mean, total, before] = [0, 0, null];
  for (let i = 0; i < n; i++) {
    if (!Number.isFinite(value[i])) {
      into[i] = NaN;
      continue;
    }
    const apart = before === null ? unit : Math.max(0, step[i] - before);
    const kept = weight ** (apart / unit);
    mean = kept * mean + (1 - kept) * value[i];
    total = kept * total + (1 - kept);
    before = step[i];
    into[i] = total > 0 ? mean / total : value[i];
  }
  return into;
}

// The unit for all curves of a chart: about a thousandth of the longest, a power of two, so that it seldom changes.
export function stepUnit(longest) {
  return longest > 1000 ? 2 ** Math.round(Math.log2(longest / 1000)) : 1;
}
