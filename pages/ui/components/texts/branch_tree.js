// A tree of continuations: a line a branch, as long as what it wrote. Children hang below their parent, those that
// leave it last first, so that no two lines cross.
import { drawn, isolated, spelled, visible } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { arrow, clamp, element, place } from "../shared/dom.js";
import { html, nothing, render, svg } from "../shared/vendor/lit-html.js";

const ROW = 34;
const LEFT = 34; // px for what folds and unfolds
const LEAST = 1.2; // px a character
const LETTER = 6.7; // px of a label's letter
const DRAG = 4; // px after which a press pans

export default component(mount, update);

function mount(view) {
  Object.assign(view, { folded: new Set(), cursor: 0 });
  view.frame = element("div", { class: "frame", tabindex: 0, role: "tree" });
  view.frame.ariaLabel = "Branches: arrows move, left and right fold, Enter chooses";
  view.root.append(view.frame);
  view.on(view.frame, "click", (event) => clicked(view, event));
  view.on(view.frame, "keydown", (event) => pressed(view, event));
  panned(view);
  view.resized(view.root, () => view.data && draw(view));
}

function update(view, data) {
  const fewer = data.branches.length < (view.data?.branches.length ?? 0);
  if (fewer) view.folded.clear(); // others have their numbers now
  const moved = view.fresh && (data.of !== view.data?.of || data.branch !== view.data?.branch);
  view.data = data;
  hang(view);
  if (view.fresh) view.cursor = data.branch;
  if (moved) for (const one of data.way.slice(0, -1)) view.folded.delete(one); // what is chosen can be seen
  draw(view);
  if (moved) intoSight(view);
}

// Of each branch what hangs from it, from top to bottom, and how many there are below it.
function hang(view) {
  const { branches } = view.data;
  view.children = branches.map(() => []);
  view.below = branches.map(() => 0);
  for (let i = branches.length - 1; i > 0; i--) {
    view.children[branches[i].parent].unshift(i);
    view.below[branches[i].parent] += 1 + view.below[i];
  }
  for (const list of view.children) list.sort((a, b) => branches[b].start - branches[a].start);
}

// The branches from top to bottom, those that are folded away left out, each with its depth.
function rows(view) {
  const found = [];
  const stack = [[0, 1]];
  while (stack.length) {
    const [i, depth] = stack.pop();
    found.push({ i, depth });
    if (!view.folded.has(i)) for (const child of [...view.children[i]].reverse()) stack.push([child, depth + 1]);
  }
  return found;
}

function draw(view) {
  const { data, theme } = view;
  const { branches } = data;
  view.rows = rows(view);
  const deepest = Math.max(...branches.map(({ start, own }) => start + own));
  const room = view.frame.clientWidth - LEFT - 16;
  view.unit = Math.max(LEAST, room / deepest);
  view.x = (steps) => LEFT + steps * view.unit;
  const y = new Map(view.rows.map(({ i }, at) => [i, at * ROW + 24]));
  const way = new Set(data.way);
  const widest = view.rows.map(({ i }) => {
    const { start, own, label } = branches[i];
    return Math.max(view.x(start + own) + 12, view.x(start) + 24 + label.length * LETTER);
  });
  const picture = html`<svg font-size="11" width=${Math.max(room + LEFT, ...widest)}
    height=${view.rows.length * ROW + 8} font-family=${theme.font}>
    ${view.rows.map((row) => branch(view, row, y, way))}</svg>`;
  render(picture, view.frame);
  view.root.dataset.branches = branches.length;
  view.frame.setAttribute("aria-activedescendant", `branch-${view.cursor}`);
}

