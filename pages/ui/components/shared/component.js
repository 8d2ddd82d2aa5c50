import { readTheme } from "./theme.js";
import { decode } from "./wire.js";

const RETRY = 3000; // ms to wait for an answer before asking again
const LEAVING = 3000; // ms in which the page that was asked for takes this one's place, or else does not
const AGAIN = 1000; // ms after which another act is taken, whether the last one changed anything or not

// A component is two functions: `mount(view, message)` makes the view of one place on the page, `update(view, message)`
// gets that message and every later one. `view.fresh` says whether the content is new; if not, the theme may be.
export function component(mount, update) {
  const views = new WeakMap();
  return ({ data, parentElement, setTriggerValue }) => {
    const message = decode(data);
    let view = views.get(parentElement);
    if (!view?.root.isConnected || view.abort.signal.aborted) {
      view?.abort.abort();
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
    view.busy = false;
    if (view.fresh) view.root.dataset.updates = ++view.updates;
    update(view, message);
    // A call that another overtakes is cleaned up too, before or after it: a view ends when it has left the page.
    return () => setTimeout(() => view.root.isConnected || view.abort.abort());
  };
}

// What a view listens to, watches and waits for ends with it.
function newView(root) {
  root.replaceChildren(); // what an earlier view has left here
  delete root._$litPart$; // and where it had drawn that
  const view = { root, abort: new AbortController(), path: location.pathname, updates: 0 };
  const { signal } = view.abort;
  const frames = new Map();
  const timers = new Map();
  view.on = (target, name, handle, options) => target.addEventListener(name, handle, { signal, ...options });
  view.resized = (node, handle) => {
    const observer = new ResizeObserver(handle);
    observer.observe(node);
    signal.addEventListener("abort", () => observer.disconnect());
  };
  // Calls `act(view)` before the next frame, once, however often it is asked.
  view.soon = (act) => {
    if (frames.has(act)) return;
    const drawn = () => frames.delete(act) && act(view);
    frames.set(act, requestAnimationFrame(drawn));
  };
  // Calls `act(view)` after some ms; what it was asked before is forgotten.
  view.after = (ms, act) => {
    clearTimeout(timers.get(act));
    timers.set(act, setTimeout(act, ms, view));
  };
  view.never = (act) => clearTimeout(timers.get(act));
  // Asks the server what `question(view)` says after some ms, and again as long as no answer stops that. A page that is
  // out of sight (`hidden`) asks nothing, unless it is told to; nor does one that is being left: Streamlit would join
  // that with the next page's call into one for this page.
  let asking = () => {};
  let left = -LEAVING;
  const leave = () => (left = performance.now());
  const another = (link) => link?.origin === location.origin && link.pathname !== location.pathname;
  view.on(window, "popstate", leave);
  view.on(document, "click", (event) => another(event.composedPath()[0].closest?.("a[href]")) && leave(), true);
  view.poll = (ms, question, { retry = RETRY, hidden = false } = {}) => {
    view.never(asking);
    asking = () => {
      const asleep = (document.hidden && !hidden) || performance.now() < left + LEAVING;
      view.after(asleep ? 500 : retry, asking);
      if (!asleep) view.trigger("poll", question(view));
    };
    view.after(ms, asking);
  };
  // Asks at an address after some ms, once, and hands on what it answers: null if nobody is there any more. A message
  // from the server that comes first takes its place.
  view.feed = (ms, address, got) => {
    view.never(asking);
    asking = async () => {
      if (document.hidden) return view.after(500, asking);
      const { updates } = view;
      const again = () => !signal.aborted && view.updates === updates && view.after(RETRY, asking);
      try {
        const answer = await fetch(address(view), { signal });
        const bytes = answer.ok ? new Uint8Array(await answer.arrayBuffer()) : null;
        if (view.updates !== updates) return;
        view.root.dataset.updates = ++view.updates;
        got(view, bytes && decode(bytes));
      } catch {
        again(); // the server may be back in a while
      }
    };
    view.after(ms, asking);
  };
  view.quiet = () => view.never(asking);
  // Tells the server of an act; one at a time, as what it was done to may be another one after one that `changes` it.
  const free = () => Object.assign(view, { busy: false });
  view.act = (act, changes = true) => {
    if (view.busy) return;
    view.busy = changes;
    if (changes) view.after(AGAIN, free);
    view.trigger("act", act);
  };
  signal.addEventListener("abort", () => {
    for (const frame of frames.values()) cancelAnimationFrame(frame);
    for (const timer of timers.values()) clearTimeout(timer);
  });
  return view;
}
