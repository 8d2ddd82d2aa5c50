"""How surprising each character of a passage is, to one model and to several."""

import math

import pandas as pd
import streamlit as st

from core.corpus import Corpus
from core.errors import BardlabError
from core.runs import Run
from core.stages import STAGES
from pages.ui import cached, looking, predictions, state, tell, words
from pages.ui.components.passage import passage

LONGEST = 2000
PASSAGE = 420  # characters
TEXT, TURN = "surprise.text", "surprise.turn"


def validation_passage(corpus: Corpus, turn: int) -> str:
    """A speech or two of the validation split, from the start of a speech on; another one for each `turn`."""
    text = corpus.text[corpus.split :]
    start = text.find("\n\n", (turn * 9973) % (len(text) - 2 * PASSAGE)) + 2
    end = text.rfind("\n", start, start + PASSAGE)
    return text[start : max(end, start + PASSAGE // 2)]


def to_url() -> None:
    """Keep the passage in the URL."""
    looking.into_url("text", st.session_state[TEXT], validation_passage(cached.corpus(), 0))


def another() -> None:
    """Take the next passage of the validation split."""
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
    st.session_state[TEXT] = validation_passage(cached.corpus(), st.session_state[TURN])
    to_url()


def passage_box() -> str:
    """The passage: the URL's, else one of the validation split."""
    if TEXT not in st.session_state:
        asked = st.query_params.get("text")
        st.session_state[TEXT] = (asked or validation_passage(cached.corpus(), 0))[:LONGEST]
    text: str = st.text_area(
        "Passage",
        key=TEXT,
        on_change=to_url,
        persist_state="session",
        height=180,
        max_chars=LONGEST,
        help="Paste any text of up to 2,000 characters; at first, a piece of the validation split.",
    )
    to_url()
    st.button(
        "Another passage of the validation split",
        icon=":material/shuffle:",
        on_click=another,
        key="surprise.another",
        help="Text that no model here has been trained on.",
    )
    return text


def others(run: Run) -> list[Run]:
    """Draw the chooser of runs to compare with: at first the best of every other rung."""
    alike = {slug: r for slug, r in looking.usable_runs().items() if r.need().characters == run.need().characters}
    default = [slug for slug in looking.best_of_each_rung(alike) if alike[slug].stage != run.stage]
    return looking.choose_runs(
        "Compare with",
        {slug: r for slug, r in alike.items() if slug != run.slug},
        default,
        "surprise.with",
        "Who earns this character? Each run reads the same passage; at first the best run of every other rung.",
    )


def where_from(corpus: Corpus, text: str) -> str:
    """Say whether the models have been trained on this very passage."""
    if text in corpus.text[corpus.split :]:
        return "This passage stands in the validation split, which nobody trained on."
    if text in corpus.text:
        return "This passage stands in the training split: the models have seen it."
    return "This passage does not stand in the text as a whole."


state.notices()
left, right = st.columns([2, 3], gap="large")
with left:
    run = looking.choose_run()
    looking.price_tag(run)
with right:
    model, tokenizer = cached.model(run)
    text = looking.known_text(passage_box(), tokenizer, "surprise.drop")
compared = others(run)
if len(text) < 2:
    if text:
        st.info("Give at least two characters: the first is never predicted.", icon=":material/keyboard_return:")
    st.stop()

read = {}
for each in sorted([run, *compared], key=looking.ladder_order):
    try:
        read[each.slug] = (each, predictions.surprise_of(each, text))
    except BardlabError as error:  # one that cannot be read leaves the others alone
        tell.warning(str(error), icon=":material/broken_image:")
if not read:
    st.stop()
st.caption(
    "A character that was given probability p costs -log2 p bits: 0 if it was certain, 6 if it was as unexpected as "
    f"one of 64. {where_from(cached.corpus(run.need().corpus), text)}"
)
passage(text, tokenizer.chars, read, key="passage")

st.subheader("What it costs" if len(read) == 1 else "Who saves how much")
rows = []
before = math.log2(tokenizer.size) * (len(text) - 1)
for each, found in read.values():
    total = float(found.bits.sum())
    loss = looking.val_loss(each)
    rows.append(
        {
            "run": each.name,
            "rung": STAGES[each.stage].title,
            "val": words.loss(loss),
            "val_bits": "–" if loss is None else f"{loss / math.log(2):.3f}",
            "nats": found.loss,
            "bits": found.loss / math.log(2),
            "total": total,
            "saved": before - total,
            "window": found.window,
        }
    )
    before = total
column = st.column_config
st.dataframe(
    pd.DataFrame(rows),
    hide_index=True,
    column_config={
        "run": column.TextColumn("Run", help="In the order of the ladder."),
        "rung": column.TextColumn("Rung", help="Its kind of model."),
        "val": column.TextColumn("Validation", help="Nats a character over the whole validation split."),
        "val_bits": column.TextColumn("in bits", help="The same in bits a character."),
        "nats": column.NumberColumn("This passage", format="%.4f", help="Mean over its characters, in nats."),
        "bits": column.NumberColumn("in bits ", format="%.3f", help="The same in bits."),
        "total": column.NumberColumn("Bits in all", format="%.1f", help="What the whole passage costs this model."),
        "saved": column.NumberColumn(
            "Saved", format="%+.1f", help="Bits fewer than the row above; the first row is held against even guessing."
        ),
        "window": column.NumberColumn("Window", help="Characters read at once; see below."),
    },
)
windows = sorted({found.window for _, found in read.values()})
st.caption(
    f"{len(text) - 1:,} characters are predicted; the first is given. As in every evaluation here the passage is read "
    f"in consecutive windows (of {' or '.join(f'{w:,}' for w in windows)} characters), each without memory of the one "
    "before: a dotted line marks where a window begins, and the first characters after it cost more."
)
