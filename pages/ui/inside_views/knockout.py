"""The knock-out board: click a part off, and see what the loss and the text make of it."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from core.inspect.interventions import price_list
from core.inspect.interventions.ablation import METHODS, Bench, Effect, Method, redundancy
from core.inspect.interventions.price_list import PriceList
from core.jobs import rankings
from core.models.answers import Part
from core.runs import checkpoints, layout, reading
from core.runs.folder import State
from core.runs.openings import openings
from core.runs.state import Run
from core.sampling import SamplingConfig
from core.texts.labels import visible
from pages.ui import loaders, state, teaching, tell
from pages.ui.choosers import in_view
from pages.ui.choosers.prompt import known
from pages.ui.components.grids.cell_grid import Cell, cell_grid
from pages.ui.components.texts.marked_text import marked_text
from pages.ui.inside_views.healing import healing_view
from pages.ui.plots.colours import tint
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import changes
from pages.ui.wording import GONE, plain

OFF = "off"
"""The URL's query parameter that holds what is switched off, such as `0.2,1.mlp`."""
UNASKED = 20.0
"""Seconds that ranking all parts may take if nobody has asked for it."""
WRITTEN = 240  # characters of the two samples
FINE = 0.005  # nats: below, colour grows in proportion, above with the logarithm
SINGLES = 6  # up to so many parts, each is also switched off alone, to tell whether they cover for each other


@st.cache_resource(max_entries=3, show_spinner="Measuring with everything on")
def _bench(slug: str, step: int | None, weights: str, text: str) -> tuple[Bench, float]:
    """The bench, and the seconds that a look at the evaluation set took."""
    run = reading.find(slug)
    model, _ = loaders.model(run, step)
    corpus = loaders.corpus(run.need().corpus)
    began = time.perf_counter()
    return Bench(model, corpus), time.perf_counter() - began


@st.cache_data(max_entries=256, show_spinner="Measuring on the evaluation set")
def _effect(_bench: Bench, where: tuple[object, ...], keys: tuple[str, ...], method: Method) -> Effect:
    return _bench.effect(keys, method)


@st.cache_data(max_entries=64, show_spinner="Writing")
def _sample(
    _bench: Bench, where: tuple[object, ...], prompt: tuple[int, ...], seed: int, keys: tuple[str, ...], method: Method
) -> list[int]:
    return _bench.sample(list(prompt), SamplingConfig(tokens=WRITTEN, seed=seed), keys, method)


def choose_method() -> Method:
    """Draw the choice of what stands in for a part that is off."""
    method: Method = st.segmented_control(
        "Off means",
        list(METHODS),
        default=METHODS[0],
        required=True,
        key="method",
        bind="query-params",
        help="What a part that is off hands on. Mean: its average over the evaluation set, so only what depends on the "
        "text is lost. Zero: nothing, which also takes away its average and may lead later layers where they have "
        "never been. The mean is the fairer price; zero is the cruder cut. Rotary positions stay as they are.",
    )
    return method


def knock_view(run: Run, step: int | None, method: Method) -> None:
    """Draw the board of a run and what follows from what is switched off."""
    weights = checkpoints.fingerprint(run, step)
    text = loaders.text_of(run)
    if text is None:
        st.info(
            f"Knocking out is measured on the run’s text: {GONE} Patching needs no text.",
            icon=":material/visibility_off:",
        )
        return
    where = (run.slug, step, weights, text.sha256)
    bench, seconds = _bench(*where)
    off = _off(run.slug, bench.board)
    job = rankings.read(run, step, method)
    if job is None and _is_cheap(run, step, method, seconds * len(bench.board)):
        with contextlib.suppress(*state.PROBLEMS):  # nobody asked for it; who does is told why it cannot be
            rankings.start(run, step, method)
        job = rankings.read(run, step, method)
    busy = job is not None and job.active
    show = st.fragment(_board, run_every=1.0) if busy else _board
    show(run, step, method, bench, off, busy)
    data = bench.data.inputs
    st.caption(
        "**Click a cell to switch it off.** Its number is how much the loss rises, in nats a character, when that part "
        f"alone is off, measured on {data.shape[0]:,} windows of {data.shape[1]:,} characters spread evenly over the "
        f"validation split; the loss there is {bench.loss:.4f}. Orange: the part is of use, purple: it does harm; "
        "stronger with the logarithm. Changes within two standard errors stay uncoloured."
    )
    _consequence(run, step, where, bench, off, method)
    if listed := price_list.read(run, step, method):
        _table(run, bench, listed)


