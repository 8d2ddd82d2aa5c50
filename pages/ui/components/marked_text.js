export default function ({ data, parentElement }) {
  const box = parentElement.querySelector("pre");
  box.setAttribute("aria-label", data.label);
  box.tabIndex = 0;
  box.replaceChildren(
    ...data.runs.map(([kind, text]) => {
      const run = document.createElement(kind === "mark" ? "mark" : "span");
      run.className = kind;
      run.textContent = text;
      return run;
    }),
  );
}
