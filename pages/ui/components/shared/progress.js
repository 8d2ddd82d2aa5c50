// What two places know of a learner's progress, together; of two eras the later one alone. As
// core/studies/course/progress.py has it.
export function merged(one, other) {
  const [a, b] = [whole(one), whole(other)];
  if (a.era !== b.era) return a.era > b.era ? a : b;
  const later = a.noted >= b.noted ? a : b;
  return { era: a.era, marks: sorted({ ...b.marks, ...a.marks }), note: later.note, noted: later.noted };
}

const number = (value) => (Number.isFinite(value) && value > 0 ? Math.floor(value) : 0);
const sorted = (marks) => Object.fromEntries(Object.entries(marks).sort(([a], [b]) => (a < b ? -1 : 1)));

function whole(kept) {
  const { era, marks, note, noted } = kept && typeof kept === "object" ? kept : {};
  const known = marks && typeof marks === "object" && !Array.isArray(marks) ? marks : {};
  return { era: number(era), marks: sorted(known), note: typeof note === "string" ? note : "", noted: number(noted) };
}
