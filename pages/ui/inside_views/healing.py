"""Does it heal? What becomes of a model that is trained on without some heads, beside a twin that has them."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.jobs import control, rankings
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run
from core.studies import careers, healing
from core.studies.careers import PRICE, Careers
from core.studies.healing import Healing, Takeover
from pages.ui import loaders, state, tell, wording
from pages.ui.choosers import in_view
from pages.ui.components.charts.curves import Curve, Landmark, curves, plain_curve
from pages.ui.plots.studies import GREY
from pages.ui.run.buttons import state_badge
from pages.ui.run.run_curves import loss_curves

SHARES = {"a tenth": 0.1, "a third": 0.3, "all": 1.0}
OF = "career"
"""Name of the URL's parameter for what is followed of each head."""


@st.cache_data(max_entries=64, show_spinner="Measuring both on the same windows")
def _gap(wounded: str, twin: str, weights: tuple[str, str], step: int | None) -> tuple[float, float]:
    return healing.gap(Healing(reading.find(wounded), reading.find(twin)), step)


def healing_view(run: Run, step: int | None, off: tuple[str, ...]) -> None:
    """Draw the question, and what came of it where it was asked of these heads."""
    st.header("Does it heal?")
    st.caption(
        "Train on from these weights twice, on the same batches: once with these heads silent throughout, the weights "
        "behind them kept at zero, and once untouched. Both begin with a fresh optimiser and a short warm-up. The "
        "wounded run is marked and stands in no ranking."
    )
    pair = _pair(run, off)
    training = pair is not None and any(each.state.active for each in (pair.wounded, pair.twin))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        steps = st.number_input("Steps", 10, 10_000, 200, step=50, key="healing.steps", width=140)
        share = st.selectbox(
            "Share of the learning rate",
            list(SHARES),
            index=1,
            key="healing.share",
            width=230,
            help=f"Of this run's {run.need().train.learning_rate:g}, constant after the warm-up.",
        )
        st.button(
            f"Train {int(steps):,} more steps",
            icon=":material/healing:",
            type="secondary" if pair else "primary",
            key="healing.start",
            on_click=_start,
            args=(run.slug, step, off, int(steps), SHARES[share]),
            disabled=training,
            help="They are under way." if training else "Two ordinary runs, one after the other, in the queue.",
        )
    if pair:
        busy = training or bool(_rankings(pair))
        (st.fragment(_shown, run_every=2.0) if busy else _shown)(pair.wounded.slug, pair.twin.slug, busy)


def healing_link(run: Run) -> None:
    """Lead from one of two runs to what became of both; nothing if it has no part in a healing."""
    if run.need().heals is None:
        return
    for pair in healing.healings(loaders.listing()):
        start = pair.wounded.need().start
        if start and run.slug in (pair.wounded.slug, pair.twin.slug):
            st.page_link(
                "inside/knockout.py",
                label="Does it heal? Both runs, and who takes over",
                query_params={state.RUN: start.run, "off": ",".join(pair.off)},
                icon=":material/healing:",
            )


def _pair(run: Run, off: tuple[str, ...]) -> Healing | None:
    """The latest healing of a run without these heads."""
    for pair in healing.healings(reading.list_runs()):
        start = pair.wounded.need().start
        if start and start.run == run.slug and set(pair.off) == {*run.need().off, *off}:
            return pair
    return None


def _start(slug: str, step: int | None, off: tuple[str, ...], steps: int, share: float) -> None:
    try:
        run = loaders.present(slug)
        if (there := _pair(run, off)) and any(each.state.active for each in (there.wounded, there.twin)):
            state.say_next("Another tab has started it: these two are under way")
            return
        made = healing.make(run, step, off, steps, share)
        for each in (made.wounded, made.twin):
            control.start(each)
    except state.PROBLEMS as error:
        state.say_error(error)


