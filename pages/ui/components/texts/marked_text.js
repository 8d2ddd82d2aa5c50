import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { element } from "../shared/dom.js";

export default component(mount, update);

function mount(view) {
  view.text = element("pre", { class: "prose", tabindex: 0 });
  view.root.append(view.text);
}

function update(view, { label, runs }) {
  view.text.setAttribute("aria-label", label);
  const made = runs.map(([kind, text]) =>
    element(kind === "mark" ? "mark" : "span", { class: kind }, readableText(text)),
  );
  if (view.fresh) view.text.replaceChildren(...made);
}
