"""Lines that move: what Markdown says of them arrives in pieces, whatever a run is called."""

import random

from pages.ui.components.controls.live_line import pieces
from pages.ui.run import buttons
from pages.ui.wording import plain
from tests.conftest import make_run

SIGNS = "ab *_`~$[](){}<>|\\:#-+&;.@1\n"


def test_a_name_of_any_signs_is_one_piece_of_them():
    draw = random.Random(7)
    names = ["".join(draw.choices(SIGNS, k=draw.randint(1, 12))) for _ in range(2000)]
    names += ["**", ":red-badge[x]", ":material/build:", "www.a.b", "&lt;b&gt;", "a\\", "**:blue-badge[**"]
    for name in names:
        told = pieces(f"**{plain(name)}** :blue-badge[{plain('run]ning')}] on the CPU{plain(name)}")
        assert told == [
            {"text": name, "kind": "strong"},
            {"text": " "},
            {"text": "run]ning", "kind": "blue", "icon": ""},
            {"text": f" on the CPU{name}"},
        ], repr(name)


def test_a_badge_has_its_colour_and_its_icon():
    run = make_run("bigram")
    told = pieces(f":orange-badge[:material/build: broken] {buttons.state_badge(run)}")

    assert told == [
        {"text": "broken", "kind": "orange", "icon": "build"},
        {"text": " "},
        {"text": str(run.state), "kind": buttons.COLOURS[run.state], "icon": ""},
    ]
