// A table of buttons. Cells are updated in place while the grid keeps its shape, so that focus and scroll stay.
import { component } from "../shared/component.js";
import { arrow, element } from "../shared/dom.js";

export default component(mount, update);

function mount(view) {
  view.table = element("table", { role: "grid" });
  view.root.append(element("div", { class: "scroll" }, view.table));
  view.on(view.table, "click", (event) => clicked(view, event.target.closest("button")));
  view.on(view.table, "keydown", (event) => moved(view, event));
}

function update(view, message) {
  view.message = message;
  const { table } = view;
  const keys = message.rows.map(([name, cells]) => [name, cells.map((cell) => cell?.key ?? null)]);
  const layout = JSON.stringify([message.columns, keys]);
  if (layout !== view.layout) build(view, message);
  view.layout = layout;
  table.setAttribute("aria-label", message.label);
  const cells = message.rows.map(([, row]) => row);
  table.classList.toggle(
    "narrow",
    cells.flat().every((cell) => !cell || cell.text.length < 3),
  );
  table.classList.toggle("still", !message.live);
  for (const [r, row] of cells.entries())
    for (const [c, cell] of row.entries()) if (cell) show(view.buttons[r][c], cell, message);
}

function build(view, { corner, columns, rows }) {
  const heading = (words, scope) => element("th", { scope }, words);
  const head = [corner, ...columns].map((name, i) => heading(name, i ? "col" : null));
  view.buttons = rows.map(([, cells]) =>
    cells.map((cell) => cell && element("button", { type: "button", tabindex: -1, "data-key": cell.key })),
  );
  const body = rows.map(([name], r) =>
    element(
      "tr",
      {},
      heading(name, "row"),
      ...view.buttons[r].map((node) => element("td", {}, ...(node ? [node] : []))),
    ),
  );
  view.table.replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  const first = view.buttons.flat().find(Boolean);
  if (first) first.tabIndex = 0;
}

function show(node, { text, title, fill, ink, state }, { toggles }) {
  node.textContent = text;
  node.title = title;
  node.ariaLabel = text.trim() ? `${text} · ${title}` : title; // what is read begins with what is seen
  Object.assign(node.style, { background: fill, color: ink });
  node.className = state;
  if (toggles) press(node, state === "off");
}

function press(node, off) {
  node.classList.toggle("off", off);
  node.setAttribute("aria-pressed", String(off));
}

function clicked(view, node) {
  if (!node) return;
  rove(view, node);
  if (!view.message.live) return;
  if (view.message.toggles) press(node, !node.classList.contains("off")); // seen at once; the server's answer follows
  view.trigger("pick", node.dataset.key);
}

// An arrow key goes to the next cell in its direction, over gaps.
function moved(view, event) {
  const step = arrow(event);
  const { buttons } = view;
  let r = buttons.findIndex((row) => row.includes(event.target));
  if (!step || r < 0) return;
  event.preventDefault();
  let c = buttons[r].indexOf(event.target);
  do {
    c += step[0];
    r += step[1];
  } while (buttons[r] && c >= 0 && c < buttons[r].length && !buttons[r][c]);
  const next = buttons[r]?.[c];
  if (!next) return;
  rove(view, next);
  next.focus();
}

function rove(view, node) {
  for (const other of view.buttons.flat()) if (other) other.tabIndex = other === node ? 0 : -1;
}
