// Puts an SVG in place; hovering or focusing an element shows its tip and lights what it names.
const drawn = new WeakMap();

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".picture");
  if (drawn.get(box) === data.svg) return;
  drawn.set(box, data.svg);
  box.setAttribute("aria-label", data.label);
  box.innerHTML = data.svg;
  const svg = box.querySelector("svg");
  const tip = parentElement.querySelector(".tip");
  const byId = new Map();
  for (const element of svg.querySelectorAll("[data-id]")) {
    const id = element.dataset.id;
    byId.set(id, [...(byId.get(id) ?? []), element]);
  }
  const dark = () => {
    svg.classList.remove("lighting");
    for (const element of svg.querySelectorAll(".lit")) element.classList.remove("lit");
    tip.hidden = true;
  };
  svg.addEventListener("pointermove", (event) => {
    const element = event.target.closest("[data-tip]");
    if (!element) return dark();
    if (!element.classList.contains("at") || tip.hidden) {
      dark();
      for (const other of svg.querySelectorAll(".at")) other.classList.remove("at");
      element.classList.add("at");
      const names = (element.dataset.lights ?? "").split(" ").filter(Boolean);
      for (const name of names) for (const one of byId.get(name) ?? []) one.classList.add("lit");
      if (names.length) svg.classList.add("lighting");
      tip.textContent = element.dataset.tip;
      tip.hidden = false;
    }
    const width = tip.offsetWidth;
    tip.style.left = Math.min(event.clientX + 12, innerWidth - width - 8) + "px";
    tip.style.top = event.clientY + 16 + "px";
  });
  svg.addEventListener("pointerleave", dark);
}