def _is_cheap(run: Run, step: int | None, method: Method, seconds: float) -> bool:
    """Whether to rank all parts unasked: it takes seconds, and nothing else wants the device."""
    if price_list.read(run, step, method) is not None:
        return False
    return seconds < UNASKED and not any(each.state.active for each in loaders.listing())


# --- the board -------------------------------------------------------------------------------------------------------


def _off(slug: str, board: Sequence[Part]) -> tuple[str, ...]:
    """Return what is switched off: as the URL says, else as it was left, in the board's order."""
    asked = st.query_params.get(OFF)
    if asked is None and st.session_state.get("knockout.off", ("",))[0] == slug:
        asked = ",".join(st.session_state["knockout.off"][1])
    wanted = {key for key in (asked or "").split(",") if key}
    there = tuple(part.key for part in board if part.key in wanted)
    if lacking := sorted(wanted - set(there)):
        named = ", ".join("".join(visible(c) for c in key[:12]) for key in lacking[:5])
        tell.warning(f"This model has no part “{named}”; it is left out.", icon=":material/toggle_off:")
    _remember(slug, there)
    return there


def _remember(slug: str, off: Sequence[str]) -> None:
    st.session_state["knockout.off"] = (slug, tuple(off))
    if off:
        st.query_params[OFF] = ",".join(off)
    else:
        st.query_params.pop(OFF, None)


def _board(run: Run, step: int | None, method: Method, bench: Bench, off: tuple[str, ...], busy: bool) -> None:
    if busy and st.session_state.pop("knockout.clicked", False):
        st.rerun()
    job = rankings.read(run, step, method)
    if busy and (job is None or not job.active):
        st.rerun()

    def toggle(key: str) -> None:
        now = st.session_state["knockout.off"][1]
        _remember(run.slug, [k for k in now if k != key] if key in now else [*now, key])
        st.session_state["knockout.clicked"] = busy

    listed = price_list.read(run, step, method)
    _ranking(run, step, method, off, job, listed)
    known = listed.parts if listed else {}
    most = max((abs(p.delta) for p in known.values()), default=1.0)
    for number, (columns, rows) in enumerate(_sections(bench.board)):
        cells = [(row, [_cell(part, known, off, most) if part else None for part in line]) for row, line in rows]
        name = "Parts of the model" if number == 0 else "What it reads"
        cell_grid(name, columns, cells, key=f"knockout.board.{number}", toggles=True, on_pick=toggle)


def _sections(board: Sequence[Part]) -> list[tuple[list[str], list[tuple[str, list[Part | None]]]]]:
    """Lay parts out: those of the layers in one table, those of the input in another."""
    found = []
    for inside in (True, False):
        these = [part for part in board if (part.row != "input") == inside]
        columns = list(dict.fromkeys(part.column for part in these))
        at = {(part.row, part.column): part for part in these}
        rows = [(row, [at.get((row, c)) for c in columns]) for row in dict.fromkeys(part.row for part in these)]
        if these:
            found.append((columns, rows))
    return found


def _cell(part: Part, known: Mapping[str, price_list.Price], off: Sequence[str], most: float) -> Cell:
    state = "off" if part.key in off else ""
    price = known.get(part.key)
    if price is None:
        return Cell(part.key, "·", f"{part.title}: not measured yet", state=state)
    sure = not abs(price.delta) < 2 * price.se
    fill, ink = tint(price.delta, most, FINE) if sure else ("", "")
    return Cell(part.key, _signed(price.delta), f"{part.title}: {_measured(price.delta, price.se)}", fill, ink, state)


def _signed(value: float) -> str:
    text = f"{value:+.3f}" if abs(value) < 1 else f"{value:+.2f}"
    return "0.000" if text in ("+0.000", "-0.000") else text.replace("-", "−")