function branch(view, { i, depth }, ys, way) {
  const { data, theme, x, folded } = view;
  const { parent, start, own, taken, label, temperature, top_k: k, seed } = data.branches[i];
  const [left, y, below, on, chosen] = [x(start), ys.get(i), view.below[i], way.has(i), i === data.branch];
  const [ink, opacity] = on ? [theme.accent, 1] : [theme.text, 0.45];
  const words = [...label].map(visible).join("");
  const how = `temperature ${temperature}${k ? `, top-k ${k}` : ""}, seed ${seed}, ${own} characters`;
  const name = `${taken ? `${spelled(taken)} ` : ""}${words}: ${how}`;
  const up = () => svg`<path d="M${left} ${ys.get(parent)}V${y}" fill="none" stroke-width=${on ? 2 : 1} stroke=${ink}
    stroke-opacity=${opacity}></path>`;
  const dot = () =>
    svg`<circle class="dot" cx=${x(start + data.place + 0.5)} cy=${y} r="4.5" fill=${theme.accent}></circle>`;
  const fold = () => svg`<rect class="fold" data-fold=${i} x="0" y=${y - 16} width="26" height="28"
      fill="transparent"></rect>
    <text x="4" y=${y + 4} fill=${theme.text} font-size="12" pointer-events="none">${
      folded.has(i) ? `+${below}` : "▾"
    }</text>`;
  return svg`<g class="branch ${i === view.cursor ? "cursor" : ""}" data-branch=${i} role="treeitem" id="branch-${i}"
    aria-level=${depth} aria-selected=${chosen} aria-label=${name} aria-expanded=${below ? !folded.has(i) : nothing}>
    ${parent >= 0 ? up() : ""}
    <line x1=${left} x2=${x(start + own)} y1=${y} y2=${y} stroke-width=${on ? 2.5 : 1.5} stroke-linecap="round"
      stroke=${ink} stroke-opacity=${opacity}></line>
    <text x=${left + 12} y=${y - 7} fill=${theme.text} font-family=${theme.mono}
      font-weight=${chosen ? 700 : 400}>${isolated(words)}</text>
    <rect class="hit" x=${left} y=${y - 7} width=${own * view.unit} height="16" fill="transparent"></rect>
    ${knot(theme, left, y, taken, on ? theme.accent : theme.text)}${chosen && data.place !== null ? dot() : ""}
    ${below ? fold() : ""}<title class="screen-only">${name}</title></g>`;
}

// Where a branch begins: the character that was taken, or a dot.
const knot = ({ paper }, x, y, taken, ink) => svg`<circle cx=${x} cy=${y} r=${taken ? 9 : 4} fill=${paper} stroke=${ink}
    stroke-width="1.5"></circle>${
      taken
        ? svg`<text x=${x} y=${y + 4} text-anchor="middle" fill=${ink} font-weight="700">${drawn(taken)}</text>`
        : ""
    }`;

function intoSight(view) {
  const at = view.rows.findIndex(({ i }) => i === view.cursor);
  const { frame } = view;
  if (at * ROW < frame.scrollTop || (at + 1) * ROW > frame.scrollTop + frame.clientHeight)
    frame.scrollTop = at * ROW - frame.clientHeight / 2;
  const left = view.x(view.data.branches[view.cursor].start);
  if (left < frame.scrollLeft || left > frame.scrollLeft + frame.clientWidth - 60) frame.scrollLeft = left - 80;
}

// ---- acts -----------------------------------------------------------------------------------------------------------

function clicked(view, event) {
  if (view.panning) return;
  const { target } = event;
  if (target.dataset?.fold) return toggle(view, Number(target.dataset.fold));
  const group = target.closest?.("[data-branch]");
  if (!group) return;
  const i = Number(group.dataset.branch);
  const { start, own } = view.data.branches[i];
  const at = Math.floor((place(event, view.frame.firstElementChild).x - LEFT) / view.unit) - start;
  choose(view, i, target.classList.contains("hit") ? clamp(at, 0, own - 1) : null);
}

function toggle(view, i) {
  if (!view.folded.delete(i)) view.folded.add(i);
  draw(view);
}

function choose(view, branch, at) {
  view.act({ kind: "choose", of: view.data.of, branch, place: at });
}

function pressed(view, event) {
  const step = arrow(event);
  const at = view.rows.findIndex(({ i }) => i === view.cursor);
  if (event.key === "Enter") choose(view, view.cursor, null);
  else if (step?.[1]) {
    view.cursor = view.rows[clamp(at + step[1], 0, view.rows.length - 1)].i;
    draw(view);
    intoSight(view);
  } else if (step && view.below[view.cursor] && step[0] < 0 !== view.folded.has(view.cursor)) toggle(view, view.cursor);
  else return;
  event.preventDefault();
}

// A mouse pans by dragging; a finger does so by itself.
function panned(view) {
  const { frame } = view;
  let from = null;
  view.on(frame, "pointerdown", (event) => {
    view.panning = false;
    if (event.pointerType === "mouse") from = [event.clientX + frame.scrollLeft, event.clientY + frame.scrollTop];
  });
  view.on(window, "pointermove", (event) => {
    if (!from) return;
    const [left, top] = [from[0] - event.clientX, from[1] - event.clientY];
    view.panning ||= Math.hypot(left - frame.scrollLeft, top - frame.scrollTop) > DRAG;
    if (view.panning) Object.assign(frame, { scrollLeft: left, scrollTop: top });
  });
  view.on(window, "pointerup", () => {
    from = null;
  });
}
