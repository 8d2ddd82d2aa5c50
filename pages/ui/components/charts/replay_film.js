// A run as a film: where a moment of it lies, what was known then, what had been written.

const EASE = 2.2; // most is learned at first, so time passes slowly there

// The step at a share (0 to 1) of the film.
export const stepAt = (share, of) => of * share ** EASE;

// How many of the first steps, which ascend, have been taken by then.
export function taken(steps, step) {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low;
}

// What a run showed at a step: the time, the newest of its texts, and the loss on unseen text once that was measured.
export function moment({ steps, losses, seconds, samples, evaluations }, step) {
  const at = Math.max(0, taken(steps, step) - 1);
  const newest = (rows, stepOf) => rows.filter((row) => stepOf(row) <= step).at(-1) ?? null;
  const judged = newest(evaluations, ([taken]) => taken);
  return {
    judged: judged !== null,
    loss: judged ? judged[1] : losses[at],
    seconds: seconds[at],
    sample: newest(samples, (sample) => sample.step),
  };
}

// A loss as a number of equally likely letters.
export function choices(loss) {
  const count = Math.exp(loss);
  return count < 10 ? count.toFixed(1) : count.toFixed(0);
}