def _measured(delta: float, se: float) -> str:
    error = f" ± {se:.4f}" if math.isfinite(se) else ""
    return f"{delta:+.4f}{error} nats a character".replace("-", "−")


def _do(action: Callable[[Run, int | None, Method], None], run: Run, step: int | None, method: Method) -> None:
    try:
        action(run, step, method)
    except state.PROBLEMS as error:
        state.say_error(error)


def _ranking(
    run: Run,
    step: int | None,
    method: Method,
    off: tuple[str, ...],
    job: rankings.Ranking | None,
    listed: PriceList | None,
) -> None:
    busy = job is not None and job.active
    seen = f"from {listed.windows:,} of {listed.of:,} windows" if listed else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        if job and busy:
            st.button(
                "Cancel",
                icon=":material/stop:",
                key="knockout.cancel",
                on_click=_do,
                args=(rankings.cancel, run, step, method),
                disabled=job.state is State.STOPPING,
                help="Ends after the part it is at. What is measured so far is kept, and Rank all goes on from there.",
            )
        else:
            st.button(
                "Rank all",
                icon=":material/leaderboard:",
                key="knockout.rank",
                type="secondary" if listed else "primary",
                on_click=_do,
                args=(rankings.start, run, step, method),
                disabled=listed is not None and listed.whole,
                help="Switches off every part alone and fills the board, in a job of its own: it takes its turn on the "
                "device and goes on when you leave the page. The result is kept with the run until its weights change.",
            )
        st.button(
            "All on",
            icon=":material/restart_alt:",
            key="knockout.reset",
            on_click=_remember,
            args=(run.slug, ()),
            disabled=not off,
            help="Switches everything on again.",
        )
        if job and busy:
            doing = f"Ranking: {job.share:.0%}" if job.state is State.RUNNING else f"Ranking: {job.message}"
            st.progress(job.share, plain(f"{doing}, {seen} so far" if seen else doing))
        elif job and job.state is State.FAILED and not (listed and listed.whole):
            st.markdown(f":red[{plain(job.message)}]")
        elif listed and not listed.whole:
            ended = "The ranking died" if job and job.state is State.LOST else "Cancelled"
            st.markdown(f"{ended}: prices {seen}. Rank all goes on from there.")
        elif not listed and layout.knockouts_path(run.path, step, method).exists():
            st.markdown("The prices on file are those of other weights. Rank all measures these.")
        elif not listed and job and job.state is not State.FINISHED:
            st.markdown(f"The last ranking ended at {job.share:.0%}. Rank all goes on from there.")


# --- what follows ----------------------------------------------------------------------------------------------------


@teaching.part("off")
def _consequence(
    run: Run, step: int | None, where: tuple[object, ...], bench: Bench, off: tuple[str, ...], method: Method
) -> None:
    titles = {part.key: part.title for part in bench.board}
    if not off:
        return
    st.header("Switched off")
    st.markdown(plain(", ".join(titles[key] for key in off)))
    found = _effect(bench, where, off, method)
    with st.container(horizontal=True, gap="medium"):
        st.metric(
            "Loss without",
            f"{bench.loss + found.delta:.4f}",
            f"{found.delta:+.4f} nats",
            delta_color="inverse",
            help=f"Nats a character on the evaluation set; with everything on it is {bench.loss:.4f}.",
        )
        st.metric(
            "Standard error",
            f"{found.se:.4f}" if math.isfinite(found.se) else "–",
            help="Of the difference, window by window: the same characters with and without.",
        )
        if 1 < len(off) <= SINGLES:
            listed = price_list.read(run, step, method)
            known = listed.parts if listed and listed.whole else {}
            alone = [known[k].effect() if k in known else _effect(bench, where, (k,), method) for k in off]
            extra, se = redundancy(found, alone)
            st.metric(
                "Sum of each alone",
                f"{sum(e.delta for e in alone):+.4f}",
                f"{extra:+.4f} ± {se:.4f} together",
                delta_color="off",
                delta_arrow="off",
                help="What each costs when it alone is off, added up; below, by how much they cost more together.",
            )
    if 1 < len(off) <= SINGLES:
        st.markdown(_verdict(extra, se))
    figure = changes(found.classes, "change of the loss (nats)")
    plot(figure, "knockout.classes")
    st.caption("By the character to be predicted; whiskers are one standard error. A speaker name is a line `NAME:`.")
    _texts(run, step, where, bench, off, method)
    if all(part.speaks for part in bench.board if part.key in off):
        healing_view(run, step, off)
    else:
        st.caption("Whether it heals can be asked of heads alone: no single weights stand for the other parts.")


