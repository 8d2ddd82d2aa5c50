"""The price list of a run: what each part is worth, ranked in the background and kept in the run's folder."""

import threading
from dataclasses import dataclass
from pathlib import Path

from core.errors import BardlabError
from core.inspect import ablation, evaluation_set
from core.inspect.ablation import Method
from core.inspect.price_list import PriceList, as_list, write
from core.models.contract import LanguageModel
from core.runs import checkpoints
from core.runs.state import Run
from core.texts import corpus


@dataclass(eq=False)
class Ranking:
    """A ranking under way: a thread that outlives the page that started it. What it has found so far can be read."""

    run: Run
    step: int | None
    method: Method
    share: float = 0.0
    """How much is done, from 0 to 1."""
    prices: PriceList | None = None
    """What is known from the windows looked at so far."""
    error: str | None = None
    cancelled: bool = False
    ended: bool = False

    def work(self) -> None:
        """Rank, and keep the result; also that of the first windows, when cancelled after them."""
        try:
            weights, model = self._load()
            text = corpus.load(self.run.need().corpus)
            data = evaluation_set.evaluation_set(model, text)
            board = model.parts()
            if not board:
                raise BardlabError(f"a {self.run.need().rung.title} has no parts to switch off; choose another rung")
            for share, found in ablation.rank(model, data, board, self.method):
                self.share = share
                if found is not None:
                    self.prices = as_list(found, weights, self.method, len(data.inputs))
                if self.cancelled:
                    break
            if self.prices:
                write(self.run, self.step, self.prices)
        except BardlabError as error:
            self.error = str(error)
        except Exception as error:  # a thread that dies silently would look like one that never ends
            self.error = f"ranking failed: {type(error).__name__}: {error}"
            raise
        finally:
            self.ended = True

    def _load(self) -> tuple[str, LanguageModel]:
        while True:
            weights = checkpoints.fingerprint(self.run, self.step)
            model, _ = checkpoints.load_model(self.run, self.step)
            if weights == checkpoints.fingerprint(self.run, self.step):
                return weights, model


_jobs: dict[tuple[Path, int | None, Method], Ranking] = {}
_lock = threading.Lock()
_turn = threading.Lock()  # one at a time: two would only slow each other down


def start(run: Run, step: int | None, method: Method) -> Ranking:
    """Rank all parts in the background. Returns the ranking under way, if there is one already."""
    with _lock:
        job = _jobs.get((run.path, step, method))
        if job is None or job.ended:
            job = _jobs[run.path, step, method] = Ranking(run, step, method)
            threading.Thread(target=_in_turn, args=(job,), daemon=True, name=f"rank {run.slug}").start()
        return job


def _in_turn(job: Ranking) -> None:
    with _turn:
        job.work()


def under_way(run: Run, step: int | None, method: Method) -> Ranking | None:
    """Return the newest ranking that was started here, ended or not."""
    return _jobs.get((run.path, step, method))


def cancel(run: Run, step: int | None, method: Method) -> None:
    """End a ranking after the part it is at; what the windows so far have shown is kept."""
    if job := under_way(run, step, method):
        job.cancelled = True
