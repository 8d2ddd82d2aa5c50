// What lines of text on the page say from now on, by their names (live_line.js); who asks the server tells the others.
const SAID = "bardlab-said";

export const say = (lines) => document.dispatchEvent(new CustomEvent(SAID, { detail: lines }));

export const listened = (view, name, hear) =>
  view.on(document, SAID, ({ detail }) => Object.hasOwn(detail, name) && hear(view, detail[name]));
