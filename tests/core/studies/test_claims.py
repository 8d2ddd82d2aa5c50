"""Claims: rules that decide, runs that are shared, resumed and made again, evidence that is read with care."""

import json
import math
from pathlib import Path

import pytest

from core import system
from core.cli.main import main
from core.errors import BardlabError
from core.exchange import archive
from core.jobs import control, work
from core.runs import editing, reading, state
from core.runs.folder import State
from core.runs.state import Run
from core.studies import findings, sweeps, together
from core.studies.claims import evidence, measuring, registry, reproduction
from core.studies.claims.claim import Arm, Claim, Criterion, Estimate, Finding, Picture, Verdict
from core.studies.claims.declared.vowels import shuffled
from core.studies.claims.figuring import bars, difference, level, over_seeds, slope
from core.texts import own as texts_own
from tests.conftest import SHORT, make_run

TEXT = "tinyshakespeare"
ARMS = tuple(
    Arm(f"rate{rate:g}", f"rate {rate:g}", "bigram", {}, {**SHORT, "learning_rate": rate}) for rate in (0.01, 1.0)
)
SMALL = Claim(
    key="small",
    title="Small",
    year=2000,
    paper="Nobody (2000)",
    paper_url="https://doi.org/10.1",
    sentence="A table learns faster with larger steps.",
    compared="Two rates.",
    arms=ARMS,
    criteria=(Criterion("loss, rate 1 minus rate 0.01", difference("loss", "rate1", "rate0.01"), below=0.0),),
    measure=measuring.curve("kl/counted", "kl"),
    picture=lambda figures: bars(figures, ARMS, {"loss": "loss"}, "nats"),
    seeds=2,
    part=3000,
    characters=3000,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Claim:
    """A claim of two arms that takes seconds, known by its name."""
    monkeypatch.setitem(registry.CLAIMS, SMALL.key, SMALL)
    return SMALL


def estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, "", 3)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-3.0, -1.0, Verdict.REPRODUCED),
        (-1.0, 1.0, Verdict.OPEN),
        (0.0, 1.0, Verdict.NOT_REPRODUCED),
        (-math.inf, math.inf, Verdict.OPEN),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, verdict: Verdict):
    below = Criterion("a number", lambda figures: None, below=0.0)
    above = Criterion("a number", lambda figures: None, above=0.0)
    both = Criterion("a number", lambda figures: None, above=-4.0, below=0.0)

    assert below.verdict(estimate(low, high)) is verdict
    assert above.verdict(estimate(-high, -low)) is verdict
    assert both.verdict(estimate(low, high)) is verdict
    assert below.verdict(None) is Verdict.OPEN
    assert "no interval" in Finding(Criterion("x", lambda f: estimate(-math.inf, math.inf), below=0.0), Estimate(
        1.0, -math.inf, math.inf, "", 1)).sentence  # fmt: skip


def test_a_difference_is_the_products_own_paired_one():
    figures = {
        "new": {1: {"loss": 2.0}, 2: {"loss": 2.3}, 3: {"loss": 9.0}},
        "old": {1: {"loss": 2.5}, 2: {"loss": 2.6}},
    }
    found = difference("loss", "new", "old")(figures)
    same = findings.Finding("", (1, 2), (-0.5, -0.3), None)

    assert found and found.seeds == 2, "a seed without its twin does not count"
    assert found.value == pytest.approx(same.mean) and found.high - found.value == pytest.approx(same.half_width)
    assert "paired by seed" in found.method
    one = level("loss", "new")({"new": {1: {"loss": 2.0}}})
    assert one and math.isinf(one.high), "one seed has no interval"
    assert level("loss", "old")({}) is None and over_seeds(lambda arms: math.nan)(figures) is None
    assert slope([0, 1, 2], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)


def test_a_verdict_over_several_criteria():
    claim = Claim(
        **{
            **{name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__},
            "criteria": (
                Criterion("a", level("a", "x"), above=0.0),
                Criterion("b", level("b", "x"), above=0.0),
            ),
        }
    )

    def judged(a: tuple[float, float], b: tuple[float, float]) -> Verdict:
        return claim.judge({"x": {i: {"a": a[i], "b": b[i]} for i in (0, 1)}}).verdict

    assert judged((1.0, 1.0), (2.0, 2.0)) is Verdict.REPRODUCED
    assert judged((1.0, 1.0), (-2.0, 2.0)) is Verdict.OPEN
    assert judged((1.0, 1.0), (-2.0, -2.0)) is Verdict.NOT_REPRODUCED
    assert judged((-1.0, 9.0), (-2.0, -2.0)) is Verdict.NOT_REPRODUCED


def test_shuffled_labels_are_a_fair_comparison():
    """Neighbours in pairs of one class cannot be had by chance; neighbours that ignore the class can."""
    letters = "aeioubcdfghjklmnpqrstvwxyz"
    together = {a: "e" if a == "a" else "a" if a in "eiou" else "c" if a == "b" else "b" for a in letters}
    strange = {a: letters[(i + 5) % len(letters)] for i, a in enumerate(letters)}

    there, dealt = shuffled([together], 200)
    assert there == 1.0 and max(dealt) < 1.0
    there, dealt = shuffled([strange], 200)
    assert sum(share >= there for share in dealt) > 20


