"""Races: rungs that start together with something equal, and a leader board while they run."""

from collections.abc import Sequence

import streamlit as st

from core.errors import BardlabError
from core.jobs import timing, turns
from core.runs import reading
from core.runs.state import Race
from core.studies import sweeps
from core.studies.races import board as boards
from core.studies.races import race as racing
from core.studies.races.board import AXES, Board
from core.studies.races.race import Field, Place
from pages.ui import loaders, state, teaching, tell
from pages.ui.choosers.text import text_picker
from pages.ui.components.charts.curves import Curve, curves
from pages.ui.drawings.leader_board import leader_board, line_up_table
from pages.ui.plots.colours import rung_colours
from pages.ui.run.memory_tick import memory_tick
from pages.ui.wording import counted, plain, roughly

RACE = "race"
"""The race looked at, in the address."""
EQUAL = {"parameters": "parameters", "seconds": "time", "steps": "steps"}
USUAL = 3
"""Rungs that start together unless others are chosen: of those that can be made larger, the first ones and the last."""
MORE = 2
"""Seeds that one press adds."""
COMPARED = 20
"""Runs that the page Compare takes at once."""
LISTED = 20


def start(race: Race, lanes: Sequence[racing.Lane]) -> None:
    """Queue a new race and look at it."""
    try:
        made = racing.begin(race, lanes)
    except state.PROBLEMS as error:
        tell.error(state.told(error))
        return
    st.query_params[RACE] = race.key
    state.say_next(f"The race is on: {counted(len(made))}")
    st.rerun()


def go_on(key: str, more: int = 0) -> None:
    """Start what a race lacks, or so many seeds more of it."""
    try:
        field = racing.find(key)
        race = racing.more_seeds(field.race, more)
        made = racing.begin(race, racing.lanes(race, field.text, reading.list_runs()))
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    state.say_next(f"Queued {counted(len(made))}" if made else "All of its runs are there or under way")


def cancel(key: str) -> None:
    """Stop what is under way of a race."""
    try:
        if not racing.cancel(racing.find(key)):
            state.say_error("none of its runs could be stopped: they have ended, or are somebody else's")
    except state.PROBLEMS as error:
        state.say_error(error)


# --- a new one -------------------------------------------------------------------------------------------------------


def chosen() -> tuple[list[str], int, int, int, int, int]:
    """Ask who takes part and what is equal; return names, parameters, steps, seconds, seeds and the first of these."""
    options = {one.key: one for one in racing.entrants()}
    plain_ones = [one for one in options.values() if one.rung.widths and one.preset == one.rung.default_preset]
    usual = [one.key for one in (*plain_ones[: USUAL - 1], *plain_ones[-1:])]
    names = st.multiselect(
        "Rungs",
        list(options),
        usual,
        format_func=lambda key: options[key].title if key in options else key,
        key="race.entrants",
        bind="query-params",
        max_selections=racing.MOST,
        placeholder="Choose two to seven",
        help="The first of each are as their quick preset has them; below them stand other presets.",
    )
    fair = st.segmented_control(
        "Equal",
        list(EQUAL),
        default="parameters",
        required=True,
        format_func=lambda name: EQUAL[name],
        key="race.fair",
        bind="query-params",
        help="Equal parameters: every model is made wider or narrower until it has about so many. Equal time: every "
        "run may train for so long. Equal steps: as many updates, models as their presets have them.",
    )
    row = st.container(horizontal=True, gap="medium")
    parameters = steps = seconds = 0
    if fair == "parameters":
        parameters = int(
            row.number_input(
                "Parameters",
                1_000,
                50_000_000,
                100_000,
                10_000,
                key="race.parameters",
                bind="query-params",
                help="How many each may have.",
            )
        )
    if fair == "seconds":
        seconds = int(
            row.number_input(
                "Seconds",
                1,
                86_400,
                20,
                5,
                key="race.seconds",
                bind="query-params",
                help="How long each run trains, evaluations included.",
            )
        )
    else:
        steps = int(
            row.number_input(
                "Steps", 1, racing.LONGEST, 300, 50, key="race.steps", bind="query-params", help="How many each takes."
            )
        )
    seeds = int(
        row.number_input(
            "Seeds",
            1,
            sweeps.MOST_SEEDS,
            1,
            key="race.seeds",
            bind="query-params",
            help="With several, the board tells a margin from noise.",
        )
    )
    first = int(
        row.number_input(
            "First seed", 0, 2**31 - 100, 1337, key="race.first", bind="query-params", help="The others follow it."
        )
    )
    return names, parameters, steps, seconds, seeds, first


