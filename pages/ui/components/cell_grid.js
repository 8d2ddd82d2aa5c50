// A table of buttons. Cells are updated in place while the grid keeps its shape, so that focus and scroll stay.
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const grids = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const table = parentElement.querySelector("table");
  const shape = JSON.stringify([data.columns, data.rows.map(([name, cells]) => [name, cells.map((c) => c?.key ?? null)])]);
  let grid = grids.get(table);
  if (grid?.shape !== shape) {
    grid = { shape, ...build(table, data) };
    grids.set(table, grid);
  }
  table.setAttribute("aria-label", data.label);
  table.classList.toggle("narrow", data.rows.every(([, cells]) => cells.every((c) => !c || c.text.length < 3)));
  table.classList.toggle("still", !data.live);
  data.rows.forEach(([, cells], r) => cells.forEach((cell, c) => cell && show(grid.buttons[r][c], cell, data)));
  table.onclick = (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    rove(grid, button);
    if (!data.live) return;
    if (data.toggles) press(button, !button.classList.contains("off")); // seen at once; the server's answer follows
    setTriggerValue("pick", button.dataset.key);
  };
  table.onkeydown = (event) => {
    const move = MOVES[event.key];
    const at = move && place(grid, event.target);
    if (!at) return;
    event.preventDefault();
    let [r, c] = at;
    do {
      r += move[0];
      c += move[1];
    } while (grid.buttons[r] && c >= 0 && c < grid.buttons[r].length && !grid.buttons[r][c]);
    const next = grid.buttons[r]?.[c];
    if (next) {
      rove(grid, next);
      next.focus();
    }
  };
}

function build(table, data) {
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const [i, name] of [data.corner, ...data.columns].entries()) head.append(heading(name, i ? "col" : null));
  const body = table.createTBody();
  const buttons = data.rows.map(([name, cells]) => {
    const row = body.insertRow();
    row.append(heading(name, "row"));
    return cells.map((cell) => {
      const box = row.insertCell();
      if (!cell) return null;
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = -1;
      button.dataset.key = cell.key;
      box.append(button);
      return button;
    });
  });
  const first = buttons.flat().find(Boolean);
  if (first) first.tabIndex = 0;
  return { buttons };
}

function heading(name, scope) {
  const cell = document.createElement("th");
  if (scope) cell.scope = scope;
  cell.textContent = name;
  return cell;
}

function show(button, cell, data) {
  button.textContent = cell.text;
  button.title = cell.title;
  button.setAttribute("aria-label", cell.title);
  button.style.background = cell.fill;
  button.style.color = cell.ink;
  button.className = cell.state;
  if (data.toggles) press(button, cell.state === "off");
}

function press(button, off) {
  button.classList.toggle("off", off);
  button.setAttribute("aria-pressed", String(off));
}

function place(grid, button) {
  for (const [r, row] of grid.buttons.entries()) {
    const c = row.indexOf(button);
    if (c >= 0) return [r, c];
  }
  return null;
}

function rove(grid, button) {
  for (const other of grid.buttons.flat()) if (other) other.tabIndex = other === button ? 0 : -1;
}
