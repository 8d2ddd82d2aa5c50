"""Lines that move: what is said of a run is told once, and has the same words whether it moves or stands still."""

import random

from pages.ui.components.controls.live_line import Piece, line, markdown
from pages.ui.run import buttons
from pages.ui.wording import plain
from tests.conftest import make_run

SIGNS = "ab *_`~$[](){}<>|\\:#-+&;.@1\n"


def test_a_name_of_any_signs_is_one_piece_of_them():
    draw = random.Random(7)
    names = ["".join(draw.choices(SIGNS, k=draw.randint(1, 12))) for _ in range(200)]
    names += ["**", ":red-badge[x]", ":material/build:", "www.a.b", "&lt;b&gt;", "a\\", "**:blue-badge[**"]
    for name in names:
        pieces = [Piece(name, "strong"), Piece(" "), Piece("run]ning", "blue", "build"), Piece(f" on the CPU{name}")]

        assert [each["text"] for each in line(pieces)["pieces"]] == [name, " ", "run]ning", f" on the CPU{name}"]
        still = f"**{plain(name)}** :blue-badge[:material/build: run\\]ning]{plain(f' on the CPU{name}')}"
        assert markdown(pieces) == still, repr(name)


def test_a_run_says_the_same_whether_it_moves_or_not():
    run = make_run("bigram")
    moving = buttons.headline_line(run)["pieces"]

    assert moving[0] == {"text": run.name, "kind": "strong", "icon": ""}
    assert moving[2] == {"text": str(run.state), "kind": buttons.COLOURS[run.state], "icon": ""}
    assert buttons.state_badge(run) == markdown([Piece(**moving[2])])
