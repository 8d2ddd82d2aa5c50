"""The ladder on one stage: every rung writes from the same prompt, with the same seed and temperature."""

import math
import time
from collections.abc import Sequence

import streamlit as st

from core.errors import BardlabError
from core.runs.openings import openings
from core.runs.state import Run
from core.sampling import SamplingConfig
from core.settings import FieldInfo
from core.studies.standings import title_of
from core.texts.tokenizer import CharTokenizer
from pages.ui import loaders, state, tell, wording
from pages.ui.choosers import in_view, runs, weights
from pages.ui.choosers.prompt import begin, known
from pages.ui.components.texts.side_by_side import Column, side_by_side
from pages.ui.inside_views import predictions, price_tag
from pages.ui.navigation import link_to_first_rung
from pages.ui.plots.colours import place_of
from pages.ui.run.config_form import label_of

LONGEST = 500
PROMPT = "stage.prompt"
TOKENS = (50, 100, 200, 400)
SLICE = 0.15
"""Seconds that the models write before the browser gets what there is."""


def prompt_box(default: str) -> str:
    """The prompt: the URL's, when the page is opened by a link, else how the text begins."""
    begin(PROMPT, default, st.query_params.get("prompt"), LONGEST)
    text: str = st.text_area(
        "Prompt", key=PROMPT, persist_state="session", height=68, max_chars=LONGEST, help="All of them go on from here."
    )
    weights.into_url("prompt", text, default)
    st.session_state[f"{PROMPT}.asked"] = st.query_params.get("prompt")
    return text


def asked(field: FieldInfo, default: float) -> float:
    """A setting in the URL, if it is in range."""
    try:
        value = type(default)(st.query_params.get(field.name, default))
    except ValueError:
        return default
    return value if (field.low or 0) <= value <= (field.high or math.inf) else default


def settings() -> tuple[SamplingConfig, bool]:
    """How many characters, how boldly, with which seed, and whether in step."""
    fields = {field.name: field for field in SamplingConfig.fields()}
    key = {name: f"stage.{name}" for name in ("tokens", "temperature", "seed")}
    defaults = {"tokens": 200, "temperature": 0.8, "seed": fields["seed"].default}
    for name, default in defaults.items():
        st.session_state.setdefault(key[name], asked(fields[name], default))
    if st.session_state[key["tokens"]] not in TOKENS:
        st.session_state[key["tokens"]] = defaults["tokens"]
    with st.popover("Settings", icon=":material/tune:", help="How many characters, how boldly, with which seed."):
        temperature, seed = fields["temperature"], fields["seed"]
        chosen = {
            "tokens": st.select_slider(
                label_of(fields["tokens"]),
                TOKENS,
                key=key["tokens"],
                persist_state="session",
                help=fields["tokens"].help,
            ),
            "temperature": st.slider(
                label_of(temperature),
                float(temperature.low or 0),
                float(temperature.high or 3),
                step=temperature.step,
                key=key["temperature"],
                persist_state="session",
                help=temperature.help,
            ),
            "seed": st.number_input(
                label_of(seed),
                int(seed.low or 0),
                int(seed.high or 0),
                step=1,
                key=key["seed"],
                persist_state="session",
                help=seed.help,
            ),
        }
        in_step = pace() == "step"
    for name, value in chosen.items():
        weights.into_url(name, value, defaults[name])
    return SamplingConfig.parse(chosen), in_step


def pace() -> str:
    """Whether each model writes as fast as it can, or all keep in step."""
    return in_view.choice(
        st.segmented_control,
        "Pace",
        ["own", "step"],
        name="pace",
        key="stage.pace",
        format_func={"own": "each its own", "step": "in step"}.__getitem__,
        required=True,
        help="Each its own: all get the same time, so the quick ones are ahead. In step: one character each in turn.",
    )


def of_other_texts(others: dict[str, Run]) -> list[Run]:
    """Draw the choice of models that read other texts, and write beside these from the same prompt."""
    return runs.choose_runs(
        "Of other texts",
        others,
        [],
        "stage.also",
        "They go on from the same prompt, less the characters that they have never seen. Their losses are on their own "
        "text and not to be compared with the others.",
        name="also",
    )


