"""Many runs over one or two settings, and what all runs say about loss and cost."""

import contextlib
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.errors import BardlabError
from core.jobs import control
from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run
from core.settings import shown
from core.studies import differences, sweeps
from core.studies import scaling as studies_scaling
from core.training.config import TrainConfig
from pages.ui import loaders, state, teaching, tell, wording
from pages.ui.choosers import in_view, mine
from pages.ui.choosers.text import text_picker
from pages.ui.components.charts.curves import curves
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.studies import along, loss_against, parallel
from pages.ui.run.memory_tick import memory_tick
from pages.ui.run.setting_names import in_full, in_words

NONE = "none"
FORM = {"rung", "preset", "first", "second", "how", "points"}
"""What the address of this page calls the form's choices; it calls the values of a setting values.SETTING."""
AXES = {"parameters": "parameters", "flops": "floating-point operations", "seconds": "seconds of training"}


def settings_of(rung: Rung) -> list[str]:
    """The settings that a sweep can go over."""
    names = [f"model.{field.name}" for field in rung.config.fields()]
    return names + ["train.seed"] + [f"train.{f.name}" for f in TrainConfig.fields() if f.name != "seed"]


def values_of(rung: Rung, name: str, column: DeltaGenerator) -> str:
    """Ask for the values to try; suggests the setting's own stops."""
    field = sweeps.field(rung, name)
    stops = field.choices or field.ticks or ((True, False) if field.kind == "bool" else None)
    low = field.low if field.low is not None else 0
    stops = stops or (low, low + (field.step or 1), low + 2 * (field.step or 1))
    return in_view.text(
        column.text_input,
        "Values",
        name=f"values.{name}",
        default=", ".join(shown(v) if not isinstance(v, bool) else str(v).lower() for v in stops[:4]),
        help=f"With commas between; {wording.plain(field.range)}. {wording.plain(field.help)}",
    )


@teaching.part("sweep")
@st.fragment
def new_sweep(text: str) -> None:
    """Choose a rung, a start, one or two settings and their values; then queue the runs."""
    rows = [st.columns(2, gap="small") for _ in range(4)]  # on a phone what belongs together stays so
    (left, right), first_row, second_row, how = rows
    key = in_view.choice(
        left.selectbox,
        "Rung",
        list(RUNGS),
        name="rung",
        key="sweep.rung",
        closes=True,
        format_func=lambda k: RUNGS[k].title,
        help="The kind of model to train.",
    )
    rung = RUNGS[key]
    preset = in_view.choice(
        right.selectbox,
        "Start from",
        list(rung.presets),
        name="preset",
        key="sweep.preset",
        format_func=rung.title_of_preset,
        help="Every other setting is this preset's.",
    )
    names = settings_of(rung)
    first_name = in_view.choice(
        first_row[0].selectbox,
        "First setting",
        names,
        name="first",
        key="sweep.first",
        closes=True,
        format_func=in_full,
        help="What to vary.",
    )
    axes = [f"{first_name}={values_of(rung, first_name, first_row[1])}"]
    second_name = in_view.choice(
        second_row[0].selectbox,
        "Second setting",
        [NONE, *(n for n in names if n != first_name)],
        name="second",
        key="sweep.second",
        closes=True,
        format_func=in_full,
        help="Every combination is tried.",
    )
    if second_name != NONE:
        axes.append(f"{second_name}={values_of(rung, second_name, second_row[1])}")
    method = in_view.choice(
        how[0].segmented_control,
        "How",
        ["grid", "search"],
        name="how",
        key="sweep.method",
        required=True,
        help="A grid takes every combination. A search spreads a number of points evenly between the smallest and the "
        "largest values (a Sobol sequence), which finds out more with fewer runs.",
    )
    trials = 8
    if method == "search":
        trials = in_view.number(
            how[1].number_input,
            "Runs",
            2,
            sweeps.MOST_RUNS,
            name="points",
            default=trials,
            help="How many points to try.",
        )
    try:
        plans = sweeps.sweep(
            key,
            [sweeps.axis(rung, each) for each in axes],
            method="search" if method == "search" else "grid",
            trials=trials,
            preset=preset,
            corpus_name=text,
        )
    except BardlabError as error:
        st.error(wording.plain(str(error)), icon=":material/error:")
        return
    plans = sweeps.weighed(plans, len(loaders.corpus(text).text))
    ready = memory_tick("sweep.short", sweeps.shortage(plans))
    if st.button(
        f"Queue {wording.counted(len(plans))}",
        type="primary",
        icon=":material/grid_view:",
        key="sweep.go",
        disabled=not ready,
        help="Each is a job of its own that waits its turn for the device; close the tab if you like.",
    ):
        try:
            made = sweeps.start(plans)
        except state.PROBLEMS as error:
            st.error(wording.plain(state.told(error)), icon=":material/error:")
            return
        st.query_params["sweep"] = plans[0].group or ""
        state.say_next(f"Queued {wording.counted(len(made))}")
        st.rerun()


def title(members: Sequence[Run]) -> str:
    """A sweep in words."""
    over = ", ".join(name.split(".")[-1] for name in sweeps.swept(members)) or "one point"
    made = members[0].need().created[:16].replace("T", " ")
    return f"{RUNGS[members[0].rung_key].title} over {over}, {wording.counted(len(members))}, {made}"


@st.fragment(run_every=3.0)
def progress(slugs: Sequence[str]) -> None:
    """How many runs of the sweep have ended; draws the page anew when another has."""
    active = []
    for slug in slugs:
        with contextlib.suppress(BardlabError):  # another tab may have deleted it
            active += [slug] if control.look_after(reading.find(slug)).state.active else []
    done = len(slugs) - len(active)
    st.progress(done / len(slugs), f"{done} of {len(slugs)} runs have ended")
    before = st.session_state.get("sweep.done")
    st.session_state["sweep.done"] = done
    if before is not None and done != before:
        st.rerun()


