"""Runs side by side: their curves, the settings in which they differ, and what the difference is worth."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from core.errors import BardlabError
from core.exchange import export
from core.jobs import control
from core.runs import reading
from core.runs.folder import State
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_LOSS, VAL_LOSS
from core.runs.state import Run
from core.settings import shown
from core.studies import differences, findings
from core.studies.findings import Finding
from pages.ui import loaders, state, teaching, wording
from pages.ui.choosers import mine
from pages.ui.choosers.run import narrowed
from pages.ui.choosers.runs import named
from pages.ui.choosers.text import text_picker
from pages.ui.components.charts.curves import Curve, curves
from pages.ui.course import guess_pair
from pages.ui.navigation import link_to_first_rung
from pages.ui.plots.colours import place_of
from pages.ui.plots.studies import band, seed_bands
from pages.ui.run.fork_form import MOST
from pages.ui.run.report_form import report_form
from pages.ui.run.run_curves import flags_of, loss_curves, marks_of
from pages.ui.run.setting_names import in_full, in_words
from pages.ui.wording import plain

SECOND = "train/grad_norm"
NAMES = {
    "train/grad_norm": "gradient norm",
    "train/lr": "learning rate",
    "train/tokens_per_second": "characters a second",
}


def choose(everything: Sequence[Run]) -> list[Run]:
    """Draw the pickers and return the runs to compare, all of one text, kept in the URL."""
    by_slug = {run.slug: run for run in everything}
    asked = [slug for slug in st.query_params.get(state.RUNS, "").split(",") if slug]
    missing = [slug for slug in asked if slug not in by_slug]
    texts = list(dict.fromkeys(run.need().corpus for run in everything))
    of_asked = {by_slug[slug].need().corpus for slug in asked if slug in by_slug}
    if missing:
        st.warning(f"Not here: {wording.plain(', '.join(missing[:5]))}.", icon=":material/search_off:")
    if len(of_asked) > 1:
        st.warning("These runs read different texts, so their losses are not compared.", icon=":material/rule:")
    if of_asked and st.query_params.get(state.TEXT) not in of_asked:
        st.session_state[state.TEXT] = next(iter(of_asked))
        st.query_params.pop(state.TEXT, None)
    text = texts[0]
    if len(texts) > 1:
        text = text_picker("Text", "Only runs on one text are compared.", texts)
    fitting = {slug: run for slug, run in by_slug.items() if run.need().corpus == text}
    wanted = [slug for slug in asked if slug in fitting]
    if not wanted and st.query_params.get(state.RUNS) != "":  # which says that none is wanted
        wanted = [slug for slug, run in fitting.items() if run.state is not State.FAILED and not run.broken][:2]
    if st.session_state.get("compare.asked") != (asked, text):  # a link, or a change of text: follow it
        st.session_state["compare.runs"] = wanted[:MOST]
        st.session_state["compare.asked"] = (asked, text)
    chosen = st.multiselect(
        "Runs",
        narrowed(fitting, st.session_state.get("compare.runs", []), "compare.find"),
        format_func=lambda slug: named(fitting[slug]) if slug in fitting else slug,
        key="compare.runs",
        max_selections=MOST,
        placeholder="Choose runs",
        help="Any runs on this text. The address of this page always leads to the same comparison.",
    )
    if chosen != asked:
        st.query_params[state.RUNS] = ",".join(chosen)
        st.session_state["compare.asked"] = (chosen, text)
    return [fitting[slug] for slug in chosen if slug in fitting]


def present(slugs: Sequence[str]) -> list[Run]:
    """The runs as they are now, without those that another tab or a terminal has deleted meanwhile."""
    found = []
    for slug in slugs:
        with contextlib.suppress(BardlabError):
            found.append(control.look_after(reading.find(slug)))
    return [run for run in found if not run.damage]


def looks(chosen: Sequence[Run]) -> dict[str, tuple[int, bool]]:
    """For each run its place in the theme's colours, and whether it is one of several seeds of the same.

    A colour is a changed value, and seeds share it; where only the rung differs, it is the rung's.
    """
    families = differences.families(chosen)
    rungs = [place_of(family[0]) for family in families]
    places = rungs if len(set(rungs)) == len(rungs) else list(range(len(families)))
    return {run.slug: (at, len(f) > 1) for at, f in zip(places, families, strict=True) for run in f}


@teaching.part("curves")
@st.fragment
def charts(slugs: Sequence[str], labels: dict[str, str], look: dict[str, tuple[int, bool]]) -> None:
    """The losses, and below them, on the same x axis, another quantity."""
    shown = present(slugs)
    if not shown:
        st.caption("These runs are no longer here.")
        return
    live = [run.slug for run in shown if run.state.active]
    watched, st.session_state["compare.live"] = st.session_state.get("compare.live", []), live
    if any(slug in slugs and slug not in live for slug in watched):
        st.rerun()  # one has just ended: there may be a finding now
    oldest = max((run.status.seconds for run in shown), default=0.0)
    interval = min(5.0, max(1.0, oldest / 60))

    def coloured(curve: Curve) -> Curve:
        hue, twin = look[curve.group]
        return replace(curve, label=labels[curve.group], hue=hue, twin=twin)

    losses = [coloured(curve) for run in shown for curve in loss_curves(run)]
    curves(
        losses,
        [*marks_of(shown[0]), *guess_pair.marks(shown)],
        flags_of(shown),
        live=bool(live),
        key="compare-loss",
        interval=interval,
        main=True,
    )
    known = {TRAIN_LOSS, VAL_LOSS, SECONDS, CHARACTERS}
    tags = sorted({tag for run in shown for tag in loaders.reader(run).tags()} - known)
    if not tags:
        return
    tag = st.selectbox(
        "Another curve",
        tags,
        index=tags.index(SECOND) if SECOND in tags else 0,
        format_func=lambda tag: NAMES.get(tag, tag),
        key="curve",
        bind="query-params",
        width=260,
        help="Point at one chart, and both show the same place.",
    )
    other = [coloured(curve) for run in shown if (curve := quantity(run, tag)) is not None]
    curves(other, live=bool(live), key=f"compare-{tag}", interval=interval, y_label=NAMES.get(tag, tag), height=240)


def quantity(run: Run, tag: str) -> Curve | None:
    """One of a run's other curves; None if it has no points."""
    read = loaders.reader(run)
    step, value = read.curve(tag)
    if not len(step):
        return None
    seconds, characters = read.at(SECONDS, step), read.at(CHARACTERS, step)
    name, cost = f"{run.slug}:{tag}:{read.generation}", loaders.flops_per_step(run)
    return Curve(name, run.name, "train", run.slug, step, seconds, characters, value, cost)