@teaching.part("entry")
@st.fragment
def new_race(text: str) -> None:
    """Choose who takes part and what is equal, see the line-up, and start."""
    left, right = st.columns(2, gap="large")
    with left:
        names, parameters, steps, seconds, seeds, first = chosen()
    places: list[Place] = []
    with right:
        try:
            race = racing.draw_up(
                names, parameters=parameters, steps=steps, seconds=seconds, seeds=seeds, first_seed=first
            )
            places = racing.line_up(race, text)
        except BardlabError as error:
            tell.info(f"{str(error)[:1].upper()}{str(error)[1:]}.", icon=":material/flag:")
            return
        st.html(line_up_table(places))
        for place in places:
            if place.problem:
                tell.warning(f"{place.problem[:1].upper()}{place.problem[1:]}. Leave it out, or choose otherwise.")
        for remark in list(dict.fromkeys(remark for place in places for remark in place.remarks))[:3]:
            tell.caption(remark)
        about = racing.seconds_of(race, places)
        count = len(names) * seeds
        takes = "" if about is None else f", about {roughly(about)} one after another"
        st.caption(
            f"{count:d} runs{takes}. What depends on a run's length, such as a cool-down of the learning rate, is off "
            "for all, so that places in mid-race are fair too."
        )
        if any(place.problem for place in places):
            return
        try:
            lanes = racing.weighed(racing.lanes(race, text), len(loaders.corpus(text).text))
        except BardlabError as error:
            tell.error(error)
            return
        ready = memory_tick("race.short", sweeps.shortage([lane.config for lane in lanes]))
        if st.button(
            "Start the race",
            type="primary",
            icon=":material/flag:",
            key="race.go",
            disabled=not ready,
            help="Ordinary runs that wait their turn for the device; close the tab if you like.",
        ):
            start(race, lanes)


# --- one under way, or over ------------------------------------------------------------------------------------------


def hues(race: Race) -> dict[str, int]:
    """The entrants' places in the theme's colours: each rung's own, unless one takes part twice."""
    known = rung_colours()
    own = [known.get(name.partition(":")[0], 0) for name in race.entrants]
    return dict(zip(race.entrants, own if len(set(own)) == len(own) else range(len(own)), strict=True))


def tracks(field: Field, axis: str, hue: dict[str, int]) -> list[Curve]:
    """The validation losses of all runs over an axis."""
    found = []
    for (name, seed), run in field.runs.items():
        if run is None:
            continue
        read = loaders.reader(run)
        track = boards.track(run, axis, read)
        several = field.race.seeds > 1
        label = racing.title_of(name) + (f", seed {seed}" if several else "")
        found.append(
            Curve(
                f"{run.slug}:{axis}:{read.generation}",
                label,
                "val",
                run.slug,
                track.x,
                track.x,
                track.x,
                track.loss,
                hue=hue[name],
                twin=several,
            )
        )
    return found


def progress(field: Field) -> None:
    """How far it is, and who has to wait."""
    said = f"{len(field.done)} of {len(field.runs)} runs have finished"
    if field.waiting:
        at_once = len(turns.slots(timing.best_device()))
        verb = "waits for its turn" if field.waiting == 1 else "wait for their turn"
        said += f"; {field.waiting:d} {verb}, since this machine trains {at_once:d} at a time"
    st.progress(min(1.0, field.share), said)


