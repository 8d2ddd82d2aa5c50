import { element } from "./dom.js";

// Puts a text on the clipboard; answers whether that worked.
export const copied = async (text) => (await byPermission(text)) || bySelection(text);

// Browsers offer the clipboard to pages of https and of one's own machine only.
async function byPermission(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function bySelection(text) {
  const box = element("textarea", { style: "position: fixed; opacity: 0" });
  const before = document.activeElement;
  box.value = text;
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  before?.focus?.();
  return copied;
}
