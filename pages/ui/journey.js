// What the browser does on every page, set up once a tab: one history entry a page, a phone's menu that closes, and "?"
// buttons that are no stop on the way with Tab: the key "?" leads to the one of the control that has the focus.
if (!window.bardlabJourney) {
  window.bardlabJourney = true;
  const { history } = window;
  const push = history.pushState.bind(history);
  const pathOf = (url) => new URL(url, window.location.href).pathname;
  // Streamlit may open or close the menu itself as the next page comes, on a slow machine late: it is looked at for twenty
  // seconds, or until something else is pressed. What closes it opens it again if it is pressed before that was drawn.
  let looks = 0;
  let answered = 0;
  let next;
  const close = () => {
    const open = document.querySelector("[data-testid=stSidebarCollapseButton] button[aria-expanded=true]");
    if (open && performance.now() > answered) {
      answered = performance.now() + 3000;
      open.click();
    }
    if (--looks > 0) next = setTimeout(close, 200);
  };
  const shut = () => {
    if (window.innerWidth >= 768) return;
    looks = 100;
    clearTimeout(next);
    next = setTimeout(close, 50);
  };
  const leave = () => {
    clearTimeout(next);
    answered = 0;
  };
  for (const press of ["pointerdown", "keydown"]) document.addEventListener(press, leave, true);
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-testid=stSidebar] a[href]")) shut();
  });
  // A page that writes what it shows into its address stays one page.
  history.pushState = (state, title, url) => {
    if (url != null && pathOf(url) === window.location.pathname) return history.replaceState(state, title, url);
    push(state, title, url);
    shut();
  };
  // Streamlit loads what runs this when it first needs it: by then another page may have been chosen.
  if (pathOf(performance.getEntriesByType("navigation")[0].name) !== window.location.pathname) shut();
  // Streamlit takes half a second to open what folds, and what is below it moves away from under the pointer.
  const animate = Element.prototype.animate;
  Element.prototype.animate = function (frames, timing) {
    const folds = "height" in Object(frames);
    return animate.call(this, frames, folds ? { ...Object(timing), duration: 0 } : timing);
  };
  const helps = '[data-testid=stTooltipIcon] button[aria-label^="Help"]:not([data-testid])';
  const mend = () => {
    for (const help of document.querySelectorAll(`${helps}:not([tabindex])`)) help.tabIndex = -1;
    // a text of a given height scrolls
    const paper = "[class*=st-key-paper-][overflow=auto]";
    const scrolling = ["[overflow=auto] > [data-testid=stCode] > pre", paper, ".katex-display"];
    for (const text of document.querySelectorAll(scrolling.map((each) => `${each}:not([tabindex])`).join()))
      text.tabIndex = 0;
    // a label that is set small or grey is read without its markup
    for (const input of document.querySelectorAll('input[aria-label*=":gray["]'))
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/:\w+\[|\]/g, ""));
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
  document.addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.key !== "?" || !(at instanceof Element) || at.matches("textarea, input:not([type=range], [type=radio])"))
      return;
    at.closest("[data-testid=stElementContainer]")?.querySelector(helps)?.focus();
  });
}
