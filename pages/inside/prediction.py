"""From a prompt to the next character, layer by layer and part by part."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.inspect.lens import has_stream, next_logits
from core.runs.openings import openings
from core.runs.state import Run
from core.texts.labels import spelled, visible
from pages.ui import loaders, state, teaching, wording
from pages.ui.address import number_from_url
from pages.ui.choosers import in_view, runs, weights
from pages.ui.choosers.prompt import begin, known
from pages.ui.components.grids.lens_grid import lens_grid
from pages.ui.components.texts.next_character import SLIDERS, Branch, next_character
from pages.ui.inside_views import predictions, price_tag
from pages.ui.inside_views.salience import salience_view
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import contributions
from pages.ui.run.setting_names import in_words
from pages.ui.wording import plain

LONGEST = 2000
SHOWN = 64  # positions of the lens
PROMPT, ROOT, LEAVES, CELL = "prediction.prompt", "prediction.root", "prediction.leaves", "prediction.cell"
VIEWS = {"next": "Next character", "lens": "Logit lens", "salience": "Salience"}


def set_prompt(text: str, default: str) -> None:
    """Change the prompt from a callback."""
    st.session_state[PROMPT] = text
    weights.into_url("prompt", text, default)


def start_from(text: str) -> None:
    """Branches start from this prompt."""
    st.session_state[ROOT], st.session_state[LEAVES] = text, []


def prompt_box(default: str) -> str:
    """The prompt as typed or appended to; the URL's, when the page is opened by a link."""
    before = st.session_state.get(PROMPT)
    begin(PROMPT, default, st.query_params.get("prompt"), LONGEST)
    if st.session_state[PROMPT] != before or ROOT not in st.session_state:
        start_from(st.session_state[PROMPT])
    text: str = st.text_area(
        "Prompt",
        key=PROMPT,
        on_change=lambda: start_from(st.session_state[PROMPT]),
        persist_state="session",
        height=68,
        max_chars=LONGEST,
        help="What the model reads. It knows the characters of its own text only.",
    )
    weights.into_url("prompt", text, default)
    st.session_state[f"{PROMPT}.asked"] = st.query_params.get("prompt")
    return text


def reach_note(run: Run, model: Any, text: str) -> None:
    """Say which part of a prompt longer than the context the prediction can see."""
    reach = model.context
    if reach is not None and len(text) > reach:
        seen = wording.inline(spelled(text[-reach:][:16]) + "…")
        here = f"the last {reach:,} of these {len(text)} characters"
        st.caption(f"{plain(run.name)} sees {here}, from {seen} on.")


def act(default: str, done: dict[str, Any]) -> None:
    """Do to the prompt what was done in the component: append, go back, or go to a branch."""
    text, root, leaves = done["text"], st.session_state[ROOT], st.session_state[LEAVES]
    if done["kind"] == "append":
        if len(text) >= LONGEST:
            state.say_error(f"the prompt has reached {LONGEST} characters; shorten it to go on")
            return
        added = text[len(root) :]
        longer = added + str(done["character"])[:1]
        if added in leaves:
            leaves[leaves.index(added)] = longer
        elif not any(leaf.startswith(longer) for leaf in leaves):
            leaves.append(longer)
        st.session_state[LEAVES] = leaves[-30:]
        set_prompt(root + longer, default)
    elif done["kind"] == "back" and len(text) > len(root):
        set_prompt(text[:-1], default)
    elif done["kind"] == "go":
        set_prompt(root + done["to"], default)
    for name, value in done["settings"].items():
        weights.into_url(name, value)


def next_view(run: Run, step: int | None, model: Any, tokenizer: Any, text: str) -> None:
    """All bars, the arithmetic, and the branches."""
    root = st.session_state[ROOT]
    leaves = [leaf for leaf in st.session_state[LEAVES] if not tokenizer.unknown(leaf)]
    branches = [Branch(leaf, predictions.log_prob(run, step, root, leaf)) for leaf in leaves]
    next_character(
        next_logits(model, tokenizer.encode(text)).numpy(),
        tokenizer.chars,
        text=text,
        root_text=root,
        branches=sorted(branches, key=lambda b: -b.nats),
        model=f"{run.slug}/{step}",
        words={name: in_words(name) for name in SLIDERS},
        act=partial(act, openings(run).sentence),
        key="next-character",
    )
    st.caption(
        "All characters the model knows, each with its true probability. Move a slider: the bars follow from the same "
        "logits, the model is not asked again. Point at a bar for its arithmetic, click to keep it, double-click or "
        "press Enter to append it."
    )


def chosen_cell(row: int, position: int) -> None:
    """Remember the cell that was clicked; the URL gets it when it is drawn."""
    st.session_state[CELL] = (row, position)


def _number(name: str, default: int) -> int:
    asked = number_from_url(name)
    return default if asked is None else asked


