// What the learner has set goes into the address, without asking the server; null leaves the default unsaid.
export function mirror(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

export const asked = (name) => new URLSearchParams(location.search).get(name);
