// The terms of the glossary, wherever they stand on a page: the first of each is underlined, and whoever points at one
// reads its sentence. Nothing of the page is changed for it: the browser marks ranges of its text.
if (!window.bardlabTerms && window.Highlight && window.CSS?.highlights) {
  window.bardlabTerms = true;
  const terms = JSON.parse(document.getElementById("bardlab-terms").textContent);
  const bySpelling = new Map(terms.flatMap((term) => term.spellings.map((each) => [each, term])));
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const spellings = [...bySpelling.keys()].sort((a, b) => b.length - a.length).map(escaped);
  const find = new RegExp(`(?<![\\w-])(?:${spellings.join("|")})(?![\\w-])`, "gi");
  const INTO = "[data-testid=stMain] [data-testid=stMarkdownContainer], [data-testid=stTooltipContent]";
  const NOT = "button, a, input, code, h1, .katex, .st-key-terms, .st-key-tour, [data-testid=stTooltipContent] h1";
  const WAIT = 400; // ms of quiet before a page is read
  const known = new WeakMap(); // text node: what it said, and the ranges of the terms in it
  const underlined = new Highlight();
  CSS.highlights.set("bardlab-term", underlined);

  const termsIn = (node) => {
    const before = known.get(node);
    if (before?.text === node.data) return before.found;
    const found = [...node.data.matchAll(find)].map((hit) => {
      const range = new Range();
      range.setStart(node, hit.index);
      range.setEnd(node, hit.index + hit[0].length);
      return { range, from: hit.index, to: hit.index + hit[0].length, term: bySpelling.get(hit[0].toLowerCase()) };
    });
    known.set(node, { text: node.data, found });
    return found;
  };

  const texts = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(NOT)) nodes.push(walker.currentNode);
    return nodes;
  };

  // Only what differs is marked anew: each change of the marks has the browser paint what they lie on.
  const read = () => {
    const found = new Map(); // the range of each term
    for (const root of document.querySelectorAll(INTO))
      for (const node of texts(root))
        for (const { range, term } of termsIn(node)) if (!found.has(term)) found.set(term, range);
    const wanted = new Set(found.values());
    for (const range of underlined) if (!wanted.has(range)) underlined.delete(range);
    for (const range of wanted) underlined.add(range);
  };
  let timer;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(read, WAIT);
  };
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true, characterData: true });
  soon();

  // --- what is shown of a term ------------------------------------------------------------------------------------

  const note = document.createElement("div");
  note.id = "bardlab-term";
  note.setAttribute("role", "tooltip");
  note.hidden = true;
  const sentence = document.createElement("span");
  const link = document.createElement("a");
  link.target = "_blank";
  link.rel = "noopener";
  note.append(sentence, " ", link);
  document.body.append(note);

  const caret = (x, y) => {
    if (document.caretPositionFromPoint) {
      const at = document.caretPositionFromPoint(x, y);
      return at && [at.offsetNode, at.offset];
    }
    const at = document.caretRangeFromPoint(x, y);
    return at && [at.startContainer, at.startOffset];
  };
  const under = (event) => {
    const target = event.target;
    if (!(target instanceof Element) || !target.closest(INTO) || target.closest(NOT)) return null;
    const [node, offset] = caret(event.clientX, event.clientY) ?? [];
    if (node?.nodeType !== Node.TEXT_NODE) return null;
    const found = termsIn(node).find(({ from, to }) => from <= offset && offset <= to);
    const box = found?.range.getBoundingClientRect();
    const inside = box && event.clientX >= box.left - 1 && event.clientX <= box.right + 1;
    return inside && event.clientY >= box.top - 2 && event.clientY <= box.bottom + 2 ? { ...found, box } : null;
  };
  const show = ({ term, box }) => {
    sentence.textContent = `${term.name}: ${term.sentence}`;
    link.textContent = "See it ↗";
    link.href = term.address;
    link.setAttribute("aria-label", `See ${term.name} on its page, in a new tab`);
    note.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = note;
    const above = box.top > height + 8;
    note.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
    note.style.top = `${above ? box.top - height - 2 : box.bottom + 2}px`;
  };
  let leaving;
  const hideSoon = () => {
    clearTimeout(leaving);
    leaving = setTimeout(() => {
      note.hidden = true;
    }, 300);
  };
  const look = (event) => {
    if (event.target instanceof Node && note.contains(event.target)) return clearTimeout(leaving);
    const found = under(event);
    if (!found) return note.hidden || hideSoon();
    clearTimeout(leaving);
    show(found);
  };
  let last;
  document.addEventListener("pointermove", (event) => {
    if (event.timeStamp - (last ?? 0) < 60) return;
    last = event.timeStamp;
    look(event);
  });
  document.addEventListener("click", look);
  document.addEventListener("scroll", hideSoon, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") note.hidden = true;
  });
}
