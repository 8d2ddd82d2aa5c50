"""What a worker and its machine are busy with: processor, memory, GPU. A reading costs well under a millisecond."""

from collections.abc import Sequence

import psutil

from core.runs.state import Meters


class Meter:
    """Reads the meters of this process, or of all that do its work, and of the GPU if it computes on one."""

    def __init__(self, device: str, pids: Sequence[int] = ()) -> None:
        self.device = device
        self._tells_use = device == "cuda"
        self.processes = [psutil.Process(pid) for pid in pids] or [psutil.Process()]
        self._used()  # percentages count from the reading before
        psutil.cpu_percent()

    def _used(self) -> float:
        return sum(process.cpu_percent() for process in self.processes)

    def read(self) -> Meters:
        """Read everything now."""
        memory = psutil.virtual_memory()
        found = Meters(
            cpu=self._used() / 100,
            cores=psutil.cpu_count() or 1,
            memory=sum(process.memory_info().rss for process in self.processes),
            machine_cpu=psutil.cpu_percent() / 100,
            machine_memory=memory.percent / 100,
            machine_memory_total=memory.total,
        )
        if self.device == "cuda":
            self._read_gpu(found)
        return found

    def _read_gpu(self, found: Meters) -> None:
        import torch

        found.gpu_memory_total = torch.cuda.mem_get_info()[1]
        found.gpu_memory = torch.cuda.memory_reserved()
        if self._tells_use:
            try:
                found.gpu = torch.cuda.utilization() / 100
            except Exception:  # needs the package nvidia-ml-py, which may be missing: it is not asked again
                self._tells_use = False
