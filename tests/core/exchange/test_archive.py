"""A run leaves as a zip file and comes back; nothing else gets in. And its other exports."""

import csv
import io
import json
import re
import stat
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_tensors

from core import paths
from core.cli.main import main
from core.errors import BardlabError
from core.exchange import archive, export
from core.exchange.reference_gpt import to_reference
from core.models.transformer import Transformer, TransformerConfig
from core.runs import checkpoints, editing, folder, layout, reading, records, requests
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.metrics import VAL_LOSS, MetricsReader
from core.runs.requests import Change
from core.runs.state import Run
from core.studies import report
from core.studies.report_words import Words
from core.training.watch import Alert
from tests.conftest import copied, make_run
from tests.core.studies.test_compare import ended
from tests.fuzz_imports import fuzz


def packed(run: Run, **changes: bytes | None) -> bytes:
    """An exported run with files replaced, added or left out (None)."""
    out = io.BytesIO()
    with zipfile.ZipFile(archive.export_run(run)) as whole, zipfile.ZipFile(out, "w") as spoiled:
        for name in whole.namelist():
            inside = name.partition("/")[2]
            if inside not in changes:
                spoiled.writestr(name, whole.read(name))
        for name, content in changes.items():
            if content is not None:
                spoiled.writestr(f"{run.path.name}/{name}" if not name.startswith(("/", "..")) else name, content)
    return out.getvalue()


def test_a_round_trip_keeps_weights_curves_and_samples(finished: Run, tmp_path: Path):
    editing.annotate(editing.rename(finished, "My best"), "worth keeping")
    file = archive.export_run(finished, tmp_path / "best.zip")
    editing.delete(finished)
    run = archive.bring_in(file)
    again = archive.bring_in(file.read_bytes(), file_name="best.zip")

    assert run.state is State.FINISHED and run.damage is None
    assert (run.name, run.note) == ("My best", "worth keeping") and again.name == "best"
    assert run.status.val_loss == finished.status.val_loss and len(records.samples(run.path)) == 3
    curve = MetricsReader(run.path).refresh().curve(VAL_LOSS)
    assert curve[1].tolist() == pytest.approx([loss for _, loss in records.validation_curve(run.path)])
    a, b = checkpoints.load_model(run)[0].state_dict(), checkpoints.load_model(again)[0].state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not (run.path / layout.TRAINER).exists()  # nothing is left to resume


def test_what_happened_on_the_way_travels_with_the_run(finished: Run):
    """The best weights, the alerts, and the changes of the learning rate that a resumed run repeats."""
    requests.keep(finished.path, [Change(2, "learning_rate", 0.002, 0.001), Change(3, "steps", 9.0, 4.0)])
    records.append(finished.path, Alert(2, "spike", "it jumped\n<b>"))
    run = archive.bring_in(archive.export_run(finished))

    assert requests.changes(run.path) == [Change(2, "learning_rate", 0.002, 0.001)]
    assert records.alerts(run.path) == [Alert(2, "spike", "it jumped?<b>")]
    a, b = (checkpoints.load_model(r, "best")[0].state_dict() for r in (finished, run))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_name_asked_for_is_given_or_nothing_is_there(finished: Run, tmp_path: Path):
    file = archive.export_run(finished, tmp_path / "x.zip")

    assert archive.bring_in(file, "Other").name == "Other"
    with pytest.raises(BardlabError, match="another run is called"):
        archive.bring_in(file, "Other")
    assert len(reading.list_runs()) == 2


def changed(run: Run, file: str, **values: object) -> bytes:
    """One of the run's JSON files with values replaced."""
    return json.dumps({**json.loads((run.path / file).read_text()), **values}).encode()


