"""Patching: carry one activation of another prompt's run over into this one, and see what the prediction becomes."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from core.errors import BardlabError
from core.inspect.interventions import patching
from core.inspect.interventions.patching import Reading, Site
from core.runs import checkpoints, reading
from core.runs.openings import openings
from core.runs.state import Run
from core.texts.labels import spelled, visible
from core.texts.tokenizer import CharTokenizer
from pages.ui import loaders, tell
from pages.ui.address import whole_number
from pages.ui.choosers import in_view
from pages.ui.choosers.prompt import known
from pages.ui.components.grids.cell_grid import Cell, cell_grid
from pages.ui.plots.colours import tint
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import character_bars, heat
from pages.ui.wording import chance, inline, plain

AT = "at"
"""The URL's query parameter that holds the layer and position patched, such as `3.7`."""
SHOWN = 10  # characters in the chart of predictions


@st.cache_data(max_entries=128, show_spinner=False)
def _reading(slug: str, step: int | None, weights: str, ids: tuple[int, ...]) -> Reading:
    model, _ = loaders.model(reading.find(slug), step)
    return patching.reading(model, ids)


@st.cache_data(max_entries=128, show_spinner="Patching every layer and position")
def _sweep(
    where: tuple[str, int | None, str],
    a: tuple[int, ...],
    b: tuple[int, ...],
    site: Site,
    pair: tuple[int, int],
    head: int | None,
) -> NDArray[np.float64]:
    model, _ = loaders.model(reading.find(where[0]), where[1])
    return patching.sweep(model, a, b, site, pair, head)


@st.cache_data(max_entries=128, show_spinner=False)
def _patched(
    where: tuple[str, int | None, str],
    a: tuple[int, ...],
    b: tuple[int, ...],
    site: Site,
    layer: int,
    position: int,
    head: int | None,
) -> Reading:
    model, _ = loaders.model(reading.find(where[0]), where[1])
    return patching.run_patched(model, a, b, site, layer, position, head)


def patch_view(run: Run, step: int | None) -> None:
    """Draw two prompts, the sweep over layers and positions, and the run that is patched where it is clicked."""
    where = (run.slug, step, checkpoints.fingerprint(run, step))
    model, tokenizer = loaders.model(run, step)
    kinds = patching.sites(model)
    left, right, *answers_at = st.columns([5, 5, 4, 4], gap="medium")
    this, other = openings(run).pair
    with left:
        a = _prompt("This prompt", "a", this, "The one whose prediction is to change.", tokenizer, model.context)
    with right:
        b = _prompt(
            "The other prompt", "b", other, "The one that an activation is taken from.", tokenizer, model.context
        )
    if a is None or b is None:
        return
    ids, others = tuple(tokenizer.encode(a)), tuple(tokenizer.encode(b))
    try:
        patching.same_length(ids, others)
        mine, theirs = _reading(*where, ids), _reading(*where, others)
        usual = patching.answers(mine, theirs)
    except BardlabError as error:
        tell.info(f"{str(error)[0].upper()}{str(error)[1:]}.", icon=":material/swap_horiz:")
        return
    with st.container(horizontal=True, gap="medium"):
        site, head = _site(kinds)
    pair = _pair(tokenizer, usual, a, b, answers_at)
    grid = _sweep(where, ids, others, site, pair, head)
    share = patching.recovered(grid, mine, theirs, pair)
    layer, position = _at(share)
    _effects(run, share, a, b, (layer, position), site, tokenizer, pair)
    result = _patched(where, ids, others, site, layer, position, head)
    _predictions(tokenizer, {"this prompt": mine, "the other": theirs, "patched": result})
    if mine.lens is not None and theirs.lens is not None and result.lens is not None:
        _lenses(tokenizer, a, b, mine.lens, theirs.lens, result.lens, layer, position)


# --- what is asked ---------------------------------------------------------------------------------------------------


