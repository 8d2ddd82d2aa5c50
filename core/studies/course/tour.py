"""The stations of the tour, in their order: each a page, what it points at, and one act."""

from collections.abc import Mapping

from core.ladder.registry import RUNGS
from core.studies.course.station import Address, Brings, Moves, Reproduces, Station, Trains

_ALL = (
    Station(
        "first",
        "A model learns",
        "ladder",
        ".st-key-first-train",
        "A model begins with random numbers and guesses blindly. What it learns shows as a loss that falls.",
        "Press **Train one yourself**, and watch the curve.",
        Trains("mlp"),
    ),
    Station(
        "text",
        "Text becomes numbers",
        "text",
        ".st-key-corpus-typed",
        "A model reads no letters. Every character has a number: its place in the alphabet.",
        "Type your name and press Enter.",
        Moves("corpus.typed"),
    ),
    Station(
        "descent",
        "Downhill",
        "gradient_descent",
        ".st-key-rate",
        "Learning is going downhill by the gradient. The learning rate says how far each step goes.",
        "Raise **Learning rate**, and see who leaves the map.",
        Moves("rate"),
    ),
    Station(
        "pairs",
        "A table is a model",
        "bigram",
        ".st-key-bigram-tab",
        "The bigram knows one thing: how likely each character is to follow each other one.",
        "Open **The table**, and find the row of q.",
        Address("tab", "pairs"),
        shows="bigram",
    ),
    Station(
        "memory",
        "Memory fades",
        "recurrent",
        ".st-key-recurrent-tab",
        "A recurrent network hands a memory on from character to character. It is measured how long anything lasts.",
        "Open **Memory span**.",
        Address("tab", "memory_span"),
        shows="recurrent",
    ),
    Station(
        "reach",
        "Twice as far",
        "wavenet",
        ".st-key-wavenet-model-n_layer",
        "Each layer of the WaveNet doubles how far back it sees, for one layer's parameters more.",
        "Move **Layers**, and watch the number of parameters on **Train**.",
        Moves("wavenet.model.n_layer"),
        shows="wavenet",
    ),
    Station(
        "skips",
        "A straight road down",
        "residual",
        ".st-key-residual-model-skip",
        "A skip adds what came into a layer to what comes out of it, so that the gradient reaches the bottom of a deep "
        "stack.",
        "Turn **Skip** down to 0: these are the settings of the twin that learns worse.",
        Moves("residual.model.skip"),
        shows="residual",
    ),
    Station(
        "attention",
        "Who looks at whom",
        "attention",
        ".st-key-attention",
        "In a Transformer each character looks back at the earlier ones. Every small map is one head.",
        "Click a letter of the text: it shows what that letter looks at.",
        Address("query"),
        shows="transformer",
    ),
    Station(
        "prediction",
        "Layer by layer",
        "prediction",
        ".st-key-view",
        "A prediction grows on its way up. The logit lens reads it off after every layer.",
        "Open **Logit lens**.",
        Address("view", "lens"),
        shows="transformer",
    ),
    Station(
        "knockout",
        "Switch a part off",
        "knockout",
        ".st-key-knockout-board-0",
        "What a part is for shows when it is missing. The number is how much the loss rises without it.",
        "Click a cell: that part is off, and what the model writes changes.",
        Address("off"),
        shows="transformer",
    ),
    Station(
        "write",
        "Let it write",
        "write",
        ".st-key-write-go",
        "Writing is drawing one character after another. The temperature says how daring the draws are.",
        "Press **Write**.",
        Brings("written"),
        shows="transformer",
    ),
    Station(
        "claims",
        "Do not believe it",
        "claims",
        ".st-key-claims-counting",
        "Ten sentences of papers, each with a rule that was set before anything ran. Whether it holds is measured.",
        "Open one and press **Reproduce**. Its runs go on by themselves, or you cancel them.",
        Reproduces(),
    ),
)


def _there(station: Station) -> bool:
    """Whether the rung that a station is about is declared."""
    act = station.act
    needed = {station.shows, act.rung if isinstance(act, Trains) else ""} - {""}
    return needed <= RUNGS.keys()


STATIONS: Mapping[str, Station] = {station.key: station for station in _ALL if _there(station)}
"""By key, in their order; without those about a rung that is not declared."""


def after(key: str) -> Station | None:
    """The station behind another; None behind the last."""
    keys = list(STATIONS)
    place = keys.index(key) + 1
    return STATIONS[keys[place]] if place < len(keys) else None


def before(key: str) -> Station | None:
    """The station in front of another; None in front of the first."""
    keys = list(STATIONS)
    place = keys.index(key) - 1
    return STATIONS[keys[place]] if place >= 0 else None


def first_open(marks: Mapping[str, str]) -> Station | None:
    """The first station that was not done; None if all were."""
    return next((station for station in STATIONS.values() if station.mark not in marks), None)