def test_every_declared_claim_can_be_run_and_is_in_words():
    assert len(registry.CLAIMS) == 10
    for claim in registry.CLAIMS.values():
        wanted = reproduction.wanted(claim, TEXT, claim.seeds)
        assert len(wanted) == len(claim.arms) * claim.seeds <= sweeps.MOST_RUNS
        assert len({(each.arm.key, each.seed) for each in wanted}) == len(wanted)
        assert all(each.config.claim == claim.key for each in wanted)
        assert claim.rule.count(";") == len(claim.criteria) - 1 and claim.paper_url.startswith("https://")
        assert all(criterion.estimate({}) is None for criterion in claim.criteria)
        assert isinstance(claim.picture({}), Picture)
        assert claim.judge({}).verdict is Verdict.OPEN


def test_every_measure_measures_and_every_number_can_be_drawn(finished: Run):
    """On tiny runs of the rungs: what is measured is what criteria and picture ask for."""
    made = {key: work.work(make_run(key).path, log=lambda line: None) for key in ("bigram", "mlp", "recurrent")}
    runs = {**made, "transformer": finished}
    for claim in registry.CLAIMS.values():
        run = runs.get(claim.arms[0].rung)
        values = {"loss": 2.0, "gap": 0.1} if run is None else measuring.measured(claim, run)
        assert all(map(math.isfinite, values.values())) and "loss" in values
        figures: dict[str, dict[int, dict[str, float]]] = {}
        for seed in claim.run_seeds(2):  # every arm a little different, sizes too
            for place, arm in enumerate(claim.arms, 1):
                sized = {name: value * place if name == "size" else value for name, value in values.items()}
                figures.setdefault(arm.key, {})[seed] = {**sized, "loss": values["loss"] / place}
        judged = claim.judge(figures)
        assert all(finding.estimate and finding.estimate.seeds == 2 for finding in judged.findings), claim.key
        assert sum(len(series.points) for series in claim.picture(figures).series) >= 2
        assert judged.sentence.startswith(tuple(verdict.capitalize() for verdict in Verdict))


def test_what_ships_is_of_the_claims_as_declared():
    shipped = evidence.read()
    assert shipped.keys() == registry.CLAIMS.keys()
    for key, claim in registry.CLAIMS.items():
        found = evidence.of(claim)
        assert found is not None, f"{key} was declared anew; measure it again"
        assert set(found.figures) == {arm.key for arm in claim.arms} and found.seeds >= claim.seeds
        assert claim.judge(found.figures).findings[0].estimate is not None
        assert any(series.points for series in claim.picture(found.figures).series)


