"""All figures at once, as a page of Markdown that names the machine: `make bench`, with NANOGPT=folder for the peer."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch

from core import files, paths
from core.bench import sample, train
from core.bench.ingredients import ingredients
from core.training import devices

FILE = Path("docs") / "benchmarks.md"
BY_HAND = "## Measured by hand"
"""From this line on the page is kept as it is."""
TARGET = 1.916  # where nanoGPT's CPU recipe ends


def machine() -> str:
    """Name what `auto` trains on and in, the processor that writes, the threads and torch."""
    device = devices.resolve("auto")
    trains = f"{devices.name_of(device)} in {devices.precision_name(devices.precision('auto', device))}"
    writes = "" if device.type == "cpu" else f" (writing: {devices.processor()} in float32)"
    threads = f"{torch.get_num_threads()} of {psutil.cpu_count()} cores"
    return f"{trains}{writes}, {threads}; torch {torch.__version__}, one process at a time"


def write(*, seeds: int, rounds: int, beside: Path | None) -> dict[str, Any]:
    """Measure, write the page, and return the figures."""
    found: dict[str, Any] = {
        "A step of the preset seconds beside one of nanoGPT's CPU recipe": train.train(
            "seconds", to=None, seeds=1, rounds=4 * rounds, batch=None, beside=beside
        ),
        f"To a validation loss of {TARGET}": train.train(
            "seconds", to=TARGET, seeds=seeds, rounds=rounds, batch=None, beside=beside
        ),
        "Steps at the reference sizes, batch 16": train.train(
            "reference", to=None, seeds=1, rounds=max(2, rounds // 3), batch=16, beside=beside
        ),
        "Writing, reference sizes": sample.sample(
            "transformer", "reference", texts=(1, 16), rounds=max(2, rounds // 3), beside=beside
        ),
        "Writing, WaveNet of reach 128": sample.sample("wavenet", "best", texts=(1, 16), rounds=rounds, beside=None),
    }
    if beside is not None:
        found["Loss in the time of nanoGPT's CPU recipe"] = train.in_time(beside, seeds=seeds, rounds=4 * rounds)
    other = (
        "nanoGPT as it is, on the same device and threads, in the format named"
        if beside
        else "nothing; the naive loop when writing"
    )
    lines = [
        "# Benchmarks",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}. Beside it in turn: {other}. Medians; seconds are those "
        "of the steps alone, without imports, start-up and evaluation, which are given apart. `make bench` makes it.",
    ]
    for title, figures in found.items():
        lines += ["", f"## {title}", "", "| figure | value |", "|---|---|", *_rows(figures)]
    worth = ingredients(seeds)
    lines += [
        "",
        "## What each ingredient of the quick recipe is worth",
        "",
        f"The preset `seconds` without it, mean of {seeds} seeds; its worth is the mean difference on the same seed, "
        "with its standard error, in nats a character.",
        "",
        "| ingredient | without it | validation loss | worth |",
        "|---|---|---|---|",
        f"| all of them | | {worth[0]['val_loss']:.3f} | |",
    ]
    for row in worth[1:]:
        error = row["standard_error"]
        told = f"{row['worth']:.3f}" + (f" ± {error:.3f}" if error is not None else "")
        lines.append(f"| `{row['ingredient']}` | {row['without']} | {row['val_loss']:.3f} | {told} |")
    page = paths.ROOT / FILE
    _, heading, kept = page.read_text(encoding="utf-8").partition(f"\n{BY_HAND}") if page.exists() else ("", "", "")
    lines += [f"{heading}{kept.rstrip()}"] if heading else []
    files.replace(page, ("\n".join(lines) + "\n").encode())
    return found | {"ingredients": worth}


def _rows(figures: dict[str, Any], prefix: str = "") -> list[str]:
    rows = []
    for name, value in figures.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _rows(value, f"{label}: ")
        elif isinstance(value, list):
            for item in value:
                rows += _rows({k: v for k, v in item.items() if k != "seed"}, f"seed {item['seed']}: ")
        else:
            rows.append(f"| {label} | {value:,.4g} |" if isinstance(value, float) else f"| {label} | {value} |")
    return rows