@teaching.part("reproduce")
def buttons(field: Field) -> None:
    """What can be done next."""
    key, row = field.race.key, st.container(horizontal=True, gap="small", vertical_alignment="center")
    if field.active:
        row.button(
            "Cancel",
            icon=":material/stop:",
            key="race.cancel",
            on_click=cancel,
            args=(key,),
            help="Stop its runs after their step. They stay, and can go on from there.",
        )
    elif not field.whole:
        row.button(
            "Go on",
            icon=":material/play_arrow:",
            key="race.go-on",
            on_click=go_on,
            args=(key,),
            help="Resume what was stopped or failed, and run again what was deleted.",
        )
    else:
        row.button(
            "More seeds",
            icon=":material/add:",
            key="race.more",
            disabled=racing.more_seeds(field.race, MORE).seeds == field.race.seeds,
            on_click=go_on,
            args=(key, MORE),
            help=f"Run everything with {MORE} more seeds: the interval of the margin gets narrower.",
        )
    slugs = ",".join(run.slug for run in field.there[:COMPARED])
    row.page_link(
        "use/compare.py", label="Its runs", icon=":material/compare_arrows:", query_params={state.RUNS: slugs}
    )


def verdict(found: Board) -> None:
    """Who leads or has won."""
    st.header(plain(found.headline), anchor=False)
    st.markdown(plain(f"{found.sentence}."))


@teaching.part("board")
@st.fragment
def result(key: str) -> None:
    """The curves and the leader board of one race; both follow while it runs."""
    members = racing.races(loaders.listing(within=1.0)).get(key)
    if not members:
        st.caption("This race is no longer here: its runs were deleted.")
        return
    field = racing.field_of(members)
    head = st.container()
    left, right = st.columns([3, 2], gap="large")
    with left:
        axis = st.segmented_control(
            "Over",
            list(AXES),
            default="steps",
            required=True,
            format_func=lambda name: "FLOPs" if name == "flops" else name,
            key="over",
            bind="query-params",
            help="What the losses are set against, and at which place of it they are compared. Steps and characters "
            "say what was seen, seconds and FLOPs what it cost.",
        )
        found = boards.board(field, axis, loaders.reader)
        with head:
            verdict(found)
        curves(
            tracks(field, axis, hues(field.race)),
            live=bool(field.active),
            interval=2.0,
            key=f"race-{axis}",
            palette="races",
            x_label=AXES[axis].title,
            y_label="validation loss (nats per character)",
            log="x" if axis in ("characters", "flops") else "",
            height=330,
        )
    with right:
        st.html(leader_board(found, hues(field.race)))
        if field.active:
            progress(field)
        for line in [] if field.active else field.lacking[:5]:
            tell.caption(f"{line}.")
        buttons(field)
        st.caption("Seconds are each run's own, its wait left out. A loss between two evaluations is on the line.")


def past(fields: Sequence[Field]) -> None:
    """All races on this text."""
    st.dataframe(
        [
            {"Race": field.title, "Result": boards.board(field, "steps", loaders.reader).sentence}
            for field in fields[:LISTED]
        ],
        hide_index=True,
    )


state.notices()
everything = racing.races(loaders.listing())
asked = st.query_params.get(RACE, "")
if asked in everything and st.session_state.get("race.asked") != asked:  # a link: to its text
    st.query_params[state.TEXT] = everything[asked][0].need().corpus
left, right = st.columns(2, gap="medium")
with left:
    text = text_picker("Text", "Races are run on it, and only races on it are shown.")
here = {key: members for key, members in everything.items() if members[0].need().corpus == text}
if asked and asked not in everything:
    tell.warning(f"There is no race “{asked[:60]}” here.", icon=":material/search_off:")
if here:
    if asked in here and st.session_state.get("race.asked") != asked:
        st.session_state["race.shown"] = asked
    fields = {key: racing.field_of(members) for key, members in here.items()}
    looked_at = right.selectbox(
        "Race",
        list(here),
        format_func=lambda key: fields[key].title if key in fields else key,
        key="race.shown",
        help="The newest first. Its address is in the page's URL.",
    )
    st.query_params[RACE] = st.session_state["race.asked"] = looked_at
    result(looked_at)
    with st.expander("New race", icon=":material/flag:"):
        new_race(text)
    if len(fields) > 1:
        with st.expander("Past races", icon=":material/history:"):
            past([*fields.values()])
else:
    st.query_params.pop(RACE, None)
    st.markdown(
        "Rungs start together with something equal: the size of their models, the time they may train, or their steps. "
        "A leader board ranks them by validation loss at the place that all have reached."
    )
    new_race(text)
