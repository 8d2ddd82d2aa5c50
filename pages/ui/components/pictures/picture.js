// Puts an SVG in place; hovering an element shows its tip and lights what it names.
import { component } from "../shared/component.js";
import { element, scroller } from "../shared/dom.js";

export default component(mount, update);

function mount(view) {
  view.box = element("div", { class: "picture", role: "img" });
  view.tip = element("div", { class: "tip", hidden: "" });
  view.root.append(view.box, view.tip);
  view.fit = scroller(view, view.box);
  view.on(view.box, "pointermove", (event) => pointedAt(view, event));
  view.on(view.box, "pointerleave", () => light(view, null));
}

function update(view, { svg, label }) {
  if (!view.fresh) return;
  view.box.setAttribute("aria-label", label);
  view.box.innerHTML = svg;
  view.fit();
}

function light({ box, tip }, node) {
  const names = node?.dataset.lights?.split(" ") ?? [];
  for (const other of box.querySelectorAll("[data-id]"))
    other.classList.toggle("lit", names.includes(other.dataset.id));
  box.firstElementChild?.classList.toggle("lighting", names.join("") !== "");
  tip.hidden = !node;
  tip.textContent = node?.dataset.tip ?? "";
}

function pointedAt(view, event) {
  const node = event.target.closest("[data-tip]");
  light(view, node);
  view.tip.style.left = `${Math.min(event.clientX + 12, innerWidth - view.tip.offsetWidth - 8)}px`;
  view.tip.style.top = `${event.clientY + 16}px`;
}
