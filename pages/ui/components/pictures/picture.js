// Puts an SVG in place; hovering or focusing an element shows its tip and lights what it names.
import { component } from "../shared/component.js";
import { element, scroller } from "../shared/dom.js";

export default component(mount, update);

function mount(view) {
  view.box = element("div", { class: "picture", role: "img" });
  view.tip = element("div", { class: "tip", hidden: "" });
  view.root.append(view.box, view.tip);
  view.fit = scroller(view, view.box);
  view.on(view.box, "pointermove", (event) => pointed(view, event));
  view.on(view.box, "pointerleave", () => unlit(view));
}

function update(view, { svg, label }) {
  if (!view.fresh) return;
  view.box.setAttribute("aria-label", label);
  view.box.innerHTML = svg;
  view.fit();
  view.byId = new Map();
  for (const node of view.box.querySelectorAll("[data-id]"))
    view.byId.set(node.dataset.id, [...(view.byId.get(node.dataset.id) ?? []), node]);
  view.lit = null;
}

function unlit(view) {
  view.lit = null;
  view.tip.hidden = true;
  view.box.firstElementChild?.classList.remove("lighting");
  for (const node of view.box.querySelectorAll(".lit")) node.classList.remove("lit");
}

function pointed(view, event) {
  const node = event.target.closest("[data-tip]");
  if (!node) return unlit(view);
  if (node !== view.lit) {
    unlit(view);
    view.lit = node;
    const names = (node.dataset.lights ?? "").split(" ").filter(Boolean);
    for (const other of names.flatMap((name) => view.byId.get(name) ?? [])) other.classList.add("lit");
    if (names.length) view.box.firstElementChild.classList.add("lighting");
    view.tip.textContent = node.dataset.tip;
    view.tip.hidden = false;
  }
  view.tip.style.left = `${Math.min(event.clientX + 12, innerWidth - view.tip.offsetWidth - 8)}px`;
  view.tip.style.top = `${event.clientY + 16}px`;
}