REFUSED = {
    "a path upwards": (lambda run: packed(run, **{"../../evil": b"x"}), "unsafe name ../../evil"),
    "an absolute path": (lambda run: packed(run, **{"/etc/evil": b"x"}), "unsafe name /etc/evil"),
    "a drive": (lambda run: packed(run, **{"C:/evil": b"x"}), "unsafe name"),
    "backslashes": (lambda run: packed(run, **{"..\\evil": b"x"}), "unsafe name"),
    "no settings": (lambda run: packed(run, **{"config.json": None}), "does not hold one run"),
    "no weights": (lambda run: packed(run, **{"model.safetensors": None}), "model.safetensors is missing"),
    "cut weights": (lambda run: packed(run, **{"model.safetensors": b"\x10" * 40}), "holds a damaged run"),
    "another model": (
        lambda run: packed(run, **{"config.json": changed(run, "config.json", model={"n_layer": 1, "n_head": 1})}),
        "weights that",
    ),
    "a text by path": (
        lambda run: packed(run, **{"config.json": changed(run, "config.json", corpus="../../etc/passwd")}),
        "names no text of this lab",
    ),
    "a date": (
        lambda run: packed(run, **{"config.json": changed(run, "config.json", created="<b>")}),
        "its date",
    ),
    "an alphabet": (
        lambda run: packed(run, **{"config.json": changed(run, "config.json", characters="aab")}),
        "its alphabet",
    ),
    "other best weights": (
        lambda run: packed(run, **{"best.safetensors": save_tensors({"x": torch.zeros(100_000)})}),
        "weights that do not fit",
    ),
    "an impossible rate": (
        lambda run: packed(run, **{"changes.jsonl": b'{"step": 1, "name": "learning_rate", "value": 1e300, "old": 1}'}),
        "train.learning_rate",
    ),
    "a negative step": (
        lambda run: packed(run, **{"status.json": changed(run, "status.json", step=-1)}),
        "gives step an impossible value",
    ),
    "junk": (lambda run: b"PK\x03\x04 junk", "not a"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_suspicious_is_refused_in_one_line(case: str, finished: Run, home: Path):
    make, reason = REFUSED[case]
    content = make(finished)
    before = sorted(str(p) for p in home.rglob("*"))
    with pytest.raises(BardlabError) as error:
        archive.import_run(content, file_name="run.zip")

    assert reason in str(error.value) and "\n" not in str(error.value)
    assert sorted(str(p) for p in home.rglob("*")) == before


def test_links_and_bombs_are_refused(finished: Run, monkeypatch: pytest.MonkeyPatch):
    content = packed(finished)
    linked = io.BytesIO(content)
    with zipfile.ZipFile(linked, "a") as zipped:
        entry = zipfile.ZipInfo("run/log2.txt")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(entry, "/etc/passwd")
    with pytest.raises(BardlabError, match="holds a link"):
        archive.import_run(linked.getvalue())
    monkeypatch.setattr(archive, "LARGEST", 1000)
    with pytest.raises(BardlabError, match="at most 2 GB"):
        archive.import_run(content)


def test_what_a_stranger_wrote_into_it_does_no_harm(finished: Run):
    """Names, notes, versions and messages are shown as text, so they are kept short and printable; the rest goes."""
    label = json.dumps({"name": "../../x\n" + "n" * 300, "note": "a\u202eb", "pinned": True}).encode()
    status = changed(finished, "status.json", message="<script>", pid=1, device="<b>")
    config = changed(finished, "config.json", preset="<b>", parent="../../x", group="<b>", versions={"<b>": "1"})
    changes = {"label.json": label, "status.json": status, "config.json": config, "export/x.html": b"<script>"}
    run = archive.import_run(packed(finished, **changes), file_name="<b>.zip")
    told = run.need()

    assert run.path.parent == paths.runs() and re.fullmatch(r"transformer-[a-z]+-[a-z]+", run.path.name)
    assert len(run.name) <= 60 and "\n" not in run.name and run.note == "ab" and not run.pinned
    assert (told.preset, told.parent, told.group, told.versions) == (None, None, None, {})
    assert run.status.message == "imported from _b_.zip" and run.status.pid is None and run.status.device == ""
    assert not (run.path / "export").exists()


def test_a_busy_run_is_not_exported():
    with pytest.raises(BardlabError, match="is queued; stop it first"):
        archive.export_run(make_run("bigram"))


def test_safetensors_of_the_reference_layout_become_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus):
    """The same weights as .pth and as .safetensors give the same run; told apart by content, not by name."""
    from core.exchange import weights

    monkeypatch.setattr(weights, "evaluate", lambda *_: type("E", (), {"loss": 3.0})())
    torch.manual_seed(1)
    state = to_reference(Transformer(TransformerConfig(n_layer=1, n_head=2, d_model=8, context=8), 65))
    torch.save(state, tmp_path / "a.safetensors")
    (tmp_path / "b.pth").write_bytes(save_tensors(state))
    first, second = archive.bring_in(tmp_path / "a.safetensors"), archive.bring_in(tmp_path / "b.pth")
    a, b = (checkpoints.load_model(run)[0].state_dict() for run in (first, second))

    assert all(torch.equal(a[name], b[name]) for name in a)
    state["lm_head.bias"] = torch.full_like(state["lm_head.bias"], float("nan"))
    with pytest.raises(BardlabError, match="65 weights that are not finite"):
        archive.bring_in(save_tensors(state), file_name="nan.safetensors")
    with pytest.raises(BardlabError, match="damaged safetensors"):
        archive.bring_in(save_tensors(state)[:-7], file_name="cut.safetensors")


def test_fuzzed_imports_are_taken_or_refused_in_one_line():
    """The short form; the long one is `python -m tests.fuzz_imports`."""
    result = fuzz(examples=80, number=1)

    assert result["failures"] == []
    assert result["inputs"] >= 60 and min(result["refused"].values()) > 0 and result["taken"]["run"] > 0


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "CON", "a/b", "x" * 60])
def test_a_name_never_becomes_a_path(name: str, finished: Run, home: Path):
    """Names are kept in label.json; folders and exports are called by the address, which the lab makes itself."""
    before = {str(p.relative_to(home)) for p in home.rglob("*")}
    run = editing.rename(finished, name)
    file = archive.export_run(run)
    after = {str(p.relative_to(home)) for p in home.rglob("*")}

    assert run.name == name and run.path == finished.path and file.name == f"{run.path.name}.zip"
    assert {Path(p).name for p in after - before} == {folder.LABEL, "export", file.name}


