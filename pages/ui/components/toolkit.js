// Shared by the components that look inside a prediction: put in front of each one's own script (see toolkit.py).
const SVG = "http://www.w3.org/2000/svg";
const ENTRY = new URLSearchParams(location.search); // what the page was opened with

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made[name] = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// One view for each place on the page: `mount` makes it, `update` gets every later message.
function component(mount, update) {
  const views = new WeakMap();
  return ({ data, parentElement, setTriggerValue, setStateValue }) => {
    let view = views.get(parentElement);
    if (!view) views.set(parentElement, (view = Object.assign(mount(parentElement, data), { calls: 0 })));
    Object.assign(view, { data, trigger: setTriggerValue, state: setStateValue });
    view.theme = readTheme(view.root);
    update(view);
    view.root.dataset.updates = ++view.calls;
    const call = view.calls;
    return () => setTimeout(() => view.calls === call && (view.observer?.disconnect(), views.delete(parentElement)));
  };
}

function readTheme(root) {
  const style = getComputedStyle(root);
  const get = (name) => style.getPropertyValue("--st-" + name).trim();
  return {
    text: get("text-color") || "#333333",
    paper: get("background-color") || "#ffffff",
    line: get("border-color") || "#dddddd",
    accent: get("primary-color") || "#8c2f39",
    palette: get("chart-categorical-colors").split(",").map((c) => c.trim()).filter((c) => CSS.supports("color", c)),
    font: get("font") || "sans-serif",
    mono: get("code-font") || "monospace",
  };
}

// Numbers arrive as base64 of their little-endian bytes.
function unpack({ kind, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new { f4: Float32Array, u2: Uint16Array }[kind](bytes.buffer);
}

function visible(character) {
  return { "\n": "↵", " ": "␣", "\t": "⇥" }[character] ?? character;
}

// A probability as it is: never rounded to zero, never "less than".
function chance(p) {
  return p === 0 || p === 1 ? String(p) : p >= 0.001 ? p.toFixed(4) : p.toExponential(1);
}

// What the learner has set goes into the address, without asking the server; null leaves the default unsaid.
function mirror(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

function asked(name) {
  return new URLSearchParams(location.search).get(name) ?? null;
}

// ---- colours -------------------------------------------------------------------------------------------------------

// Stops "rgb(r, g, b)" from 0 to 1 become a function of t that returns [r, g, b].
function ramp(stops) {
  const points = stops.map((stop) => stop.match(/\d+(\.\d+)?/g).map(Number));
  return (t) => {
    const at = Math.max(0, Math.min(1, Number.isFinite(t) ? t : 1)) * (points.length - 1);
    const low = Math.min(points.length - 2, Math.floor(at));
    return points[low].map((v, i) => Math.round(v + (at - low) * (points[low + 1][i] - v)));
  };
}

const css = ([r, g, b]) => `rgb(${r},${g},${b})`;
const readable = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111111" : "#ffffff");

// ---- saving --------------------------------------------------------------------------------------------------------

// Buttons that save the numbers, and the picture as it stands. `picture` returns the drawing, `table` rows of cells.
function savers(view, name, picture, table) {
  const save = (blob, kind) => {
    const link = element("a", { href: URL.createObjectURL(blob), download: `${name}.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
  const csv = () => save(new Blob([table().map((row) => row.map(quoted).join(",")).join("\r\n")], { type: "text/csv" }), "csv");
  const vector = () => save(new Blob([drawing(view, picture())], { type: "image/svg+xml" }), "svg");
  const pixels = () => {
    const source = picture();
    const [w, h] = [source.width.baseVal.value, source.height.baseVal.value];
    const image = new Image();
    image.onload = () => {
      const scale = Math.min(2, 16_000 / w, 16_000 / h);
      const canvas = element("canvas", { width: Math.round(w * scale), height: Math.round(h * scale) });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, "png"));
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(drawing(view, source));
  };
  const button = (words, title, onclick) => element("button", { type: "button", title, onclick }, words);
  return element("span", { class: "savers" }, button("CSV", "Save the numbers", csv),
    button("SVG", "Save the picture as vectors", vector), button("PNG", "Save the picture as pixels", pixels));
}

function drawing(view, source) {
  const copy = source.cloneNode(true);
  const [w, h] = [source.width.baseVal.value, source.height.baseVal.value];
  for (const node of copy.querySelectorAll(".screen-only")) node.remove();
  for (const node of copy.querySelectorAll("[style*=transform]")) {
    node.setAttribute("transform", node.style.transform.replaceAll("px", ""));
    node.style.transform = "";
  }
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("viewBox", `0 0 ${w} ${h}`);
  copy.prepend(shape("rect", { width: w, height: h, fill: view.theme.paper }));
  return new XMLSerializer().serializeToString(copy);
}
