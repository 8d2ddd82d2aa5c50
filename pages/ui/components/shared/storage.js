// What the browser keeps for good, or ("sessionStorage") as long as the tab. It may be forbidden or damaged: null.
export function stored(name, place = "localStorage") {
  try {
    return JSON.parse(window[place].getItem(`bardlab.${name}`));
  } catch {
    return null;
  }
}

export function store(name, value, place = "localStorage") {
  try {
    window[place].setItem(`bardlab.${name}`, JSON.stringify(value));
  } catch {
    // everything works without
  }
}