def lens_view(run: Run, step: int | None, model: Any, tokenizer: Any, text: str) -> None:
    """The lens, and below it the parts of the prediction at the chosen position."""
    if not has_stream(model):
        st.info(
            f"A {plain(run.need().rung.title)} has no residual stream: each of its layers replaces what came before, "
            "so there is nothing to read in between. The runs of these rungs have one:",
            icon=":material/layers_clear:",
        )
        runs.link_rungs_with_a_stream()
        return
    readable = model.readable(len(text))
    shown = min(readable, SHOWN)
    first = len(text) - shown
    found = predictions.lens_of(run, step, text, shown)
    asked = (_number("row", len(found.rows) - 1), _number("position", len(text)) - 1)
    row, position = st.session_state.get(CELL, asked)
    row, position = min(row, len(found.rows) - 1), min(max(position, first), len(text) - 1)
    weights.into_url("row", row, len(found.rows) - 1)
    weights.into_url("position", position + 1, len(text))
    lens_grid(found, tokenizer.chars, text[first:], first, (row, position), chosen=chosen_cell, key="lens")
    st.caption(
        "What the model would say if it stopped after each layer: the residual stream, the vector that every layer "
        "adds to, read with the model's own last step. The top row is the prediction itself. Early layers were not "
        "trained to be read, so take them as hints."
        + (f" Shown are the last {shown:,} of {len(text)} characters." if first else "")
    )
    if model.skip_scale == 0:
        st.caption("This network has no skip connections (skip 0): its layers replace the stream instead of adding.")
    parts_view(run, step, tokenizer, text, position)


@teaching.part("parts")
def parts_view(run: Run, step: int | None, tokenizer: Any, text: str, position: int) -> None:
    """Who speaks for and against each character at one position."""
    found = predictions.parts_of(run, step, text, position - len(text))
    values, characters = found.centred, tokenizer.chars
    order = np.argsort(-found.logits, kind="stable")
    st.header("Who says so")
    here = f"character {position + 1:,}, {wording.inline(visible(text[position]))}"
    st.markdown(
        f"The prediction after {here}, as a sum: every head and every feed-forward layer wrote "
        "into the residual stream, and each one's writing goes straight to the logits."
    )
    st.caption(
        "LayerNorm's scale is held at the value it had here; with it, the rows add up to the logits exactly. Shown is "
        "each part's contribution less its mean over the characters, which no probability depends on. What a part "
        "does through later parts counts as theirs."
    )
    target = in_view.choice(
        st.selectbox,
        "Character",
        order.tolist(),
        name="of",
        said=characters.__getitem__,
        format_func=lambda i: visible(characters[i]),
        key=f"prediction.target.{run.slug}",
        help="The last column says what each part adds to this character's logit; likeliest first.",
    )
    names = [visible(c) for c in characters]

    def said(row: Any, sign: int) -> str:
        best = np.argsort(-sign * row, kind="stable")[:5]
        return "  ".join(f"{names[i]} {row[i]:+.2f}" for i in best if sign * row[i] > 0)

    table = pd.DataFrame(
        {
            "part": found.parts,
            "promotes": [said(row, 1) for row in values],
            "suppresses": [said(row, -1) for row in values],
            "adds": values[:, target],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height=min(700, 38 + 35 * len(table)),
        column_config={
            "part": st.column_config.TextColumn("Part", help="L0 H2: head 2 of layer 0, counted from 0."),
            "promotes": st.column_config.TextColumn("Promotes", help="The five characters it adds most to."),
            "suppresses": st.column_config.TextColumn("Suppresses", help="The five it takes most from."),
            "adds": st.column_config.NumberColumn(
                f"To {names[target]}", format="%+.4f", help="What it adds to this character's logit, less its mean."
            ),
        },
    )
    shift = found.logits[target] - found.logits.mean()
    st.caption(
        f"The column To {plain(names[target])} adds up to {values[:, target].sum():+.4f}: its logit "
        f"{found.logits[target]:.4f} less the mean of all logits {found.logits.mean():.4f} is {shift:+.4f}."
    )
    figure = contributions(values[:, order], found.parts, [characters[i] for i in order])
    plot(figure, "contributions")


state.notices()
left, middle, right = st.columns([5, 4, 7], gap="medium")
with left:
    run = runs.choose_run()
with middle:
    step = weights.choose_weights(run)
model, tokenizer = loaders.model(run, step)
with right:
    default = openings(run).sentence
    text = known(prompt_box(default), tokenizer, PROMPT, default)
    if text:
        reach_note(run, model, text)
root = tokenizer.drop_unknown(st.session_state[ROOT])
if not text.startswith(root):
    root, st.session_state[LEAVES] = text, []
st.session_state[ROOT] = root
view = weights.choose_view(
    VIEWS, "The next character's bars, what the layers make of each position, or which characters it rests on."
)
if text:
    if view == "salience":
        salience_view(run, step, text)
    else:
        (next_view if view == "next" else lens_view)(run, step, model, tokenizer, text)
price_tag.price_tag(run, step)
