"""Let a trained model write, and ask each character what it was drawn from."""

from typing import Any

import streamlit as st

from core.errors import BardlabError
from core.inspect.lens import has_stream
from core.runs import records
from core.runs.openings import openings
from core.runs.state import Run
from core.studies.writing import Writing, WritingConfig
from core.texts.labels import numbered, spelled
from pages.turns import DRAWING, WRITING
from pages.ui import loaders, state, tell
from pages.ui.choosers import in_view, runs
from pages.ui.choosers.prompt import LONGEST, begin, known
from pages.ui.choosers.run import run_picker
from pages.ui.choosers.weights import into_url
from pages.ui.components.texts.writing import Passage, Way, writing
from pages.ui.inside_views import copied
from pages.ui.inside_views.links import FITS
from pages.ui.navigation import addresses, link_to_first_rung
from pages.ui.run.config_form import labelled_widget
from pages.ui.wording import inline

PROMPT = "write.prompt"
SEED = state.setting_key("write", "", "seed")
USUAL = {"temperature": 0.8, "beyond": "half"}
"""Where a text is written otherwise than by the settings' own values: as boldly as on Prediction and Side by side, and
ten times as fast once it is longer than the context."""
AT_ONCE = ("temperature", "tokens", "samples", "stop")
"""The settings that are always in sight."""
TEXTS, AUTHOR = "write.texts", "write.author"
"""What was written last in this session, and the run that wrote it."""
DESK, HALT = "write.texts-here", "write.halt"
"""The parts of the page that change when the texts are stopped."""
SAMPLE_HEIGHT = 280
"""Of what the run wrote last while it was trained, px."""


def settings() -> dict[str, Any]:
    """Draw the widgets of all settings: some in a row, the others behind a button."""
    base, fields = WritingConfig(), {field.name: field for field in WritingConfig.fields()}
    values: dict[str, Any] = {}
    with st.container(key="write-settings"):
        columns = st.columns([0.95, 1.3, 0.75, 1.75], gap="small")
        for name, column in zip(AT_ONCE, columns, strict=True):
            with column:
                values[name] = labelled_widget("write", fields[name], base)
    with more:
        for name, field in fields.items():
            if name not in AT_ONCE:
                values[name] = labelled_widget("write", field, base)
    return values


def start() -> None:
    """Start new texts; again with the same seed would be the same again, so they take the next."""
    seed = st.session_state.get(SEED)
    if seed is not None and seed == st.session_state.get("write.used"):
        seed = st.session_state[SEED] = (seed + (st.session_state.get("write..samples") or 1)) % 2**31
    st.session_state["write.used"] = seed
    end()
    st.session_state.pop(TEXTS, None)
    st.session_state["writing"] = True


def end() -> None:
    """Keep what there is."""
    st.session_state["writing"] = False
    if texts := st.session_state.get(TEXTS):
        texts.stop()


def ways(run: Run, model: Any, config: WritingConfig) -> list[Way]:
    """The pages on which a character can be followed further."""
    about = {state.RUN: run.slug}
    found = [Way("In Prediction", "prediction", about, 2000)]
    if FITS["attention"](run):
        found.append(Way("In Attention", "attention", about, LONGEST))
    if has_stream(model):
        found.append(Way("In the lens", "prediction", {**about, "view": "lens"}, 2000))
    drawn = {"temperature": f"{config.temperature:g}", "top_k": str(config.top_k), "seed": str(config.seed)}
    found.append(Way("Branch from here", "branches", {**about, **drawn}, 2000))
    return [way for way in found if way.page in addresses()]


@st.fragment(key=DESK)
def desk(run: Run, model: Any) -> None:
    """Write on a little and show what there is; the browser asks for more as long as it has not all."""
    texts: Writing = st.session_state[TEXTS]
    if not texts.done:
        DRAWING.leave()
        with WRITING.turn():
            texts.advance()
    st.session_state["written"] = texts.texts[0].text
    readers = copied.followed(texts, loaders.text_of(run))
    writing(
        texts,
        file=run.slug.replace("/", "-"),
        about={state.RUN: run.slug, **texts.config.model_dump(exclude={"seed", "samples"})},
        ways=ways(run, model, texts.config),
        passages=[[Passage(*each) for each in reader.ranges()] for reader in readers],
        key="write.desk",
    )
    if readers:
        tell.caption(copied.longest(readers))
    if texts.done and st.session_state.get("writing"):
        st.session_state["writing"] = False
        st.rerun()  # Stop has nothing to stop any more


