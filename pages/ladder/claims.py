"""What papers claim, put to the test: one card a claim, with its evidence and its verdict."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.errors import BardlabError
from core.runs.state import Run
from core.studies import sweeps
from core.studies.claims import evidence, registry, reproduction
from core.studies.claims.claim import Claim, Figures, Finding, Judgement, Verdict
from core.studies.claims.evidence import Evidence
from core.studies.claims.reproduction import Standing
from pages.ui import loaders, state, teaching, tell
from pages.ui.choosers.text import DEFAULT, text_picker
from pages.ui.plots.claims import claim_chart
from pages.ui.plots.figure import figure as plot
from pages.ui.wording import counted, duration, plain, roughly

BADGES = {
    Verdict.REPRODUCED: ":green-badge[:material/check_circle: reproduced]",
    Verdict.NOT_REPRODUCED: ":red-badge[:material/cancel: not reproduced]",
    Verdict.OPEN: ":gray-badge[:material/help: not enough seeds yet]",
}
SIGNS = {Verdict.REPRODUCED: "✓", Verdict.NOT_REPRODUCED: "✗", Verdict.OPEN: "?"}
STATED = 120.0
"""Seconds that a claim may take with its own seeds."""
COMPARED = 20
"""Runs that the page Compare takes at once."""


@st.cache_data(max_entries=64, ttl=60.0, show_spinner=False)
def expected(key: str, text: str, seeds: int) -> float | None:
    """About how long a claim takes on this machine; None if that is not known yet, or the text does not do."""
    try:
        return reproduction.expected_seconds(registry.get(key), text, seeds)
    except BardlabError:
        return None


@st.cache_resource(max_entries=64, show_spinner=False)
def judged_by(key: str, figures: Figures) -> Judgement:
    """What a claim's rule says of figures."""
    return registry.get(key).judge(figures)


def shipped() -> dict[str, Evidence]:
    """The evidence that ships, by the claims' keys; tells in one line if it is damaged."""
    try:
        found = evidence.read()
    except BardlabError as error:
        tell.warning(error)
        return {}
    known = registry.CLAIMS
    return {key: one for key, one in found.items() if key in known and one.fingerprint == known[key].fingerprint}


def here(claim: Claim, text: str, runs: Sequence[Run]) -> Standing | None:
    """How far a claim is on this machine; None if nothing was begun."""
    if not any(run.config and run.config.claim == claim.key for run in runs):
        return None
    found = reproduction.standing(claim, text, runs)
    return found if found.there else None


def start(key: str, text: str, seeds: int) -> None:
    """Queue what a claim lacks."""
    try:
        made = reproduction.begin(registry.get(key), text, seeds)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    state.say_next(f"Queued {counted(len(made))}" if made else "All of its runs are there or under way")


def cancel(key: str, text: str) -> None:
    """Stop what is under way."""
    try:
        reproduction.cancel(reproduction.standing(registry.get(key), text, loaders.listing()))
    except state.PROBLEMS as error:
        state.say_error(error)


@st.fragment(run_every=2.0)
def progress(key: str, text: str) -> None:
    """How far the runs are; draws the page anew when one has ended."""
    found = reproduction.standing(registry.get(key), text, loaders.listing())
    done, name = len(found.done), f"claims.{key}.done"
    st.progress(min(1.0, found.share), f"{done} of {len(found.runs)} runs have ended")
    before, st.session_state[name] = st.session_state.get(name, done), done
    if before != done or not found.active:
        st.rerun()


@teaching.part("rule")
def rule(claim: Claim) -> None:
    """What counts as reproduced."""
    each = "".join(f"\n- {plain(f'{criterion.what}: {criterion.wanted}')}" for criterion in claim.criteria)
    st.markdown(
        f"**The rule.** Reproduced if every 95 % interval lies wholly there, not reproduced if one lies wholly "
        f"outside:\n{each}"
    )


def finding_line(finding: Finding) -> str:
    """One criterion: whether it is met, what was found, what was wanted."""
    return f"- {SIGNS[finding.verdict]} {plain(finding.sentence)} Wanted: {plain(finding.criterion.wanted)}."


def time_line(claim: Claim, found: Evidence | None, text: str) -> None:
    """How long it takes, and where that is more than was meant."""
    seconds = expected(claim.key, text, claim.seeds)
    count = len(claim.arms) * claim.seeds
    told = f"{count} runs with {claim.seeds:d} seeds"
    if seconds is not None:
        told += f", about {roughly(seconds)} on this machine"
    elif found is not None:
        spent = found.cpu_seconds * claim.seeds / found.seeds
        told += f", about {roughly(spent)} of processor time where it was measured"
    st.caption(f"{told}.")
    if seconds is not None and seconds > 1.25 * STATED:
        st.caption(
            ":material/hourglass_top: This machine is slower than the one that the claims are made for: about "
            f"{roughly(seconds)} instead of {roughly(STATED)} or less."
        )


