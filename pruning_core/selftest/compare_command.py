"""How often `pruning_core.api.compare` is wrong on this machine: equal networks, and a tenth more work."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from tabulate import tabulate
from torch import Tensor, nn

from pruning_core.api.comparing import compare
from pruning_core.files.atomic import check_writable, write_text_file
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning.cost import count_cost
from pruning_core.selftest.latency_summary import Rate
from pruning_core.system.hardware import resolve_threads
from pruning_core.system.machine import describe_machine

LAYERS = 20
"""Of the reference, all alike; of a candidate with more work `MORE_LAYERS`: a tenth more, counted in MACs."""

MORE_LAYERS = 22

SIZES = ("tiny", "larger")


@dataclass(frozen=True)
class CompareTrial:
    """What one comparison found, of a pair whose truth is known."""

    size: str
    macs: int  # of the candidate ÷ those of the reference, in thousandths
    verdict: str
    speedup: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float
    rounds: int
    problem: str
    duration_s: float

    @property
    def is_slowed(self) -> bool:
        """Whether the candidate has more work."""
        return self.macs > 1000


def build(size: str, layers: int) -> tuple[nn.Module, Tensor]:
    """Return a network of equal layers, untrained, and its input.

    Args:
        size: `tiny`: rows of numbers, far below a millisecond; `larger`: convolutions, milliseconds.
        layers: How many.
    """
    torch.manual_seed(0)  # equal networks have equal weights
    if size == "tiny":
        modules: list[nn.Module] = [nn.Linear(32, 32) for _ in range(layers)]
        images = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    else:
        modules = [nn.Conv2d(32, 32, 3, padding=1, bias=False) for _ in range(layers)]
        images = torch.randn(4, 32, 16, 16, generator=torch.Generator().manual_seed(0))
    return nn.Sequential(*modules), images


def run_compare_selftest(
    trials: int, slowed: int, threads: int, time_limit_s: float, json_file: Path | None
) -> str:
    """Run all comparisons, sizes and kinds interleaved, and count their verdicts.

    Args:
        trials: Pairs of equal networks, half of each size.
        slowed: Pairs whose candidate has a tenth more work, likewise.
        threads: CPU threads, 0 for all usable.
        time_limit_s: Of each comparison.
        json_file: Gets every comparison; also when it is interrupted.

    Returns:
        The table of rates, as Markdown.
    """
    if json_file is not None:
        check_writable(json_file)
    kinds = [(number, LAYERS) for number in range(trials)] + [(n, MORE_LAYERS) for n in range(slowed)]
    kinds.sort(key=lambda kind: kind[0])
    found: list[CompareTrial] = []
    try:
        with ProgressDisplay().work("selftest compare", quiet=True) as advance:
            for number, layers in kinds:
                size = SIZES[number % len(SIZES)]
                found.append(_compare(size, layers, resolve_threads(threads), time_limit_s))
                advance(len(found), len(kinds))
    finally:
        if json_file is not None and found:
            content = {
                "what": "pruning-bench selftest compare",
                "machine": dict(describe_machine(threads)),
                "time_limit_s": time_limit_s,
                "trials": [asdict(trial) for trial in found],
            }
            write_text_file(json_file, json.dumps(content, indent=1) + "\n")
    return render_compare_trials(found)


def _compare(size: str, layers: int, threads: int, time_limit_s: float) -> CompareTrial:
    reference, images = build(size, LAYERS)
    candidate, _ = build(size, layers)
    costs = [count_cost(network, images).macs_products for network in (reference, candidate)]
    start = time.perf_counter()
    comparison = compare(reference, candidate, images, threads=threads, time_limit_s=time_limit_s)
    return CompareTrial(
        size=size,
        macs=round(1000 * costs[1] / costs[0]),
        verdict=comparison.verdict,
        speedup=comparison.speedup.value,
        low=comparison.speedup.low,
        high=comparison.speedup.high,
        control=comparison.control.value,
        control_low=comparison.control.low,
        control_high=comparison.control.high,
        rounds=comparison.rounds,
        problem=comparison.problem,
        duration_s=time.perf_counter() - start,
    )


def render_compare_trials(trials: Sequence[CompareTrial]) -> str:
    """Return the table of rates, as Markdown: any verdict on equal networks is false."""
    header = ["candidate", "size", "n", "verdicts", "disturbed", "speed-up", "rounds", "s"]
    return tabulate(list(_rows(trials)), headers=header, tablefmt="github", disable_numparse=True)


def _rows(trials: Sequence[CompareTrial]) -> Iterator[list[str]]:
    for slowed in (False, True):
        for size in (*SIZES, "both"):
            mine = [t for t in trials if t.is_slowed == slowed and size in (t.size, "both")]
            if not mine:
                continue
            sought = ("slower",) if slowed else ("faster", "slower")
            rate = Rate(sum(trial.verdict in sought for trial in mine), len(mine))
            wrong = sum(trial.verdict == "faster" for trial in mine) if slowed else 0
            verdicts = f"{rate.count} {'found' if slowed else 'false'} ({rate})"
            yield [
                "10 % more MACs" if slowed else "equal",
                size,
                str(len(mine)),
                f"{verdicts}, {wrong} false" if wrong else verdicts,
                str(sum(bool(trial.problem) for trial in mine)),
                f"{median(trial.speedup for trial in mine):.3f}",
                f"{median(trial.rounds for trial in mine):.0f}",
                f"{median(trial.duration_s for trial in mine):.1f}",
            ]
