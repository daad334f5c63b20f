"""On what, and on how many examples at once, a network is timed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """On what, and on how many examples at once, a network is timed."""

    backend: str = "eager"
    precision: str = "fp32"
    batch_size: int = 1
    device: str = "cpu"
    threads: int = 0  # of the CPU; 0: as many as this process may use

    @property
    def label(self) -> str:
        """As tables name it: `openvino:int8, batch 1`."""
        on = "" if self.device == "cpu" else f", {self.device}"
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        return f"{self.backend}:{self.precision}, batch {self.batch_size}{on}{threads}"