@st.fragment(key=HALT)
def stop(texts: Writing | None) -> None:
    """Draw the button that ends the texts."""
    st.button(
        "Stop",
        icon=":material/stop:",
        on_click=halt_texts,
        disabled=not texts or texts.done,
        key="write.stop",
        help="Keeps what has been written so far.",
    )


def halt_texts() -> None:
    """End the texts and say so, without the rest of the page: it would be drawn before the word stands there."""
    end()
    st.rerun([DESK, HALT])


def unread(prompt: str, context: int | None) -> None:
    """Say which part of a prompt the model reads, if it is not all of it."""
    if context is not None and len(prompt) > context:
        start = inline(spelled(prompt[-context:][:16]) + "…")
        st.caption(f"Read are the last {context:,} of these {len(prompt):,} characters, from {start} on.")


def never(config: WritingConfig, tokenizer: Any) -> None:
    """Say why a stop string cannot come, if so."""
    if config.stop != "string":
        return
    string = tokenizer.meant(config.stop_at)
    if not string:
        st.caption("Give the string to stop at under Settings; without one the length ends the text.")
    elif lacking := tokenizer.unknown(string):
        st.caption(f"This model never writes {inline(numbered(lacking))}, so the length ends the text.")


state.notices()
usable = runs.usable_runs()
if not usable:
    st.info("No model has been trained yet. Train one first: the bigram takes seconds.", icon=":material/edit_off:")
    link_to_first_rung()
    end()
    st.stop()
best = runs.best_of_the_text(list(usable.values()))
left, right = st.columns([2, 3], gap="medium")
with left:
    run = run_picker("Model", usable, best.slug, runs.named, "Any run with saved weights, finished or not.")
    buttons = st.container(horizontal=True, gap="small")
with right:
    default = openings(run).line
    begin(PROMPT, default, st.query_params.get(state.PROMPT))
    typed = st.text_area(
        "Prompt",
        key=PROMPT,
        persist_state="session",
        height=92,
        max_chars=LONGEST,
        help="The model goes on from here. It knows the characters of its own text only.",
    )
    into_url(state.PROMPT, typed, default)
    st.session_state[f"{PROMPT}.asked"] = st.query_params.get(state.PROMPT)
try:
    model, tokenizer = loaders.model(run)
except BardlabError as error:
    end()
    tell.error(str(error), icon=":material/error:")
    st.stop()
with right:
    prompt = known(typed, tokenizer, PROMPT, default)
    unread(prompt, model.context)
texts: Writing | None = st.session_state.get(TEXTS)
if texts and (texts.prompt != prompt or st.session_state[AUTHOR] != run.slug):
    end()
with buttons:
    go, halt = st.container(width="content"), st.container(width="content")
    more = st.popover("Settings", icon=":material/tune:", help="Seed, cuts, and what is done beyond the context.")
with st.container(key="write-all"):
    values = in_view.settings("write", WritingConfig, USUAL, settings)
    with st.container(key="paper"):
        config = WritingConfig.parse(values)
        never(config, tokenizer)
        if st.session_state.get("writing") and prompt and texts is None:
            texts = st.session_state[TEXTS] = Writing(model, tokenizer, prompt, config)
            st.session_state[AUTHOR] = run.slug
        if texts:
            desk(run, model)
        else:
            for sample in records.samples(run.path)[-1:]:
                tell.paper(sample.prompt + sample.text, "sample", SAMPLE_HEIGHT)
                st.caption(
                    f"What it wrote at step {sample.step:,} of its training. Press Write for a text of your own: "
                    "each of its characters can be asked what it was drawn from."
                )
with go:
    st.button(
        "Write",
        type="primary",
        icon=":material/play_arrow:",
        on_click=start,
        disabled=not prompt,
        key="write.go",
        help="Draws one character after another from the model. Pressed again, it takes the next seed.",
    )
with halt:
    stop(texts)
