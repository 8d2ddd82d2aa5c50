// CSV, SVG, PNG, Table and Fit of a figure that Plotly has drawn elsewhere on the page.
import { component } from "../shared/component.js";
import { button, made } from "../shared/dom.js";
import { savers } from "../shared/saving.js";
import { html, render } from "../shared/vendor/lit-html.js";

const FIT = "Back to the whole data. Double click on the chart does the same.";

export default component(mount, update);

function mount(view) {
  const fit = button("Fit", FIT, () => press(figureOf(view), "Reset"), { kind: "fit" });
  const given = { picture: () => picture(figureOf(view)), table: () => tableOfFigure(figureOf(view)._fullData), fit };
  render(html`<div class="bar">${savers(view, () => view.message.name, given)}</div>`, view.root);
}

function update(view, message) {
  view.message = message;
}

const figureOf = ({ message }) =>
  document.querySelector(`.st-key-${message.chart.replace(/[^\w-]/g, "-")} .js-plotly-plot`);

// Plotly's own buttons are out of sight, and do what only Plotly can.
const press = (figure, title) => figure?.querySelector(`.modebar-btn[data-title^="${title}"]`)?.click();

// A figure lies in several drawings, one over the other. One in space is pixels, and Plotly itself saves it.
function picture(figure) {
  if (figure.querySelector(".gl-container canvas")) return press(figure, "Download");
  const { width, height } = figure.getBoundingClientRect();
  const layers = [...figure.querySelectorAll(".main-svg")].flatMap((layer) => [...layer.cloneNode(true).childNodes]);
  return made(html`<svg width=${width} height=${height}>${layers}</svg>`);
}

// What the traces of a figure hold: a grid cell by cell, points one by one, parallel axes line by line.
export function tableOfFigure(traces) {
  const names = ["x", "y", "z", "text"];
  const tables = traces.map((trace) => {
    if (trace.dimensions) return grid(trace.dimensions);
    const cells = trace.z?.[0]?.length !== undefined ? cellsOf(trace) : pointsOf(trace, names);
    return cells.map((row) => [trace.name ?? "", ...row]);
  });
  if (traces[0]?.dimensions) return tables[0];
  const rows = tables.flat();
  const used = names.map((_, i) => i + 1).filter((i) => rows.some((row) => row[i] !== ""));
  return [["series", ...names], ...rows].map((row) => [row[0], ...used.map((i) => row[i])]);
}

const grid = (dimensions) => [
  dimensions.map(({ label }) => label),
  ...Array.from(dimensions[0].values, (_, i) => dimensions.map(({ values }) => values[i])),
];
const cellsOf = ({ x, y, z }) =>
  Array.from(z).flatMap((row, i) => Array.from(row, (value, j) => [x?.[j] ?? j, y?.[i] ?? i, value, ""]));

function pointsOf(trace, names) {
  const columns = names.map((name) => (ArrayBuffer.isView(trace[name]) ? Array.from(trace[name]) : trace[name]));
  const length = Math.max(0, ...columns.map((column) => (Array.isArray(column) ? column.length : 0)));
  return Array.from({ length }, (_, i) => columns.map((column) => (Array.isArray(column) ? (column[i] ?? "") : "")));
}
