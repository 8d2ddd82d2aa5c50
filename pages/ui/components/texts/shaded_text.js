import { readableText } from "../shared/characters.js";
import { component } from "../shared/component.js";
import { element } from "../shared/dom.js";

export default component(mount, update);

function mount(view) {
  view.text = element("pre", { class: "shaded", tabindex: 0 });
  view.root.append(view.text);
}

function update(view, { label, cells }) {
  view.text.setAttribute("aria-label", label);
  const made = cells.map(([text, fill, ink, value]) => {
    const style = ink ? `background:${fill};color:${ink}` : `background:${fill}`;
    return element("span", { style, title: value }, readableText(text));
  });
  if (view.fresh) view.text.replaceChildren(...made);
}
