// Stops "rgb(r, g, b)" from 0 to 1 become a function of t that returns [r, g, b].
export function ramp(stops) {
  const points = stops.map((stop) => stop.match(/\d+(\.\d+)?/g).map(Number));
  return (t) => {
    const at = Math.max(0, Math.min(1, Number.isFinite(t) ? t : 1)) * (points.length - 1);
    const low = Math.min(points.length - 2, Math.floor(at));
    return points[low].map((v, i) => Math.round(v + (at - low) * (points[low + 1][i] - v)));
  };
}

export const css = ([r, g, b]) => `rgb(${r},${g},${b})`;
export const readable = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111111" : "#ffffff");

// A scale of 256 colours from hexadecimal digits, as CSS colours and as pixels.
export function scaleOf(hex) {
  const bytes = Uint8Array.from({ length: 768 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
  const colours = Array.from({ length: 256 }, (_, i) => [...bytes.subarray(3 * i, 3 * i + 3)]);
  const pixels = Uint32Array.from(colours, ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r);
  return { pixels, css: colours.map(css) };
}

const known = new Map();
let probe;

// What a CSS colour comes to: [red, green, blue], 0 to 255.
export function rgb(colour) {
  if (!known.has(colour)) known.set(colour, looked(colour));
  return known.get(colour);
}

function looked(colour) {
  probe ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

export const mix = (a, b, part) => a.map((v, i) => v + (b[i] - v) * part);

// The contrast of two colours [r, g, b] as WCAG 2 defines it: 1 (alike) to 21.
export function contrast(a, b) {
  const linear = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

// A colour [r, g, b] with as much of the text's mixed in as it takes to stand out from the paper.
export function legible(colour, paper, text, least = 2) {
  for (let part = 0; part < 1; part += 0.1) {
    const mixed = mix(colour, text, part);
    if (contrast(mixed, paper) >= least) return mixed.map(Math.round);
  }
  return text;
}

// The smallest opacity, from `from`, at which a colour is still seen on the paper.
export function faintest(colour, paper, from = 0.25, least = 1.6) {
  for (let alpha = from; alpha < 1; alpha += 0.05)
    if (contrast(mix(paper, colour, alpha), paper) >= least) return alpha;
  return 1;
}