def _verdict(extra: float, se: float) -> str:
    if not abs(extra) > 2 * se:
        return "Together they cost what they cost apart, within two standard errors: each does a job of its own."
    if extra > 0:
        return "Together they cost more than apart: they are **redundant**, each covers for the other when it is gone."
    return "Together they cost less than apart: they **work in a chain**, without one the other has less to do."


def _texts(
    run: Run, step: int | None, where: tuple[object, ...], bench: Bench, off: tuple[str, ...], method: Method
) -> None:
    st.markdown("**The same prompt, the same seed**, with everything on and without")
    left, right = st.columns([3, 1], gap="medium")
    usual = openings(run).line.rstrip("\n")
    prompt = in_view.text(
        left.text_input,
        "Prompt",
        name="begin",
        default=usual,
        help="Both texts go on from here, on a new line if the text has lines.",
    )
    seed = in_view.number(
        right.number_input,
        "Seed",
        0,
        2**31 - 1,
        name="seed",
        default=1337,
        help="The same random numbers draw both texts.",
    )
    _, tokenizer = loaders.model(run, step)
    prompt = known(tokenizer.meant(prompt), tokenizer, "begin", usual)
    if not prompt:
        return
    asked = prompt if tokenizer.unknown("\n") else prompt.rstrip("\n") + "\n"
    ids = tuple(tokenizer.encode(asked))
    both = [tokenizer.decode(_sample(bench, where, ids, seed, keys, method)) for keys in ((), off)]
    same = [a == b for a, b in zip(*both, strict=True)]
    columns = st.columns(2, gap="medium")
    for column, title, written in zip(columns, ("Everything on", "Without"), both, strict=True):
        with column:
            st.caption(plain(title))
            marks = [False] * len(asked) + [not s and title == "Without" for s in same]
            marked_text(asked + written, marks, faint=len(asked), label=title, key=f"knockout.text.{title}")
    first = same.index(False) + 1 if False in same else None
    st.caption(
        f"Marked: characters that differ from the other text at the same place, {same.count(False):,} of {len(same)}; "
        f"the first is number {first:,}."
        if first
        else f"All {len(same)} characters are the same."
    )


@teaching.part("prices")
def _table(run: Run, bench: Bench, listed: PriceList) -> None:
    rows = []
    for part in bench.board:
        if price := listed.parts.get(part.key):
            row: dict[str, object] = {"part": part.key, "what": part.title, "delta": price.delta, "se": price.se}
            rows.append({**row, **{name: delta for name, (delta, _) in price.classes.items()}})
    table = pd.DataFrame(rows).sort_values("delta", ascending=False)
    st.header("Price list")
    st.dataframe(
        table,
        hide_index=True,
        height=280,
        column_config={
            "part": st.column_config.TextColumn("Part", help="Its address, as in the page's URL."),
            "what": st.column_config.TextColumn("What it is"),
            "delta": st.column_config.NumberColumn(
                "Δ loss", format="%+.4f", help="Nats a character, it alone being off."
            ),
            "se": st.column_config.NumberColumn("± SE", format="%.4f", help="Standard error over windows."),
            **{
                name: st.column_config.NumberColumn(name, format="%+.4f", help="Δ loss of these characters.")
                for name in table.columns[4:]
            },
        },
    )
    st.download_button(
        "Price list (.csv)",
        table.to_csv(index=False).encode(),
        f"knockouts-{run.path.name}-{listed.method}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="knockout.csv",
        help="All parts with their prices, by class of character too.",
    )
