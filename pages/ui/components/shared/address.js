// What the learner has set goes into the address of the page that the view stands on, without asking the server; null
// leaves the default unsaid.
export function mirror(view, values) {
  if (location.pathname !== view.path) return; // another page has taken its place
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

export const asked = (name) => new URLSearchParams(location.search).get(name);