def _prompt(label: str, key: str, usual: str, help: str, tokenizer: CharTokenizer, context: int | None) -> str | None:
    """Return a prompt as the model reads it; None, with one line that says why, if there is nothing to read."""
    text = in_view.text(st.text_area, label, name=key, default=usual, longest=2000, height=68, help=help)
    text = known(text, tokenizer, key, usual)
    if not text:
        return None
    longest = patching.LONGEST if context is None else min(context, patching.LONGEST)
    if len(text) > longest:
        why = "what the model can look back on" if longest == context else "what is swept"
        start = inline(spelled(text[-longest:][:12]))
        st.caption(f"{len(text)} characters; shown are the last {longest:,}, {why}: from {start} on.")
        text = text[-longest:]
    return text


def _site(kinds: Sequence[Site]) -> tuple[Site, int | None]:
    by_key = {site.key: site for site in kinds}
    key = st.segmented_control(
        "What is carried over",
        list(by_key),
        default=next(iter(by_key)),
        required=True,
        key="site",
        bind="query-params",
        label_visibility="collapsed",
        help="\n".join(f"- **{site.key}**: {site.title}" for site in kinds),
    )
    site = by_key.get(key, kinds[0])
    if not site.heads:
        return site, None
    head = st.segmented_control(
        "Of which head",
        ["all", *range(site.heads)],
        default="all",
        required=True,
        key="head",
        bind="query-params",
        label_visibility="collapsed",
        help="One head's z alone, or all of them together.",
    )
    return site, head if isinstance(head, int) and head < site.heads else None


def _pair(
    tokenizer: CharTokenizer, usual: tuple[int, int], a: str, b: str, columns: Sequence[DeltaGenerator]
) -> tuple[int, int]:
    """Draw the choice of the two characters between which the prediction moves."""
    found = []
    about = (("answer", "Answer to this prompt", "loses"), ("answer2", "Answer to the other", "gains"))
    for column, (name, label, verb), at in zip(columns, about, usual, strict=True):
        chosen = in_view.choice(
            column.selectbox,
            plain(label),
            list(range(tokenizer.size)),
            name=name,
            default=at,
            said=tokenizer.chars.__getitem__,
            key=f"patch.{name}.{at}.{zlib.crc32((a + b).encode())}",
            format_func=lambda i: visible(tokenizer.chars[i]),
            help=f"At first the character that {plain(verb)} most from this prompt's prediction to the other's. The "
            "effect is the difference of the two characters' log-probabilities.",
        )
        found.append(chosen)
    return found[0], found[1]


def _at(share: NDArray[np.float64]) -> tuple[int, int]:
    """Return the layer and position patched: as the URL says, else where the effect is largest."""
    first, _, second = st.query_params.get(AT, "").partition(".")
    layer, position = whole_number(first, 0, share.shape[0] - 1), whole_number(second, 0, share.shape[1] - 1)
    if layer is not None and position is not None:
        return layer, position
    if not np.isfinite(share).all():
        return 0, share.shape[1] - 1
    strongest = np.unravel_index(int(np.abs(share).argmax()), share.shape)
    return int(strongest[0]), int(strongest[1])


# --- what comes out --------------------------------------------------------------------------------------------------


def _columns(a: str, b: str) -> list[str]:
    return [visible(x) if x == y else f"{visible(x)}\n{visible(y)}" for x, y in zip(a, b, strict=True)]


def _effects(
    run: Run,
    share: NDArray[np.float64],
    a: str,
    b: str,
    at: tuple[int, int],
    site: Site,
    tokenizer: CharTokenizer,
    pair: tuple[int, int],
) -> None:
    first, second = (visible(tokenizer.chars[i]) for i in pair)
    if not np.isfinite(share).all():
        st.info(
            "These two characters do not tell the prompts apart. Choose two others.", icon=":material/compare_arrows:"
        )
        return

    def pick(key: str) -> None:
        st.query_params[AT] = key

    rows = []
    for layer, values in enumerate(share):
        cells: list[Cell | None] = []
        for position, value in enumerate(values):
            fill, ink = tint(value, 1.0)
            title = f"layer {layer}, position {position} “{visible(a[position])}”: {value:.4f} recovered"
            chosen = "chosen" if (layer, position) == at else ""
            text = f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−")
            cells.append(Cell(f"{layer}.{position}", text, title, fill, ink, chosen))
        rows.append((f"layer {layer}", cells))
    cell_grid("Effect of patching", _columns(a, b), rows, key="patch.effects", on_pick=pick)
    st.header("Where the difference is")
    st.caption(
        f"Each cell: {site.key}, {site.title}, at that position only, taken from the other prompt's run. The number is "
        f"the share of the way that the prediction then moves from “{plain(first)}” to “{plain(second)}”: 0 as it was, "
        "1 as for the other prompt. Where the prompts differ, the other's character stands below. **Click a cell "
        "to look into it.**"
    )
    table = pd.DataFrame(share, columns=range(len(a)), index=pd.RangeIndex(len(share), name="layer"))
    with st.expander("The same as a figure, and as a table"):
        labels = [f"{i} {name.replace(chr(10), '/')}" for i, name in enumerate(_columns(a, b))]
        rows_named = [f"layer {i}" for i in range(len(share))]
        plot(heat(share, labels, rows_named, "recovered"), "patch.figure")
        st.download_button(
            "Effects (.csv)",
            table.to_csv().encode(),
            f"patching-{run.path.name}-{site.key}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="patch.csv",
            help="Rows are layers, columns positions.",
        )