@teaching.part("changed")
def changed(chosen: Sequence[Run]) -> None:
    """The settings that differ, as a table and in sentences."""
    st.header("What changed")
    rows = differences.differences(chosen)
    if rows:
        frame = pd.DataFrame([[in_full(name), *(shown(v) for v in values)] for name, values in rows.items()])
        headings = {str(i + 1): st.column_config.TextColumn(run.label) for i, run in enumerate(chosen)}
        frame.columns = [str(i) for i in range(len(frame.columns))]
        st.dataframe(frame, hide_index=True, column_config={"0": st.column_config.TextColumn("Setting"), **headings})
    else:
        st.caption("Nothing: the same settings and the same seed.")
    names = {run.slug: run.name for run in chosen}
    told = [f"- **{plain(names[slug])}**: {plain(sentence)}" for slug, sentence in differences.lineage(chosen).items()]
    if told:
        with st.expander("Which was made from which", icon=":material/family_history:"):
            st.markdown("\n".join(told))


def verdict(finding: Finding) -> str:
    """A finding in words, as Markdown: whether the change makes it better or worse, by how much, and how sure."""
    what = wording.plain(in_words(finding.change))
    size, seeds = f"{abs(finding.mean):.3f}", len(finding.seeds)
    direction = "worse" if finding.mean > 0 else "better"
    if seeds == 1:
        return f"{what} made it {direction} by {size} nats with one seed, which proves nothing yet: run more seeds."
    known = f"{size} ± {finding.half_width:.3f} nats ({seeds:d} seeds)"
    if finding.trusted:
        return f"## {what} makes it **{direction}** by {known}"
    return f"## {what}: no difference you can trust, {direction} by {known}"