def test_damaged_evidence_is_told_and_measured_over(small: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "evidence.json"
    monkeypatch.setattr(evidence, "FILE", file)
    with pytest.raises(BardlabError, match="is missing"):
        evidence.read()
    found = evidence.Evidence(
        fingerprint=small.fingerprint,
        figures={"rate1": {1337: {"loss": 2.0}}},
        machine="a machine",
        device="cpu",
        seconds=1.0,
        cpu_seconds=1.0,
        date="2026-11-27",
    )
    evidence.keep(small, found)
    assert evidence.of(small) == found and found.seeds == 1
    whole = file.read_bytes()
    for spoiled in (
        whole[: len(whole) // 2],
        whole.replace(b"2.0", b"3.0"),
        b"[]",
        b"\xff\xfe",
        json.dumps(
            {"claims": {"small": {**found.model_dump(mode="json"), "figures": {"a": {"1": {"b": 1e999}}}}}}
        ).encode(),
    ):
        file.write_bytes(spoiled)
        with pytest.raises(BardlabError, match="is damaged") as told:
            evidence.read()
        assert "\n" not in str(told.value)
    evidence.keep(small, found)
    assert evidence.of(small) == found
    other = Claim(**{**{n: getattr(small, n) for n in small.__dataclass_fields__}, "part": 4000})
    assert evidence.of(other) is None, "it is of other runs"


def test_a_claim_is_run_shared_and_taken_up_again(small: Claim, monkeypatch: pytest.MonkeyPatch):
    """The whole life of one: begun by two, cancelled, gone on with, a run deleted, a run damaged, more seeds."""
    started: list[str] = []

    def spare_process(run: Run) -> Run:
        started.append(run.slug)
        return control.claim(run)

    monkeypatch.setattr(control, "start", spare_process)
    before = reproduction.standing(small, TEXT, [])
    assert not before.there and before.seeds == 2 and before.judgement.verdict is Verdict.OPEN
    assert not texts_own.listing(), "looking makes nothing"

    made = reproduction.begin(small, TEXT, 2)
    assert len(made) == 4 and {run.need().claim for run in made} == {"small"}
    assert [own.characters for own in texts_own.listing()] == [3000]
    assert reproduction.begin(small, TEXT, 2) == [], "whoever comes second shares them"
    assert not sweeps.groups(reading.list_runs()), "they are no sweep"
    found = reproduction.standing(small, TEXT, reading.list_runs())
    assert len(found.active) == 4 and found.share == 0.0

    assert reproduction.cancel(found) == 4
    for run in made:
        work.work(run.path, log=lambda line: None)
    found = reproduction.standing(small, TEXT, reading.list_runs())
    assert {run.state for run in found.there} == {State.STOPPED} and len(found.lacking) == 4
    assert "is stopped" in found.lacking[0]

    again = reproduction.reproduce(small, TEXT, 2, lambda line: None)
    assert again.whole and {run.slug for run in again.there} == {run.slug for run in made}, "they went on"
    assert again.judgement.findings[0].estimate is not None and again.figures["rate1"][1337]["kl@0"] > 1

    lost, spoiled = again.there[0], again.there[1]
    editing.delete(lost)
    (spoiled.path / "config.json").write_text("{")
    left = reproduction.standing(small, TEXT, reading.list_runs())
    assert len(left.done) == 2 and "deleted" in left.lacking[0] and not left.whole
    whole = reproduction.reproduce(small, TEXT, 2, lambda line: None)
    assert whole.whole and len(reading.list_runs()) == 5

    more = reproduction.reproduce(small, TEXT, 3, lambda line: None)
    assert more.whole and len(reading.list_runs()) == 7
    assert reproduction.standing(small, TEXT, reading.list_runs()).seeds == 3, "as many as were begun"
    assert reproduction.summary(more)["verdict"] in {str(verdict) for verdict in Verdict}
    assert more.judgement.findings[0].estimate.seeds == 3  # type: ignore[union-attr]


def test_a_failed_run_is_told(small: Claim):
    with pytest.raises(BardlabError, match="0 seeds are not accepted"):
        reproduction.wanted(small, TEXT, 0)
    first = reproduction.wanted(small, TEXT, 1)[0]
    run = editing.create(first.config)
    failed = run.status.model_copy(update={"state": State.FAILED, "message": "the loss is no longer a number"})
    state.write_status(run.path, failed)

    found = reproduction.standing(small, TEXT, reading.list_runs())
    assert "rate 0.01 with seed 1337 is failed: the loss is no longer a number" in found.lacking


def test_what_was_measured_is_kept_and_checked(small: Claim):
    run = work.work(editing.create(reproduction.wanted(small, TEXT, 1)[0].config).path, log=lambda line: None)
    values = measuring.measured(small, run)
    file = run.path / measuring.FILE
    kept = file.read_bytes()

    assert values["loss"] == run.status.val_loss and "gap" in values and values["kl"] == values["kl@4"]
    assert measuring.measured(small, run) == values and file.read_bytes() == kept
    for spoiled in (b"", kept[:-9], b'{"values": []}', kept.replace(b'"loss": 4', b'"loss": 1')):
        file.write_bytes(spoiled)
        assert measuring.measured(small, run) == values, "measured again"


def test_an_imported_run_was_not_measured_here(small: Claim, tmp_path: Path):
    run = work.work(editing.create(reproduction.wanted(small, TEXT, 1)[0].config).path, log=lambda line: None)
    brought = archive.import_run(archive.export_run(run, tmp_path / "run.zip"))

    assert run.need().claim == "small" and brought.need().claim is None


def test_a_text_that_is_too_short_is_told(small: Claim):
    own = texts_own.add(b"To be, or not to be. " * 100, "Short")
    for claim in (small, registry.get("memory")):
        with pytest.raises(BardlabError, match=r"2,100 characters and the claim '\w+' needs"):
            reproduction.standing(claim, own.name, [])
        with pytest.raises(BardlabError, match="choose a longer one"):
            reproduction.begin(claim, own.name, 1)
    assert reproduction.expected_seconds(small, TEXT, 2) is None, "this machine's speed is not known yet"


def test_two_who_start_at_once_wait_for_each_other(small: Claim, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(together, "PATIENCE", 0.05)
    with reproduction._cause(small).lock, pytest.raises(BardlabError, match="somebody else is starting"):
        reproduction.begin(small, TEXT, 1)
    assert not reading.list_runs()
    assert not system.is_locked(reproduction._cause(small).lock.path)


def test_the_command_tells_verdict_and_interval(
    small: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(evidence, "FILE", tmp_path / "evidence.json")
    main(["claim", "small", "--json", "--ship"])
    told = json.loads(capsys.readouterr().out)

    assert told["claim"] == "small" and told["seeds"] == 2 and len(told["runs"]) == 4 and not told["lacking"]
    assert told["findings"][0]["low"] < told["findings"][0]["value"] < told["findings"][0]["high"]
    shipped = evidence.read()["small"]
    assert small.judge(shipped.figures).sentence == told["sentence"]
    main(["claim", "small", "--ship"])
    assert evidence.read()["small"].cpu_seconds > shipped.cpu_seconds, "what the runs took when they ran"
    assert "95 % interval" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["claim", "nothing"])
    assert "no claim is called 'nothing'" in capsys.readouterr().err
