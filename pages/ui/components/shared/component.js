import { readTheme } from "./theme.js";
import { decode } from "./wire.js";

// A component is two functions: `mount(view, message)` makes the view of one place on the page, `update(view, message)`
// gets that message and every later one. `view.fresh` says whether the content is new; if not, the theme may be.
export function component(mount, update) {
  const views = new WeakMap();
  return ({ data, parentElement, setTriggerValue }) => {
    const message = decode(data);
    let view = views.get(parentElement);
    if (!view) {
      view = newView(parentElement.querySelector(".inside"));
      view.trigger = setTriggerValue;
      view.theme = readTheme(view.root);
      views.set(parentElement, view);
      mount(view, message);
    }
    view.trigger = setTriggerValue;
    view.theme = readTheme(view.root);
    view.fresh = message.serial !== view.serial;
    view.serial = message.serial;
    if (view.fresh) view.root.dataset.updates = ++view.updates;
    update(view, message);
    // A call overtaken by the next one is cleaned up too, though the view stays: only the last call may end it.
    const call = ++view.calls;
    return () =>
      setTimeout(() => {
        if (view.calls !== call) return;
        view.abort.abort();
        view.ended?.();
        views.delete(parentElement);
      });
  };
}

function newView(root) {
  root.replaceChildren(); // what an earlier view has left here
  const abort = new AbortController();
  const on = (target, name, handle, options) =>
    target.addEventListener(name, handle, { signal: abort.signal, ...options });
  const resized = (node, handle) => {
    const observer = new ResizeObserver(handle);
    observer.observe(node);
    abort.signal.addEventListener("abort", () => observer.disconnect());
  };
  return { root, abort, on, resized, path: location.pathname, calls: 0, updates: 0 };
}
