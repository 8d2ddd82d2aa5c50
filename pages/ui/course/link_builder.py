"""Makes a link that opens a page as it is to be seen in class: in a state, with some controls hidden or locked."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import streamlit as st

from core.ladder.registry import RUNGS
from pages.ui import teaching, wording
from pages.ui.navigation import HOME, page_at, pages

LONGEST = 4000
"""Characters of a link."""
_OF_LESSON = (teaching.HIDE, teaching.LOCK, teaching.ONLY)


def link_builder() -> None:
    """Draw the form, and the link that it comes to."""
    titles = {address: str(page.keywords["title"]) for address, page in pages().items()}
    pasted = st.text_input(
        "In the state of this link",
        key="class.link.state",
        max_chars=LONGEST,
        placeholder="press Copy link on the page when it is as you want it, and paste it here",
        help="The run, the settings, the view, the prompt: all that a page keeps in its address. Without it the page "
        "below opens as it is at first.",
    )
    query, name = _read(pasted)
    if name is not None and name not in titles:
        st.warning(f"No page here has the address “{wording.plain(name[:60])}”.", icon=":material/link_off:")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        chosen = st.selectbox(
            "Page",
            list(titles),
            index=list(titles).index(name) if name else None,
            format_func=lambda each: wording.plain(titles.get(each) or each),
            key=f"class.link.page.{name or ''}",
            disabled=name is not None,
            placeholder="Choose a page",
            help="Where the link leads; a pasted link says it itself.",
        )
        picture = st.toggle(
            "Nothing but the picture", key="class.link.picture", help="For a lesson's own page, or a projector."
        )
    with right:
        parts = teaching.hideable()
        hidden = st.multiselect(
            "Hide",
            list(parts),
            format_func=lambda each: wording.plain(parts.get(each) or each),
            key="class.link.hide",
            placeholder="nothing",
            disabled=picture,
            help="Whoever opens the link does not see these; a click on Show all brings them back.",
        )
        locked: list[str] = []
        if chosen in RUNGS:
            settings = [each for each in sorted(teaching.lockable()) if _of_rung(each, chosen)]
            locked = st.multiselect(
                "Lock",
                settings,
                format_func=wording.plain,
                key=f"class.link.lock.{chosen}",
                placeholder="nothing",
                disabled=picture,
                help="Settings that stay as the link sets them; all of them: all.",
            )
    if chosen is None:
        return
    asked = {teaching.ONLY: teaching.PICTURE} if picture else {teaching.HIDE: ",".join(hidden)}
    query |= {name: value for name, value in {**asked, teaching.LOCK: ",".join(locked)}.items() if value}
    st.code(
        _base() + ("" if chosen == HOME else chosen) + (f"?{urlencode(query)}" if query else ""),
        language=None,
        wrap_lines=True,
    )
    st.page_link(page_at(chosen), label="Try it", icon=":material/open_in_new:", query_params=query)


def _read(link: str) -> tuple[dict[str, str], str | None]:
    """Return what a link says, without what it hides and locks, and its page; no page if there is no link."""
    if not link.strip():
        return {}, None
    parts = urlsplit(link.strip().partition("#")[0].replace("[", "%5B").replace("]", "%5D"))
    query = {key: value for key, value in parse_qsl(parts.query, max_num_fields=None) if key not in _OF_LESSON}
    return query, parts.path.rstrip("/").rpartition("/")[2] or HOME


def _of_rung(setting: str, rung: str) -> bool:
    group, _, name = setting.partition(".")
    return group != "model" or any(field.name == name for field in RUNGS[rung].config.fields())


def _base() -> str:
    """What stands before a page's name: where this page is, as the browser calls it."""
    here = st.context.url or ""
    return here.partition("?")[0].rstrip("/").rpartition("/")[0] + "/"
