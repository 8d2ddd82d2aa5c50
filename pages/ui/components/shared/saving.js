import { button, element, SVG, shape } from "./dom.js";
import { csv, grouped, short } from "./format.js";
import { canvasContext } from "./pens.js";
import { SvgContext } from "./svg_context.js";

const LARGEST = 16_000; // pixels along an edge that browsers draw

// The row of buttons of every chart: numbers, picture, and back to the whole. `picture` returns an <svg>, or
// { width, height, draw(ctx) }; `table` rows of cells; `name` the file's name. What is not given has no button.
export function savers(view, name, { picture, table, fit, title = "" }) {
  const file = () => (typeof name === "function" ? name() : name);
  const what = title && ` ${title}`;
  const label = (kind) => (title ? { "aria-label": `Save ${title} as ${kind}` } : {});
  const saved = (kind, content) => async () => {
    const blob = await content(picture?.());
    if (blob) download(`${file()}.${kind}`, blob);
  };
  const buttons = [];
  const add = (kind, words, content) =>
    buttons.push(button(kind.toUpperCase(), `Save${what} ${words}`.trim(), saved(kind, content), label(kind)));
  if (table) add("csv", "as numbers", () => new Blob([csv(table())], { type: "text/csv" }));
  if (picture) {
    add("svg", "as a picture of lines, as it stands", (drawing) => drawing && vector(view, drawing));
    add("png", "as a picture of pixels, as it stands", (drawing) => drawing && pixels(view, drawing));
  }
  if (table) buttons.push(tableButton(view, table, title));
  return element("span", { class: "savers" }, ...buttons, ...(fit ? [fit] : []));
}

const figure = (value) => (Number.isInteger(value) ? grouped(value) : short(value, 5));

// The points behind a picture as a table, thinned to what one can read.
const READABLE = 40; // of one curve

function tableButton(view, table, title) {
  const place = element("div", { class: "behind", tabindex: 0, role: "region", "aria-label": `Table ${title}`.trim() });
  const opener = button("Table", `Show${title && ` ${title}`} as a table of numbers, below`, () => {
    if (place.isConnected) place.remove();
    else view.root.append(place);
    place.replaceChildren(...(place.isConnected ? [tableOf(table())] : []));
    opener.ariaPressed = String(place.isConnected);
  });
  opener.ariaPressed = "false";
  return opener;
}

function tableOf([head, ...rows]) {
  const kept = thinned(rows);
  const cells = (tag, row) => row.map((cell) => element(tag, {}, typeof cell === "number" ? figure(cell) : cell));
  const caption =
    kept.length < rows.length ? `${kept.length} of ${grouped(rows.length)} points` : `${rows.length} points`;
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...cells("th", head))),
    element("tbody", {}, ...kept.map((row) => element("tr", {}, ...cells("td", row)))),
  );
}

// Of each stretch of rows that begin with the same two words, evenly spread ones, the first and the last among them.
export function thinned(rows, most = READABLE) {
  const stretches = [];
  for (const row of rows) {
    const name = row
      .slice(0, 2)
      .filter((cell) => typeof cell === "string")
      .join("\n");
    if (!stretches.length || stretches.at(-1).name !== name) stretches.push({ name, rows: [] });
    stretches.at(-1).rows.push(row);
  }
  const spread = (all) => Array.from({ length: most }, (_, i) => all[Math.round((i * (all.length - 1)) / (most - 1))]);
  return stretches.flatMap((stretch) => (stretch.rows.length > most ? spread(stretch.rows) : stretch.rows));
}

export function download(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function vector(view, picture) {
  const source = picture.draw ? drawnBy(view, picture) : serialised(view, picture);
  return new Blob([source], { type: "image/svg+xml" });
}

function drawnBy(view, { width, height, draw }) {
  const ctx = new SvgContext(width, height, view.theme.paper);
  draw(ctx);
  return ctx.content;
}

async function pixels(view, picture) {
  const [width, height] = picture.draw ? [picture.width, picture.height] : svgSize(picture);
  const ratio = Math.min(2, LARGEST / width, LARGEST / height);
  const canvas = element("canvas");
  const ctx = canvasContext(canvas, width, height, ratio);
  ctx.fillStyle = view.theme.paper;
  ctx.fillRect(0, 0, width, height);
  if (picture.draw) picture.draw(ctx);
  else {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(serialised(view, picture))}`;
    await image.decode();
    ctx.drawImage(image, 0, 0, width, height);
  }
  return new Promise((done) => canvas.toBlob(done));
}

const svgSize = (svg) => [svg.width.baseVal.value, svg.height.baseVal.value];

function serialised(view, source) {
  const copy = source.cloneNode(true);
  const [width, height] = svgSize(source);
  for (const node of copy.querySelectorAll(".screen-only")) node.remove();
  for (const node of copy.querySelectorAll("[style*=transform]")) {
    node.setAttribute("transform", node.style.transform.replaceAll("px", ""));
    node.style.transform = "";
  }
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.prepend(shape("rect", { width, height, fill: view.theme.paper }));
  return new XMLSerializer().serializeToString(copy);
}
