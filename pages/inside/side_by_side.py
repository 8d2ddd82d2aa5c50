"""The ladder on one stage: every rung writes from the same prompt, with the same seed and temperature."""

import math

import streamlit as st

from core.errors import BardlabError
from core.runs.openings import openings
from core.runs.state import Run
from core.sampling import SamplingConfig
from core.settings import FieldInfo
from core.studies.standings import title_of
from core.texts.tokenizer import CharTokenizer
from pages.ui import state, tell, wording
from pages.ui.choosers import runs, weights
from pages.ui.choosers.prompt import begin, known
from pages.ui.components.texts.side_by_side import Column, side_by_side
from pages.ui.inside_views import predictions, price_tag
from pages.ui.navigation import link_to_first_rung
from pages.ui.plots.colours import place_of
from pages.ui.run.config_form import label_of

LONGEST = 500
PROMPT = "stage.prompt"
TOKENS = (50, 100, 200, 400)


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


def settings() -> SamplingConfig:
    """How many characters, how boldly, with which seed."""
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
    for name, value in chosen.items():
        weights.into_url(name, value, defaults[name])
    return SamplingConfig.parse(chosen)


def column(run: Run, prompt: str, config: SamplingConfig) -> Column:
    """One model's text, and what the model is worth."""
    with st.spinner(f"{wording.plain(run.name)} writes"):
        written = predictions.continued(run, prompt, config)
    loss = price_tag.val_loss(run)
    known = loss is not None and math.isfinite(loss)
    facts = [
        ("parameters", f"{run.status.parameters or 0:,}"),
        ("validation", wording.loss(loss)),
        ("bits", f"{loss / math.log(2):.3f}" if known and loss is not None else "–"),
        ("choices", f"{math.exp(loss):.2f}" if known and loss is not None else "–"),
        ("own text", f"{written.bits.mean():.3f} bits"),
        ("speed", f"{written.per_second:,.0f}/s"),
    ]
    return Column(title_of(run), run.label, facts, written.text, written.bits, place_of(run))


state.notices()
fits = runs.usable_runs()
if not fits:
    st.info("No model has been trained yet. Train some rungs first; each takes seconds.", icon=":material/search:")
    link_to_first_rung()
    st.stop()
left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
with right:
    fits = runs.choose_text(fits)
    with st.container(horizontal=True, gap="small"):
        with st.popover(
            "Models", icon=":material/view_column:", help="Which models write: at first the best of each rung."
        ):
            chosen = runs.choose_runs(
                "Models", fits, runs.best_of_each_rung(fits), "stage.with", "At first the best run of each rung."
            )
        config = settings()
with left:
    first = next(iter(fits.values()))  # all of them share its alphabet
    default = openings(first).line
    typed = prompt_box(default)
prompt = known(typed, CharTokenizer(first.need().characters), PROMPT, default)
columns = []
for run in chosen if prompt else []:
    try:
        columns.append(column(run, prompt, config))
    except BardlabError as error:  # one that cannot write leaves the others alone
        tell.warning(f"{run.name}: {error}", icon=":material/broken_image:")
if columns:
    side_by_side(prompt, columns, key="stage")
    st.caption(
        "One prompt, one seed, one temperature. Each column is written by one model, and each character is tinted by "
        "how surprising it was to its own writer (at temperature 1): pale is routine, deep is a risk taken. "
        "Validation: nats a character over the validation split. Choices: e^loss, as unsure as an even choice among so "
        "many. Own text: mean surprise at what it wrote itself, low for a model that repeats itself. Speed: characters "
        "a second on this machine; the text appears at one pace for all."
    )
elif prompt and not chosen:
    st.info("Choose at least one model.", icon=":material/view_column:")