@pytest.mark.parametrize("name", ["x" * 300, "<b>x</b>", "a\nb<", "$x$", "`x`", "[x](y)", "", "\u202e"])
def test_names_with_markup_are_refused(name: str, finished: Run):
    with pytest.raises(BardlabError, match="a name has 1 to 60"):
        editing.rename(finished, name)


def test_notes_and_pins_are_kept_beside_the_name(finished: Run):
    editing.pin(editing.annotate(editing.rename(finished, "First"), "  two\nlines <b>  "), True)
    run = reading.read(finished.path)

    assert (run.name, run.note, run.pinned) == ("First", "two\nlines <b>", True)
    assert not editing.pin(run, False).pinned and editing.annotate(run, "").note == ""
    with pytest.raises(BardlabError, match="at most 2,000"):
        editing.annotate(run, "x" * 2001)


# --- other exports ---------------------------------------------------------------------------------------------------


def test_the_table_of_curves_holds_every_point(finished: Run):
    rows = list(csv.DictReader(export.curves_csv(finished).read_text().splitlines()))
    told = {int(row["step"]): float(row["val/loss"]) for row in rows if row["val/loss"]}
    metrics = MetricsReader(finished.path).refresh()

    assert told == {int(s): pytest.approx(v, rel=1e-6) for s, v in zip(*metrics.curve(VAL_LOSS), strict=True)}
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 4] or len(rows) >= 3
    assert float(rows[-1]["flops"]) > 0 and int(rows[-1]["characters"]) == finished.status.characters


class _Page(HTMLParser):
    """Notes what a page would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See one tag."""
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "img", "iframe", "link", "object", "embed"):
            self.bad.append(tag)
        self.bad += [f"{tag} {n}" for n in given if n.startswith("on") or n == "src"]
        self.bad += [f"{tag} {n}" for n, v in given.items() if n.endswith("href") and not v.startswith("#")]


def test_the_report_holds_everything_and_runs_nothing(finished: Run):
    """One file: curves as SVG, settings, command, samples; what a sample contains is text in it."""
    editing.annotate(finished, "<img src=x onerror=alert(1)>")
    sample = records.samples(finished.path)[-1]
    records.append_sample(finished.path, runs_state.Sample(9, 2.0, "<b>", "<script>alert(1)</script>"))
    other = make_run("transformer", seed=3)
    text = report.lab_report([reading.read(finished.path), other]).read_text()
    page = _Page()
    page.feed(text)

    assert page.bad == [] and {"svg", "table", "pre"} <= page.tags
    assert "Content-Security-Policy" in text and "default-src 'none'" in text
    assert "&lt;script&gt;alert(1)" in text and "&lt;img src=x" in text
    assert "python -m core train transformer" in text and f"{finished.status.val_loss:.4f}" in text
    assert "train.seed" in text and sample.prompt == "\n"


