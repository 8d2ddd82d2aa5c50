"""How surprising each character of a passage is, to one model and to several."""

import math

import pandas as pd
import streamlit as st

from core.errors import BardlabError
from core.runs import openings
from core.runs.state import Run
from core.studies.standings import key_of, title_of
from core.texts.corpus import Corpus
from pages.ui import loaders, state, tell, wording
from pages.ui.choosers import runs, weights
from pages.ui.choosers.prompt import begin, known
from pages.ui.components.texts.passage import passage
from pages.ui.inside_views import predictions, price_tag

LONGEST = 2000
TEXT, TURN = "surprise.text", "surprise.turn"


def usual(run: Run, corpus: Corpus | None) -> str:
    """A passage of the validation split of a run's text; of what it wrote itself, if that is gone."""
    source = openings.remembered(run) if corpus is None else corpus.text[corpus.split :]
    return openings.passage(source, st.session_state.get(TURN, 0)) or openings.openings(run).passage


def another(run: Run, corpus: Corpus) -> None:
    """Take the next passage of the validation split."""
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
    st.session_state[TEXT] = st.session_state[f"{TEXT}.given"] = usual(run, corpus)


def passage_box(run: Run, corpus: Corpus | None) -> str:
    """The passage: the URL's, else one of the validation split."""
    default = usual(run, corpus)
    begin(TEXT, default, st.query_params.get("text"), LONGEST)
    text: str = st.text_area(
        "Passage",
        key=TEXT,
        persist_state="session",
        height=110,
        max_chars=LONGEST,
        help="Paste any text of up to 2,000 characters; at first, a piece of the validation split.",
    )
    weights.into_url("text", text, default if not st.session_state.get(TURN) else None)
    st.session_state[f"{TEXT}.asked"] = st.query_params.get("text")
    return text


def others(run: Run) -> list[Run]:
    """Draw the chooser of runs to compare with: at first the best of every other rung."""
    text = run.need().corpus_sha256  # losses on different texts are not to be compared
    alike = {slug: r for slug, r in runs.usable_runs().items() if r.need().corpus_sha256 == text}
    default = [slug for slug in runs.best_of_each_rung(alike) if key_of(alike[slug]) != key_of(run)]
    with st.popover("Compare with", icon=":material/add:", help="Who earns this character? Runs that read it too."):
        return runs.choose_runs(
            "Compare with",
            {slug: r for slug, r in alike.items() if slug != run.slug},
            default,
            "surprise.with",
            "Who earns this character? Each run reads the same passage; at first the best run of every other rung.",
        )


def where_from(corpus: Corpus | None, text: str) -> str:
    """Say whether the models have been trained on this very passage."""
    if corpus is None:
        return "The text of this run is no longer here, so nobody can tell whether the passage stands in it."
    if text in corpus.text[corpus.split :]:
        return "This passage stands in the validation split, which nobody trained on."
    if text in corpus.text:
        return "This passage stands in the training split: the models have seen it."
    return "This passage does not stand in the text as a whole."


state.notices()
left, right = st.columns([2, 3], gap="medium")
with left:
    run = runs.choose_run()
    corpus = loaders.text_of(run)
    with st.container(horizontal=True, gap="small"):
        compared = others(run)
        st.button(
            "Another passage",
            icon=":material/shuffle:",
            on_click=another,
            args=(run, corpus),
            disabled=corpus is None,
            key="surprise.another",
            help="Of the validation split: text that no model here has been trained on."
            if corpus
            else "The text of this run is no longer here.",
        )
with right:
    model, tokenizer = loaders.model(run)
    text = known(passage_box(run, corpus), tokenizer, TEXT, usual(run, corpus))
if len(text) < 2:
    if text:
        st.info("Give at least two characters: the first is never predicted.", icon=":material/keyboard_return:")
    st.stop()

read = {}
for each in sorted([run, *compared], key=runs.ladder_order):
    try:
        read[each.slug] = (each, predictions.surprise_of(each, text))
    except BardlabError as error:  # one that cannot be read leaves the others alone
        tell.warning(str(error), icon=":material/broken_image:")
if not read:
    st.stop()
passage(text, tokenizer.chars, read, key="passage")
st.caption(
    "A character that was given probability p costs -log2 p bits: 0 if it was certain, 6 if it was as unexpected as "
    f"one of 64. {where_from(corpus, text)}"
)
price_tag.price_tag(run)

st.header("What it costs" if len(read) == 1 else "Who saves how much")
rows = []
blind = math.log2(tokenizer.size)
before, usual_bits = blind * (len(text) - 1), blind
judged = 0 if corpus is None else len(corpus.val_ids) - 1
for each, found in read.values():
    total = float(found.bits.sum())
    loss = price_tag.val_loss(each)
    costs = math.nan if loss is None else loss / math.log(2)
    rows.append(
        {
            "run": each.label,
            "rung": title_of(each),
            "val": wording.loss(loss),
            "val_bits": "–" if loss is None else f"{loss / math.log(2):.3f}",
            "nats": found.loss,
            "bits": found.loss / math.log(2),
            "total": total,
            "saved": before - total,
            "saved_of_all": judged * (usual_bits - costs) if judged and math.isfinite(costs) else None,
            "sees": f"{found.window if found.context is None else min(found.context, found.window):,}",
            "window": found.window,
        }
    )
    before, usual_bits = total, costs if math.isfinite(costs) else usual_bits
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
        "saved_of_all": column.NumberColumn(
            "Saved on validation",
            format="localized",
            step=1,
            help="The same over the whole validation split, by the losses measured there.",
        ),
        "sees": column.TextColumn(
            "Sees", help="Characters before it that a prediction could see at most, of a window."
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