@st.fragment(run_every=2.0)
def awaited(slugs: Sequence[str]) -> None:
    """How far the runs are that the answer waits for, and a button to stop each."""
    active = [run for run in present(slugs) if run.state.active]
    if not active:
        st.rerun()
    for run in active:
        s = run.status
        left = f", {wording.duration(s.eta_seconds)} left" if s.eta_seconds is not None else ""
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.progress(min(1.0, s.step / max(1, s.of)), f"{wording.plain(run.name)}: {wording.plain(run.state)}{left}")
            st.button(
                "Stop",
                icon=":material/stop:",
                key=f"compare.stop.{run.slug}",
                on_click=stop,
                args=(run.slug,),
                help="Finish the step, save the weights and end. It can be resumed.",
            )


def stop(slug: str) -> None:
    """Stop one of the runs compared."""
    try:
        control.stop(loaders.present(slug))
    except state.PROBLEMS as error:
        state.say_error(error)


@teaching.part("worth")
def worth(chosen: Sequence[Run]) -> None:
    """What the differences are worth, over seeds."""
    families = differences.families(chosen)
    if len(families) < 2 and all(len(family) < 2 for family in families):
        return
    found = findings.findings(chosen)
    for finding in found:
        st.markdown(verdict(finding))
    if found:
        st.caption(
            "Differences in the last validation loss, new minus old, paired by seed; ± is half the 95 % t interval of "
            "their mean. A difference whose interval holds zero may be chance."
        )
    else:
        st.caption(
            "A finding needs finished runs that share a seed: repeat a run with one thing changed on the page Runs."
        )
    if any(len(family) > 1 and band(family) for family in families):
        base = families[0][0]
        named = {differences.changes(base, f[0]) or base.name: f for f in families}
        curves(
            seed_bands(named, {slug: hue for slug, (hue, _) in looks(chosen).items()}),
            live=False,
            key="compare-bands",
            palette="compare-bands",
            x_label="step",
            y_label="validation loss (nats per character)",
        )
        st.caption("Lines: mean over the seeds. Bands: from the lowest to the highest of them.")


def relatives(chosen: Sequence[Run], everything: Sequence[Run]) -> None:
    """Offer the runs made from those chosen."""
    slugs = {run.slug for run in chosen}
    origins = slugs | {run.config.parent for run in chosen if run.config and run.config.parent}
    more = [run for run in everything if run.slug not in slugs and (run.slug in origins or run.need().parent in slugs)]
    if not more or len(slugs) + len(more) > MOST:
        return
    noun = "a run" if len(more) == 1 else f"{len(more)} runs"
    if st.button(f"Add {noun} of the same origin", icon=":material/family_history:", key="compare.more", help="Forks."):
        st.query_params[state.RUNS] = ",".join([*(run.slug for run in chosen), *(run.slug for run in more)])
        st.rerun()


state.notices()
everything = [run for run in mine.shown(reading.list_runs(shipped=True)) if not run.damage]
if not everything:
    st.info("Nothing to compare yet. Train a model or two first.", icon=":material/compare_arrows:")
    link_to_first_rung()
    st.stop()
chosen = choose(everything)
if not chosen:
    st.caption("Choose runs above.")
    st.stop()
slugs = [run.slug for run in chosen]
if any(run.state.active for run in chosen):
    awaited(slugs)
guess_pair.guess_pair(chosen, differences.labels(chosen))
if len(chosen) > 1:
    worth(chosen)
charts(slugs, differences.labels(chosen), looks(chosen))
if len(chosen) > 1:
    changed(chosen)
with st.container(horizontal=True):
    relatives(chosen, everything)
    st.download_button(
        "Curves (.csv)",
        lambda: export.curves_of(chosen),
        "curves-compared.csv",
        "text/csv",
        icon=":material/download:",
        help="The curves of all these runs in one table, a line a step.",
    )
    report_form(chosen)
