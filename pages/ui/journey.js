// What the browser does between pages, done once a tab: one history entry a page, and a phone's menu that closes.
if (!window.bardlabJourney) {
  window.bardlabJourney = true;
  const push = window.history.pushState.bind(window.history);
  const pathOf = (url) => new URL(url, window.location.href).pathname;
  // A page that writes what it shows into its address stays one page.
  window.history.pushState = (state, title, url) =>
    url != null && pathOf(url) === window.location.pathname
      ? window.history.replaceState(state, title, url)
      : push(state, title, url);
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("[data-testid=stSidebar] a[href]");
    if (link && window.innerWidth < 768)
      document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
  });
}
