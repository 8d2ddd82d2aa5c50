import { button, element, made } from "./dom.js";
import { csv, grouped, short } from "./format.js";
import { canvasContext } from "./pens.js";
import { SvgContext } from "./svg_context.js";
import { html, render, svg } from "./vendor/lit-html.js";

const LARGEST = 16_000; // pixels along an edge that browsers draw
const READABLE = 40; // points of one curve in a table

// The row of buttons of every chart: numbers, picture, and back to the whole. `picture` returns an <svg>, or
// { width, height, draw(ctx) }; `table` rows of cells; `name` the file's name. What is not given has no button.
export function savers(view, name, { picture, table, fit, title = "" }) {
  const what = title && ` ${title}`;
  const save = (kind, words, content) => {
    const act = async () => {
      const blob = await content(picture?.());
      if (blob) download(`${typeof name === "function" ? name() : name}.${kind}`, blob);
    };
    const label = title ? `Save ${title} as ${kind}` : undefined;
    return button(kind.toUpperCase(), `Save${what} ${words}`, act, { label });
  };
  const numbers = () => new Blob([csv(table())], { type: "text/csv" });
  return html`<span class="savers">
    ${table && save("csv", "as numbers", numbers)}
    ${picture && save("svg", "as a picture of lines, as it stands", (drawing) => drawing && vector(view, drawing))}
    ${picture && save("png", "as a picture of pixels, as it stands", (drawing) => drawing && pixels(view, drawing))}
    ${table && tableButton(view, table, title)}${fit}</span>`;
}

// What a canvas of the page shows, drawn once more.
export const drawing = (canvas, draw) => () => ({ width: canvas.clientWidth, height: canvas.clientHeight, draw });

// The points behind a picture as a table, thinned to what one can read.
function tableButton(view, table, title) {
  const act = ({ currentTarget: opener }) => {
    const label = `Table ${title}`.trim();
    opener.behind ??= element("div", { class: "behind", tabindex: 0, role: "region", "aria-label": label });
    const shown = !opener.behind.isConnected;
    if (shown) {
      render(tableOf(table()), opener.behind);
      view.root.append(opener.behind);
    } else opener.behind.remove();
    opener.ariaPressed = String(shown);
  };
  return button("Table", `Show${title && ` ${title}`} as a table of numbers, below`, act, { pressed: false });
}

const figure = (value) => (Number.isInteger(value) ? grouped(value) : short(value, 5));
const told = (cell) => (typeof cell === "number" ? figure(cell) : cell);

function tableOf([head, ...rows]) {
  const kept = thinned(rows);
  return html`<table>
    <caption>${kept.length < rows.length ? `${kept.length} of ${grouped(rows.length)}` : rows.length} points</caption>
    <thead><tr>${head.map((cell) => html`<th>${cell}</th>`)}</tr></thead>
    <tbody>${kept.map((row) => html`<tr>${row.map((cell) => html`<td>${told(cell)}</td>`)}</tr>`)}</tbody></table>`;
}

// Of each stretch of rows that begin with the same two words, evenly spread ones, the first and the last among them.
export function thinned(rows, most = READABLE) {
  const stretches = [];
  for (const row of rows) {
    const words = row.slice(0, 2).filter((cell) => typeof cell === "string");
    const name = words.join("\n");
    if (stretches.at(-1)?.name !== name) stretches.push({ name, rows: [] });
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

function vector({ theme }, picture) {
  const ctx = picture.draw && new SvgContext(picture.width, picture.height, theme.paper);
  picture.draw?.(ctx);
  return new Blob([ctx ? ctx.content : serialised(theme, picture)], { type: "image/svg+xml" });
}

async function pixels({ theme }, picture) {
  const [width, height] = picture.draw ? [picture.width, picture.height] : svgSize(picture);
  const ratio = Math.min(2, LARGEST / width, LARGEST / height);
  const canvas = element("canvas");
  const ctx = canvasContext(canvas, width, height, ratio);
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, width, height);
  if (picture.draw) picture.draw(ctx);
  else {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(serialised(theme, picture))}`;
    await image.decode();
    ctx.drawImage(image, 0, 0, width, height);
  }
  return new Promise((done) => canvas.toBlob(done));
}

const svgSize = ({ width, height }) => [width.baseVal.value, height.baseVal.value];

function serialised(theme, source) {
  const copy = source.cloneNode(true);
  const [width, height] = svgSize(source);
  for (const node of copy.querySelectorAll(".screen-only")) node.remove();
  for (const node of copy.querySelectorAll("[style*=transform]")) {
    node.setAttribute("transform", node.style.transform.replaceAll("px", ""));
    node.style.transform = "";
  }
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.prepend(made(svg`<rect width=${width} height=${height} fill=${theme.paper}></rect>`));
  return new XMLSerializer().serializeToString(copy).replaceAll(/<!--.*?-->/g, ""); // lit's marks
}