@teaching.part("reproduce")
def buttons(claim: Claim, found: Standing | None, text: str) -> None:
    """What can be done next."""
    row = st.container(horizontal=True, gap="small", vertical_alignment="center")
    seeds = found.seeds if found else claim.seeds
    if found and found.active:
        row.button(
            "Cancel",
            icon=":material/stop:",
            key=f"claims.{claim.key}.cancel",
            on_click=cancel,
            args=(claim.key, text),
            help="Stop its runs after their step. They stay, and can go on from there.",
        )
    elif found is None or not found.whole:
        row.button(
            "Reproduce" if found is None else "Go on",
            icon=":material/play_arrow:",
            key=f"claims.{claim.key}.go",
            on_click=start,
            args=(claim.key, text, seeds),
            help="Queue the runs that are missing. They are ordinary runs: you find them on the page Runs.",
        )
    else:
        more = min(sweeps.MOST_SEEDS, seeds + reproduction.SEEDS_MORE)
        row.button(
            "More seeds",
            icon=":material/add:",
            key=f"claims.{claim.key}.more",
            disabled=more == seeds,
            on_click=start,
            args=(claim.key, text, more),
            help=f"Repeat everything with {more - seeds} more seeds: intervals get narrower.",
        )
    if found:
        slugs = ",".join(run.slug for run in found.there[:COMPARED])
        row.page_link(
            "use/compare.py", label="Its runs", icon=":material/compare_arrows:", query_params={state.RUNS: slugs}
        )


def source_line(found: Evidence | None, standing: Standing | None) -> None:
    """Where the figures shown come from."""
    if standing:
        seconds = sum(run.status.seconds for run in standing.done)
        st.caption(f"Measured here: {counted(len(standing.done))}, {duration(seconds)} of training.")
    elif found:
        st.caption(
            f"Shipped: measured on {plain(found.date)} with {found.seeds:d} seeds in {duration(found.cpu_seconds)} of "
            f"processor time, {plain(found.machine)} ({plain(found.device)})."
        )


def card(claim: Claim, found: Evidence | None, standing: Standing | None, text: str) -> None:
    """One claim."""
    measured = standing if standing and standing.figures else None
    figures = shown(claim, found, standing)
    active = bool(standing and standing.active)
    with st.expander(in_one_line(claim, figures, here=bool(measured)), expanded=active, key=f"claims.{claim.key}"):
        st.caption(f"[{claim.paper}]({claim.paper_url})")
        left, right = st.columns([2, 3], gap="large")
        with left:
            st.markdown(claim.sentence)
            st.markdown(f"**Compared.** {claim.compared}")
            rule(claim)
            time_line(claim, found, text)
        with right:
            if figures:
                judged = judged_by(claim.key, figures)
                picture = claim.picture(figures)
                plot(claim_chart(picture), f"claims.{claim.key}.chart", claim.key)
                st.caption(plain(picture.about))
                st.markdown(f"**{plain(judged.sentence)}**")
                with st.expander("Every number"):
                    for finding in judged.findings:
                        st.markdown(finding_line(finding))
                if claim.thoughts:
                    st.markdown(f"**What we think.** {claim.thoughts}")
                source_line(found, measured)
            else:
                st.caption("Nothing is measured yet: reproduce it.")
        if standing:
            for line in standing.lacking[:5]:
                st.caption(plain(f"{line[:1].upper()}{line[1:]}."))
            if standing.active:
                progress(claim.key, text)
        buttons(claim, standing, text)


def shown(claim: Claim, found: Evidence | None, standing: Standing | None) -> Figures:
    """What a claim is judged by: this machine's figures, else those that ship; empty without either."""
    if standing and standing.figures:
        return standing.figures
    return found.figures if found else {}


def in_one_line(claim: Claim, figures: Figures, *, here: bool) -> str:
    """A claim in one line: its title, what came of it, and the number that decided."""
    title = f"**{plain(claim.title)}**"
    if not figures:
        return f"{title} :gray-badge[not measured yet]"
    judged = judged_by(claim.key, figures)
    mark = " :blue-badge[measured here]" if here else ""
    return f"{title} {BADGES[judged.verdict]}{mark} {plain(judged.deciding.number)}"


state.notices()
st.markdown(
    "A sentence from a paper, a rule that was set before anything ran, some small models, and a verdict. What ships "
    "was measured in the same way; **Reproduce** does it on your machine. A claim that does not come out is shown so."
)
text = text_picker("Text", "What the models read. The evidence that ships is of Tiny Shakespeare.")
runs = loaders.listing()
known = shipped() if text == DEFAULT else {}
cards: list[tuple[Claim, Standing | None]] = []
for each in registry.CLAIMS.values():
    try:
        cards.append((each, here(each, text, runs)))
    except BardlabError as error:
        tell.warning(error)
verdicts = Counter(
    judged_by(each.key, figures).verdict for each, one in cards if (figures := shown(each, known.get(each.key), one))
)
if verdicts:
    tell.caption(", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict]))
for each, one in cards:
    card(each, known.get(each.key), one, text)