def column(run: Run, written: predictions.Continued, text: str | None) -> Column:
    """What one model has written so far, and what the model is worth; `text` is said of those that read another."""
    loss = price_tag.val_loss(run)
    known = loss is not None and math.isfinite(loss)
    count = len(written.bits)
    facts = [
        ("parameters", f"{run.status.parameters or 0:,}"),
        ("validation", wording.loss(loss)),
        ("bits", f"{loss / math.log(2):.3f}" if known and loss is not None else "–"),
        ("choices", f"{math.exp(loss):.2f}" if known and loss is not None else "–"),
        ("own text", f"{sum(written.bits) / count:.3f} bits" if count else "–"),
        ("speed", f"{count / written.seconds:,.0f}/s" if count else "–"),
    ]
    facts += [("read", text)] if text else []
    title, hue = title_of(run), place_of(run)
    return Column(run.slug, title, run.label, facts, written.text[:count], written.bits[:count], written.done, hue)


def write_on(texts: Sequence[predictions.Continued], in_step: bool) -> None:
    """Let all that are not whole go on for a slice of time."""
    began = time.perf_counter()
    writing = [text for text in texts if not text.done]
    if not in_step:
        for text in writing:
            text.go_on(SLICE / len(writing))
        return
    while writing and time.perf_counter() - began < SLICE:
        length = 1 + min(len(text.bits) for text in writing)
        for text in writing:
            text.go_on(SLICE, length)
        if all(len(text.bits) < length and not text.done for text in writing):
            return  # another session is at all of them
        writing = [text for text in writing if not text.done]


@st.fragment
def stage(slugs: Sequence[str], prompt: str, config: SamplingConfig, in_step: bool) -> None:
    """Let the models write a little more, and draw what there is; the browser asks again until all are done."""
    found = []
    for slug in slugs:
        try:
            run = loaders.present(slug)
            known_to_it = CharTokenizer(run.need().characters).drop_unknown(prompt)
            if not known_to_it:
                raise BardlabError("has never seen a character of the prompt")
            found.append((run, predictions.continued(run, known_to_it, config)))
        except BardlabError as error:  # one that cannot write leaves the others alone
            tell.warning(f"{slug}: {error}", icon=":material/broken_image:")
    if not found:
        return
    write_on([text for _, text in found], in_step)
    first = found[0][0].need().corpus
    columns = [column(run, text, None if run.need().corpus == first else titled(run)) for run, text in found]
    side_by_side(prompt, columns, about=config.model_dump_json(), key="stage")


def titled(run: Run) -> str:
    """The title of the text that a run read."""
    text = loaders.text_of(run)
    return text.title if text else "a text that is gone"


state.notices()
usable = runs.usable_runs()
if not usable:
    st.info("No model has been trained yet. Train some rungs first; each takes seconds.", icon=":material/search:")
    link_to_first_rung()
    st.stop()
left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
with right:
    fits = runs.choose_text(usable)
    with st.container(horizontal=True, gap="small"):
        with st.popover(
            "Models", icon=":material/view_column:", help="Which models write: at first the best of each rung."
        ):
            chosen = runs.choose_runs(
                "Models", fits, runs.best_of_each_rung(fits), "stage.with", "At first the best run of each rung."
            )
            others = {slug: run for slug, run in usable.items() if slug not in fits}
            also = of_other_texts(others) if others else []
        config, in_step = settings()
with left:
    first = next(iter(fits.values()))  # all of them share its alphabet
    default = openings(first).line
    typed = prompt_box(default)
prompt = known(typed, CharTokenizer(first.need().characters), PROMPT, default)
chosen = [*chosen, *also]
if chosen and prompt:
    stage([run.slug for run in chosen], prompt, config, in_step)
    st.caption(
        "One prompt, one seed, one temperature. Each column is written by one model while you look, and each character "
        "is tinted by how surprising it was to its own writer (at temperature 1): pale is routine, deep is a risk "
        "taken. Validation: nats a character over the validation split. Choices: e^loss, as unsure as an even choice "
        "among so many. Own text: mean surprise at what it wrote itself, low for a model that repeats itself. Speed: "
        "characters a second of its own time on this machine."
    )
elif prompt:
    st.info("Choose at least one model.", icon=":material/view_column:")
