import { component } from "../shared/component.js";
import { say } from "../shared/said.js";

export default component(mount, update);

function mount() {}

function update(view, message) {
  if (!view.fresh) return;
  view.message = message;
  wait(view);
}

const address = ({ message }) => message.feed;
const wait = (view) => view.feed(1000 * view.message.every, address, heard);

function heard(view, news) {
  if (news) say(news.said);
  if (news?.standing === view.message.standing) wait(view);
  else view.poll(0, () => ({ at: performance.now() }));
}
