"""The leader board and the line-up of a race, as tables."""

from collections.abc import Sequence
from html import escape

from core.settings import shown
from core.studies.races.board import Board
from core.studies.races.race import Place
from pages.ui.plots.colours import colours
from pages.ui.run.setting_names import in_words
from pages.ui.wording import roughly

STYLE = """<style>
.race { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
.race th { font-weight: 400; font-size: 0.8rem; text-align: left; padding: 0.15rem 0.4rem; }
.race td { padding: 0.4rem; vertical-align: top; border-top: 1px solid light-dark(#ded8ca, #3b3942); }
.race .n { text-align: right; white-space: nowrap; }
.race .place { width: 1.6rem; font-size: 1.05rem; font-family: Georgia, 'Times New Roman', 'DejaVu Serif', serif; }
.race .first td { font-weight: 600; }
.race small { display: block; font-weight: 400; font-size: 0.78rem; opacity: 0.82; }
.race i { display: inline-block; width: 0.65rem; height: 0.65rem; border-radius: 50%; margin-right: 0.45rem; }
.race caption { caption-side: top; text-align: left; font-size: 0.8rem; padding: 0 0.4rem 0.3rem; opacity: 0.82; }
</style>"""


def leader_board(board: Board, hues: dict[str, int]) -> str:
    """Return who is ahead as an HTML table; `hues` are the entrants' places in the theme's colours."""
    palette = colours() or ["gray"]
    best = board.leader.mean if board.leader else None
    rows = []
    for place, row in enumerate(board.rows, 1):
        ranked = row.mean is not None and best is not None
        loss = f"{row.mean:.4f}" if row.mean is not None and ranked else "–"
        behind = f"+{row.mean - best:.4f}" if row.mean is not None and best is not None and place > 1 else ""
        about = [row.standing, f"{row.parameters:,} parameters" if row.parameters is not None else ""]
        colour = palette[hues[row.name] % len(palette)]
        rows.append(
            f'<tr class="{"first" if ranked and place == 1 else ""}"><td class="place">{place if ranked else "–"}</td>'
            f'<td><i style="background:{escape(colour)}"></i>{escape(row.title)}'
            f"<small>{escape(' · '.join(filter(None, about)))}</small></td>"
            f'<td class="n">{loss}</td><td class="n">{behind}</td></tr>'
        )
    count = len(board.seeds)
    over = f", mean over {count} seeds" if count > 1 else ""
    where = f"At {board.where}, which all that are ranked have reached{over}" if board.where else "Not ranked yet"
    return (
        f'{STYLE}<table class="race"><caption>{escape(where)}</caption><thead><tr><th scope="col">Place</th>'
        '<th scope="col">Rung</th><th scope="col" class="n">Loss</th><th scope="col" class="n">Behind</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def line_up_table(places: Sequence[Place]) -> str:
    """Return who would start, how large and for how long, as an HTML table."""
    rows = []
    for place in places:
        size = place.sized.told if place.sized else f"{place.cost.parameters:,}"
        changed = place.sized.changed if place.sized else {}
        told = ", ".join(f"{in_words(name)} {shown(value)}" for name, value in changed.items())
        near = f"{place.sized.off:+.1%}".replace("-", "−") if place.sized else ""
        time = "–" if place.seconds is None else roughly(place.seconds)
        rows.append(
            f"<tr><td>{escape(place.entrant.title)}<small>{escape(told)}</small></td>"
            f'<td class="n">{size}<small>{near}</small></td><td class="n">{time}</td></tr>'
        )
    return (
        f'{STYLE}<table class="race"><caption>The line-up</caption><thead><tr><th scope="col">Rung</th>'
        '<th scope="col" class="n">Parameters</th><th scope="col" class="n">A run takes</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
