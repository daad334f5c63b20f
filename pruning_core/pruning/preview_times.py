"""The time of one pruned shape in one setting, as the rows of `pruning-bench plan --measure` have it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruning_core.config.setting import Setting


@dataclass(frozen=True)
class StepTime:
    """One shape in one setting against the dense one; without numbers where it could not be timed."""

    backend: str
    precision: str
    batch_size: int
    device: str
    threads: int  # 0: as many as the process could use
    latency_ms: float | None = None  # of one call
    reference_ms: float | None = None  # likewise, of the dense network
    speedup: float | None = None
    low: float | None = None  # bounds of the speed-up, 95 %
    high: float | None = None
    mac_reduction: float | None = None  # MACs of the dense network ÷ MACs of this one
    mac_efficiency: float | None = None  # speedup ÷ mac_reduction
    rounds: int = 0
    control_speedup: float | None = None  # of the A/A control: the dense network against a copy of itself
    control_low: float | None = None
    control_high: float | None = None
    contention: str = ""  # what else ran meanwhile
    error: str = ""  # why it was not timed


def setting_of(time: Mapping[str, Any]) -> Setting:
    """Return the setting of a time that was stored."""
    return Setting(*(time[name] for name in ("backend", "precision", "batch_size", "device", "threads")))