def _rankings(pair: Healing) -> list[rankings.Ranking]:
    """The rankings of its heads that are under way."""
    jobs = [rankings.read(run, at, healing.METHOD) for run, at in careers.to_price(pair)]
    return [job for job in jobs if job is not None and job.active]


def _price(wounded: str, twin: str) -> None:
    try:
        for run, at in careers.to_price(Healing(loaders.present(wounded), loaders.present(twin))):
            rankings.start(run, at, healing.METHOD)
    except state.PROBLEMS as error:
        state.say_error(error)


def _shown(wounded: str, twin: str, was_busy: bool) -> None:
    """Draw both runs, what sets them apart, and who took over."""
    try:
        pair = Healing(reading.find(wounded), reading.find(twin))
    except state.PROBLEMS as error:
        tell.info(state.told(error), icon=":material/visibility_off:")
        return
    both = {f"Without {_named(pair.off)}": pair.wounded, "Its twin": pair.twin}
    busy = any(each.state.active for each in both.values()) or bool(_rankings(pair))
    if was_busy and not busy:
        st.rerun()
    for name, each in both.items():
        st.markdown(
            f"**{wording.plain(name)}** {state_badge(each)} step {each.status.step:,} / {each.status.of:,} · "
            f"validation loss {wording.loss(each.status.val_loss)}"
        )
    lines = [replace(curve, label=name) for name, each in both.items() for curve in loss_curves(each)]
    curves(lines, [], [], live=busy, key="healing.curves", height=240)
    try:
        found = careers.prices(pair)
        if all(each.state is State.FINISHED for each in both.values()):
            weights = (str(pair.wounded.status.ended), str(pair.twin.status.ended))
            first, last = (_gap(wounded, twin, weights, at) for at in (0, None))
            settled = careers.takeovers(found) if found and len(found.steps) > 1 else []
            st.markdown(wording.plain(healing.verdict(settled, first, last)))
        elif apart := healing.losses_apart(pair):
            at, much = apart[-1]
            st.markdown(f"At step {at:,} the wounded run’s validation loss lies {much:+.4f} nats from its twin’s.")
        _careers(pair, found)
    except state.PROBLEMS as error:
        tell.caption(f"What became of it cannot be measured: {state.told(error)}")
    with st.container(horizontal=True):
        for name, each in (("without these heads", pair.wounded), ("of the twin", pair.twin)):
            st.page_link(
                "inside/time.py",
                label=f"The time machine {wording.plain(name)}",
                query_params={state.RUN: each.slug},
                icon=":material/history:",
            )


def _named(off: tuple[str, ...]) -> str:
    return ", ".join(off[:4]) + (f" and {len(off) - 4} more" if len(off) > 4 else "")


# --- who takes over --------------------------------------------------------------------------------------------------


def _careers(pair: Healing, priced: Careers | None) -> None:
    """Draw what each head does or is worth since the wound, against its twin; nothing before there are two moments."""
    steps = careers.moments(pair)
    if len(steps) < 2:
        return
    portraits = [[loaders.portrait(run, step) for step in steps] for run in (pair.wounded, pair.twin)]
    by_key = {each.key: each for each in careers.roles(pair, *portraits)}
    st.subheader("Who takes over?")
    names = {**{key: each.title for key, each in by_key.items()}, PRICE: "price"}
    chosen = in_view.choice(
        st.segmented_control,
        "Followed of each head",
        list(names),
        name=OF,
        default=careers.first_role(list(by_key.values())) if by_key else PRICE,
        format_func=names.__getitem__,
        required=True,
        help="How much of its attention a head gives to a kind of character: 0 is what looking evenly would give, 1 is "
        "all of it. At first, what the heads that are off did most. The price has to be measured.",
    )
    shown = priced if chosen == PRICE else by_key[chosen]
    if chosen == PRICE:
        _pricing(pair, priced)
    if shown is None:
        return
    st.markdown(wording.plain(careers.told(shown)))
    curves(
        _lines(shown),
        [Landmark("as in the twin", 0.0, "A head on this line does as much as the same head of the untouched run.")],
        live=False,
        key=f"healing.careers.{chosen}",
        palette="healing.careers",
        x_label="steps since the wound",
        y_label=f"{shown.title}: more than in the twin",
        height=270,
    )
    _table(shown)
    chance = "" if chosen == PRICE else " Two runs drift apart by chance too: the heads in grey show by how much."
    st.caption(wording.plain(f"{shown.help} One pair of runs.{chance}"))


