const minus = (text) => text.replace("-", "−");

// A probability as it is: never rounded to zero, never "less than".
export function chance(p) {
  return p === 0 || p === 1 ? String(p) : p >= 0.001 ? p.toFixed(4) : p.toExponential(1);
}

export const fixed = (value, digits = 3) => (Number.isFinite(value) ? minus(value.toFixed(digits)) : "–");
export const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
export const grouped = (n) => Math.round(n).toLocaleString("en");

// Three digits, or as many as asked for, with an exponent where zeros would be counted.
export function short(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return minus(size && (size < 1e-3 || size >= 1e4) ? value.toExponential(1) : value.toPrecision(digits));
}

export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const [h, m, s] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  return h ? `${h} h ${String(m).padStart(2, "0")} min` : `${m} min ${String(s).padStart(2, "0")} s`;
}

const UNITS = [
  [1e18, "E"],
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [1e3, "k"],
];

// A number beside others of which the largest is `largest`, as exact as ticks `step` apart need it.
export function compact(value, largest, step) {
  const [unit, suffix] = (largest >= 1e4 && UNITS.find(([u]) => largest >= u)) || [1, ""];
  const scaled = value / unit;
  if (!value) return "0";
  const digits = step && Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-6));
  return (step ? scaled.toFixed(digits) : +scaled.toPrecision(3)) + suffix;
}

// Rows of cells as CSV (RFC 4180).
export function csv(rows) {
  const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
  return rows.map((row) => row.map(quoted).join(",")).join("\r\n");
}
