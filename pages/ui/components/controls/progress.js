// What two places know of a learner's progress, together; of two eras the later one alone. As
// core/studies/course/progress.py has it.
export function merged(one, other) {
  const [a, b] = [whole(one), whole(other)];
  if (a.era !== b.era) return a.era > b.era ? a : b;
  const later = a.noted >= b.noted ? a : b;
  const [marks, guesses] = ["marks", "guesses"].map((name) => sorted({ ...b[name], ...a[name] }));
  return { era: a.era, marks, note: later.note, noted: later.noted, guesses };
}

const number = (value) => (Number.isFinite(value) && value > 0 ? Math.floor(value) : 0);
const sorted = (named) => Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1)));
const named = (value) => (value && typeof value === "object" && !Array.isArray(value) ? sorted(value) : {});

function whole(kept) {
  const { era, marks, note, noted, guesses } = kept && typeof kept === "object" ? kept : {};
  const text = typeof note === "string" ? note : "";
  return { era: number(era), marks: named(marks), note: text, noted: number(noted), guesses: named(guesses) };
}