def _lines(shown: Careers) -> list[Curve]:
    """A line a head: what sets it apart from its twin. Those that gained most by name, the rest together in grey."""
    leaders = shown.leaders[: careers.LEADERS]
    rest = f"the other {len(shown.heads) - len(leaders)}"
    found = []
    for head in reversed(shown.leaders):
        line = plain_curve(f"head {head}", "val", shown.steps, shown.apart[:, shown.at(head)])
        if head in leaders:
            line = replace(line, hue=leaders.index(head))
        else:
            line = replace(line, label=rest, group=rest, kind="fit", hue=GREY, twin=True, ghost=True)
        found.append(line)
    return found


def _pricing(pair: Healing, priced: Careers | None) -> None:
    """Offer to price the heads, or say how far that is."""
    wanted = careers.to_price(pair)
    under_way = _rankings(pair)
    moments = len(wanted) // 2
    done = len(priced.steps) if priced else 0
    if under_way:
        share = max((job.share for job in under_way), default=0.0)
        st.progress(
            min(1.0, (len(wanted) - len(under_way) + share) / len(wanted)),
            f"Pricing every head: {len(under_way)} of {len(wanted)} rankings to go",
        )
    elif done < moments:
        st.button(
            f"Price every head at {moments} moments",
            icon=":material/leaderboard:",
            key="healing.price",
            on_click=_price,
            args=(pair.wounded.slug, pair.twin.slug),
            disabled=any(run.state.active for run in (pair.wounded, pair.twin)),
            help=f"{len(wanted)} rankings by zero, one after the other in the queue: of both runs, at moments spread "
            "evenly from the wound to the end. What was ranked before is not measured again.",
        )


def _table(shown: Careers) -> None:
    ends: list[Takeover] = careers.takeovers(shown)
    errors = {one.key: one.more[1] for one in ends}
    rows = []
    for head in shown.leaders:
        at = shown.at(head)
        row: dict[str, object] = {
            "head": head,
            "first": shown.healed[0, at],
            "healed": shown.healed[-1, at],
            "twin": shown.twin[-1, at],
            "more": shown.apart[-1, at],
        }
        row |= {"se": errors[head]} if ends else {}
        rows.append({**row, "career": shown.healed[:, at].tolist(), "beside": shown.twin[:, at].tolist()})
    number, line = st.column_config.NumberColumn, st.column_config.LineChartColumn
    # one scale for all lines of both columns, so that they can be compared
    low, high = float(min(shown.healed.min(), shown.twin.min())), float(max(shown.healed.max(), shown.twin.max()))
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=min(250, 38 + 35 * len(rows)),
        column_config={
            "head": st.column_config.TextColumn("Head", help="Layer and number."),
            "first": number("At the wound", format="%.4f", help="The others being off, nothing trained since."),
            "healed": number("Healed", format="%.4f", help="At the last moment."),
            "twin": number("In the twin", format="%.4f", help="At the last moment."),
            "more": number("More than twin", format="%+.4f", help="The wounded run's head less the twin's."),
            "se": number("± SE", format="%.4f", help="As if the runs' windows were independent: rather too large."),
            "career": line("Since the wound", y_min=low, y_max=high, help="In the wounded run."),
            "beside": line("In the twin", y_min=low, y_max=high, help="Over the same steps."),
        },
    )