def test_the_report_answers_its_question_at_its_top(finished: Run):
    """Note, question, guess, finding, figure, what changed, texts, then the appendix; for one run and for several."""
    note = editing.annotate(finished, "Remember: short run")
    alone = report.html([note])
    base = [ended(make_run("bigram", seed=seed), 2.5 + seed / 1000) for seed in (1, 2, 3)]
    other = [ended(make_run("bigram", seed=seed, batch_size=8), 2.4 + seed / 1000) for seed in (1, 2, 3)]
    words = Words(title="Batches", question="Do larger ones help?", guess="Yes.", conclusion="They do.")
    compared = report.html([*base, *other], words)

    heads = ["Question", "Guess", "Finding", "Figure", "What changed", "Text before and after", "Appendix"]
    places = [alone.index(f"<h2>{head}") for head in heads]
    assert places == sorted(places) and alone.index("Remember: short run") < places[0]
    assert "How well does this Transformer predict the next character of Tiny Shakespeare?" in alone
    assert "None was written down." in alone and "hesitates between" in alone and "At 4." in alone
    for said in ("<h1>Batches</h1>", "Do larger ones help?", "Yes.", "They do."):
        assert said in compared
    assert "batch_size 4 → 8 makes it better by 0.100 ± 0.000 nats a character over 3 seeds." in compared


def test_curves_of_several_runs_are_one_table(finished: Run):
    other = copied(finished.path, "transformer-other")
    one = list(csv.DictReader(io.StringIO(export.curves_csv(finished).read_text())))
    both = list(csv.DictReader(io.StringIO(export.curves_of([finished, other]).decode())))
    assert [row["run"] for row in both] == [finished.slug] * len(one) + [other.slug] * len(one)
    assert [{name: row[name] for name in one[0]} for row in both] == one * 2
    with pytest.raises(BardlabError, match="none of these runs has a curve"):
        export.curves_of([make_run("bigram")])


@pytest.mark.parametrize("what", ["csv", "config", "report", "weights", "zip", "plot"])
def test_each_export_has_its_command(what: str, finished: Run, capsys: pytest.CaptureFixture[str]):
    main(["export", finished.slug, "--what", what, "--json"])
    told = json.loads(capsys.readouterr().out)

    assert Path(told["path"]).stat().st_size > 100 and Path(told["path"]).is_relative_to(finished.path)


def test_an_export_goes_where_it_is_asked_to(finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Into a folder that is made, nothing into the run's own; a report with what its author says."""
    out = tmp_path / "new" / "folder"
    for what in ("csv", "config", "weights", "zip", "plot", "report"):
        main(["export", finished.slug, "--what", what, "--out", str(out), "--author", "Ann <b>", "--guess", "lower"])
    kinds = ("csv", "html", "json", "png", "safetensors", "zip")
    assert sorted(path.name for path in out.iterdir()) == [f"{finished.path.name}.{kind}" for kind in kinds]
    assert not (finished.path / "export").exists()
    text = (out / f"{finished.path.name}.html").read_text()
    assert "Ann &lt;b&gt;" in text and "lower" in text
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["export", finished.slug, "--out", str(tmp_path / "file")])
    assert "error: cannot write" in capsys.readouterr().err


def test_compare_and_notes_from_the_command_line(finished: Run, capsys: pytest.CaptureFixture[str]):
    other = make_run("transformer", seed=3)
    main(["compare", finished.slug, other.slug])
    shown = capsys.readouterr().out
    main(["note", finished.slug, "good"])
    main(["pin", finished.slug])

    assert "train.seed: 1337 | 3" in shown and f"seed 1337 → 3, everything else as in {finished.name}" in shown
    assert (reading.read(finished.path).note, reading.read(finished.path).pinned) == ("good", True)
    with pytest.raises(SystemExit):
        main(["compare", finished.slug])