@teaching.part("result")
def result(members: Sequence[Run]) -> None:
    """What came of one sweep."""
    if any(run.state.active for run in members):
        progress([run.slug for run in members])
    done = [run for run in members if run.status.val_loss is not None]
    if len(done) < 2:
        st.caption("The picture needs two runs that have been evaluated.")
        return
    names = sweeps.swept(done)
    each = [differences.settings(run) for run in done]
    losses = [run.status.val_loss for run in done if run.status.val_loss is not None]
    best, worst = done[losses.index(min(losses))], max(losses)
    told = ", ".join(f"{in_words(n.split('.')[-1])} {shown(differences.settings(best).get(n))}" for n in names)
    st.markdown(
        f"## {wording.plain(told)}: lowest, {wording.loss(best.status.val_loss)}; the highest is {wording.loss(worst)}"
    )
    st.caption("One run a point: before you trust a small difference, repeat it over several seeds on the page Runs.")
    values = {name: [one.get(name) for one in each] for name in names}
    if len(names) == 1:
        plot(along(in_full(names[0]), values[names[0]], losses), "sweep-along")
    else:
        plot(parallel(values, losses), "sweep-parallel")
    slugs = ",".join(run.slug for run in members[:20])
    st.page_link(
        "use/compare.py", label="Compare the curves", icon=":material/compare_arrows:", query_params={state.RUNS: slugs}
    )


@teaching.part("scaling")
def scaling(everything: Sequence[Run], members: Sequence[Run]) -> None:
    """The learner's own scaling plot."""
    st.header("Loss against cost")
    row = st.container(horizontal=True, gap="medium")
    cost = row.segmented_control(
        "Cost",
        list(AXES),
        default="parameters",
        required=True,
        key="cost",
        bind="query-params",
        help="What the loss is set against: trained numbers, arithmetic of the training, or its wall time.",
    )
    scope = (
        row.segmented_control(
            "Runs",
            ["all", "this sweep"],
            default="all",
            required=True,
            key="scope",
            bind="query-params",
            help="All finished ones, or these.",
        )
        if members
        else "all"
    )
    pool = [r for r in (members if scope == "this sweep" else everything) if r.state is State.FINISHED]
    present = [key for key in RUNGS if any(run.rung_key == key for run in pool)]
    chosen = row.multiselect(
        "Rungs",
        present,
        key="rungs",
        bind="query-params",
        format_func=lambda key: RUNGS[key].title,
        placeholder="all",
        width=260,
        help="The power law is fitted to what is shown: choose runs that share a recipe.",
    )
    points: dict[str, list[tuple[float, float, str]]] = {}
    for run in pool:
        if run.status.val_loss is None or (chosen and run.rung_key not in chosen):
            continue
        spent = {"parameters": run.status.parameters, "seconds": run.status.seconds}.get(cost or "")
        if cost == "flops":
            spent = loaders.flops_per_step(run) * run.status.step
        if spent and run.status.val_loss > 0:
            points.setdefault(run.rung_key, []).append((float(spent), run.status.val_loss, run.label))
    flat = [point for group in points.values() for point in group]
    if len(flat) < 2:
        st.caption("The plot needs two finished runs.")
        return
    fit = studies_scaling.power_law([x for x, _, _ in flat], [y for _, y, _ in flat])
    curves(
        loss_against(points, fit),
        live=False,
        key="scaling-plot",
        palette="rungs",
        x_label=AXES[cost or "parameters"],
        y_label="validation loss (nats per character)",
        log="xy",
        main=True,
    )
    if fit is None:
        st.caption("A power law needs runs of three different costs.")
        return
    st.markdown(wording.plain(f"Power law: {fit.sentence}."))
    st.caption(
        "Loss = a · cost⁻ᵇ, fitted by least squares on the logarithms; ± is half the 95 % interval of b, the band "
        "that of the fitted line. It holds for these runs, not beyond them."
    )


state.notices()
everything = [run for run in mine.shown(reading.list_runs(shipped=True)) if not run.damage and not run.broken]
swept = any(run.need().group for run in everything)
left, right = st.columns(2 if swept else [2, 3], gap="medium")
with left:
    text = text_picker("Text", "Sweeps train on it, and only runs on it are shown.")
same = [run for run in everything if run.need().corpus == text]
groups = sweeps.groups(same)
members: list[Run] = []
if groups:
    asked = st.query_params.get("sweep")
    if asked and asked not in groups:
        tell.warning(f"There is no sweep “{asked[:60]}” on this text; this is another.", icon=":material/search_off:")
    if asked in groups and st.session_state.get("sweep.asked") != asked:
        st.session_state["sweep.shown"] = st.session_state["sweep.asked"] = asked
    looked_at = right.selectbox(
        "Sweep",
        list(groups),
        format_func=lambda group: title(groups[group]) if group in groups else group,
        key="sweep.shown",
        help="The newest first. Its address is in the page's URL.",
    )
    st.query_params["sweep"] = looked_at
    st.session_state["sweep.asked"] = looked_at
    members = groups[looked_at]
    result(members)
if swept:
    if teaching.shown("sweep"):
        linked = any(name in FORM or name.startswith("values.") for name in st.query_params)
        linked = st.session_state.setdefault("sweep.linked", linked)  # what opened by itself does not close by itself
        with st.expander("New sweep", icon=":material/grid_view:", expanded=linked):
            new_sweep(text)
    scaling(same, members)
else:
    with left:
        if teaching.shown("sweep"):
            st.header("New sweep")
        new_sweep(text)
    with right:
        scaling(same, members)
