import { component } from "../shared/component.js";
import { store, stored } from "../shared/storage.js";
import { merged } from "./progress.js";

export default component(mount, update);

function mount() {}

function update(view, { now }) {
  if (!view.fresh) return;
  const both = merged(now, stored("progress") ?? now);
  store("progress", both);
  if (JSON.stringify(both) !== JSON.stringify(merged(now, now))) view.trigger("kept", both);
}
