"""What a worker and its machine are busy with: processor, memory, GPU. A reading costs well under a millisecond."""

import psutil
from pydantic import BaseModel, ConfigDict


class Meters(BaseModel):
    """One reading."""

    model_config = ConfigDict(extra="ignore")

    cpu: float = 0.0
    """The worker's use of processors since the last reading, in cores."""
    cores: int = 1
    """Processors of the machine."""
    memory: int = 0
    """Bytes of main memory that the worker holds."""
    machine_cpu: float = 0.0
    """Share of all processors in use by anybody, 0 to 1."""
    machine_memory: float = 0.0
    """Share of main memory in use, 0 to 1."""
    machine_memory_total: int = 0
    gpu: float | None = None
    """Share of the time in which the GPU was busy, 0 to 1; None if its driver does not say."""
    gpu_memory: int | None = None
    """Bytes of GPU memory that the worker holds."""
    gpu_memory_total: int | None = None


class Meter:
    """Reads the meters of this process, and of the GPU if it computes on one."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._tells_use = device == "cuda"
        self.process = psutil.Process()
        self.process.cpu_percent()  # percentages count from the reading before
        psutil.cpu_percent()

    def read(self) -> Meters:
        """Read everything now."""
        memory = psutil.virtual_memory()
        found = Meters(
            cpu=self.process.cpu_percent() / 100,
            cores=psutil.cpu_count() or 1,
            memory=self.process.memory_info().rss,
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
