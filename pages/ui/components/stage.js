// Several models write from one prompt, side by side and in step; each character is tinted by its own writer's surprise.
const MOST = 8; // bits at which the tint is full
const PACE = 60; // characters a second while the text appears

export default component(mount, update);

function mount(parent) {
  const root = parent.querySelector(".inside");
  const view = { root };
  view.cards = element("div", { class: "cards" });
  view.detail = element("div", { class: "detail", "aria-live": "polite" });
  view.foot = element("div", { class: "bar" });
  root.replaceChildren(view.cards, view.detail, view.foot);
  const over = (event) => tell(view, event.target.closest?.("[data-at]"));
  view.cards.addEventListener("pointerover", over);
  view.cards.addEventListener("click", over);
  view.observer = new ResizeObserver(() => {});
  return view;
}

function update(view) {
  const { data, theme } = view;
  const hue = theme.palette[1] ?? theme.accent;
  view.texts = data.columns.map((column) => ({ ...column, chars: [...column.text], bits: unpack(column.bits) }));
  const cards = view.texts.map((column, c) => {
    const facts = column.facts.map(([name, value]) => element("span", {}, element("span", { class: "quiet" }, name), ` ${value}`));
    const letters = column.chars.map((letter, i) => {
      const tint = Math.round(85 * Math.min(1, column.bits[i] / MOST));
      return element("span", { "data-at": `${c},${i}`, style: `background: color-mix(in srgb, ${hue} ${tint}%, transparent)` }, letter === "\n" ? "↵\n" : letter);
    });
    const paper = element("pre", { tabindex: 0, "aria-label": `Written by ${column.name}` }, element("span", { class: "quiet" }, data.prompt), ...letters);
    return element("article", { class: "card" }, element("h4", {}, column.title), element("p", { class: "quiet" }, column.name), element("div", { class: "facts" }, ...facts), paper);
  });
  view.cards.replaceChildren(...cards);
  view.letters = cards.map((card) => [...card.querySelectorAll("[data-at]")]);
  view.most = Math.max(...view.letters.map((l) => l.length));
  const again = element("button", { type: "button", title: "Let them write it again", onclick: () => play(view) }, "Replay");
  const band = element("i", { style: `background: linear-gradient(to right, transparent, color-mix(in srgb, ${hue} 85%, transparent))` });
  view.foot.replaceChildren(again, element("span", { class: "key quiet" }, "0 bits", band, `${MOST} or more`), savers(view, "side-by-side", () => picture(view), () => table(view)));
  tell(view, null);
  if (data.serial !== view.serial) play(view);
  view.serial = data.serial;
}

function play(view) {
  cancelAnimationFrame(view.request);
  const start = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frame = (now) => {
    const shown = still ? view.most : Math.floor(((now - start) / 1000) * PACE);
    view.letters.forEach((letters) => letters.forEach((letter, i) => (letter.hidden = i >= shown)));
    view.root.dataset.shown = Math.min(shown, view.most);
    if (shown < view.most && view.root.isConnected) view.request = requestAnimationFrame(frame);
  };
  frame(start);
}

function tell(view, letter) {
  if (!letter) return view.detail.replaceChildren(element("p", { class: "quiet" }, "Point at a character to see what its writer thought of it."));
  const [c, i] = letter.dataset.at.split(",").map(Number);
  const column = view.texts[c];
  const bits = column.bits[i];
  view.detail.replaceChildren(element("p", {}, `${column.name}, character ${i + 1}: `, element("b", {}, visible(column.chars[i])), ` had probability ${chance(2 ** -bits)} under the model, ${bits.toFixed(3)} bits.`));
}

function table(view) {
  const head = ["position", ...view.texts.flatMap(({ name }) => [name, `${name} bits`])];
  const rows = [...Array(view.most).keys()].map((i) => [i + 1, ...view.texts.flatMap(({ chars, bits }) => [visible(chars[i] ?? ""), bits[i] ?? ""])]);
  return [head, ...rows];
}

function picture(view) {
  const { theme } = view;
  const [w, h, columns, gap] = [8, 18, 36, 24];
  const hue = theme.palette[1] ?? theme.accent;
  const svg = shape("svg", { "font-family": theme.mono, "font-size": 13, fill: theme.text });
  let deepest = 0;
  view.texts.forEach(({ title, facts, chars, bits }, c) => {
    const x0 = gap + c * (columns * w + gap);
    svg.append(shape("text", { x: x0, y: 24, "font-weight": 700, "font-size": 15 }, title));
    facts.forEach(([name, value], i) => svg.append(shape("text", { x: x0, y: 44 + 16 * i, "font-size": 11, "fill-opacity": 0.8 }, `${name} ${value}`)));
    let [row, column] = [0, 0];
    chars.forEach((letter, i) => {
      const [x, y] = [x0 + column * w, 44 + 16 * facts.length + row * h];
      svg.append(shape("rect", { x, y, width: w, height: h - 1, fill: hue, "fill-opacity": 0.85 * Math.min(1, bits[i] / MOST) }), shape("text", { x, y: y + 13 }, visible(letter)));
      if (letter === "\n" || ++column === columns) [row, column] = [row + 1, 0];
      deepest = Math.max(deepest, y + h);
    });
  });
  svg.setAttribute("width", gap + view.texts.length * (columns * w + gap));
  svg.setAttribute("height", deepest + gap);
  return svg;
}