def _predictions(tokenizer: CharTokenizer, readings: Mapping[str, Reading]) -> None:
    chances = {name: np.exp(each.log_probs) for name, each in readings.items()}
    order = np.argsort(-np.max(list(chances.values()), axis=0))[:SHOWN]
    characters = "".join(tokenizer.chars[i] for i in order)
    st.markdown("**The next character** by each prompt, and by this one with the chosen activation carried over")
    series = {name: values[order] for name, values in chances.items()}
    figure = character_bars(characters, series, "", "probability", height=260)
    plot(figure, "patch.bars")


def _lenses(
    tokenizer: CharTokenizer,
    a: str,
    b: str,
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    result: NDArray[np.float64],
    layer: int,
    position: int,
) -> None:
    """Three grids of the logit lens: this prompt, the other, and the patched run with its causal cone."""
    st.header("What each layer would say")
    st.caption(
        "The likeliest next character if the model stopped there (logit lens): the residual stream, read off as after "
        "the last layer. Purple: how likely it is."
    )
    left, right = st.columns(2, gap="medium")
    for column, title, text, lens in ((left, "This prompt", a, mine), (right, "The other", b, theirs)):
        with column:
            st.markdown(f"**{plain(title)}**")
            rows = [(name, [_said(tokenizer, p) for p in line]) for name, line in zip(_rows(lens), lens, strict=True)]
            named = [(name, [Cell(f"{name}.{i}", *cell) for i, cell in enumerate(cells)]) for name, cells in rows]
            cell_grid(title, [visible(c) for c in text], named, key=f"patch.lens.{title}")
    st.markdown("**This prompt, patched**")
    st.caption(
        f"Underlined: what layer {layer:d} at position {position:,} can reach, the causal cone. Orange: how much of "
        "the probability has moved there."
    )
    moved = np.abs(result - mine).sum(-1) / 2  # (1+L, T) total variation distance
    rows_shown: list[tuple[str, list[Cell | None]]] = []
    for r, name in enumerate(_rows(result)):
        cells: list[Cell | None] = []
        for t in range(len(a)):
            text, title, _, _ = _said(tokenizer, result[r, t])
            before, _, _, _ = _said(tokenizer, mine[r, t])
            fill, ink = tint(float(moved[r, t]), 1.0) if moved[r, t] > 1e-6 else ("", "")
            cone = "cone" if r > layer and t >= position else ""
            cells.append(
                Cell(f"{name}.{t}", text, f"{title}; it was {before}, {moved[r, t]:.0%} moved", fill, ink, cone)
            )
        rows_shown.append((name, cells))
    cell_grid("Patched", [visible(c) for c in a], rows_shown, key="patch.lens.patched")


def _rows(lens: NDArray[np.float64]) -> list[str]:
    return ["embed", *(f"layer {i}" for i in range(len(lens) - 1))]


def _said(tokenizer: CharTokenizer, chances: NDArray[np.float64]) -> tuple[str, str, str, str]:
    top = np.argsort(-chances)[:3]
    names = ", ".join(f"{visible(tokenizer.chars[i])} {chance(float(chances[i]))}" for i in top)
    fill, ink = tint(-float(chances[top[0]]), 1.0)
    return visible(tokenizer.chars[top[0]]), names, fill, ink
