"""Whole runs of the suites whose truth is known, judged by the gate: what it says wrongly, and what it finds.

Each run is a process of its own, as in CI, and what differs between two processes differs here too. Runs with
and without a slow-down take turns, so that each slowed one is compared with a neighbour in time. A run that
is there already is not made again.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

from pruning_core.errors import OptionError, PruningBenchError
from pruning_core.gate.backend import BACKEND_SUITE
from pruning_core.gate.compare import compare
from pruning_core.gate.finding import INCONCLUSIVE, REGRESSED
from pruning_core.gate.policy import Policy
from pruning_core.gate.repetitions import merge_repetitions
from pruning_core.gate.result import GateResult
from pruning_core.records.run import read_run
from pruning_core.selftest.slowdown_plugin import EVERY_BACKEND, VARIABLE

SLOWDOWN, ALL_SLOWDOWN = 0.10, 0.30
"""Work added to each call of one backend, and of every backend, as a fraction of the call's own time."""


@dataclass(frozen=True)
class RunKind:
    """Runs of one kind: nothing injected (`slowdown` is empty), or the same slow-down in each."""

    name: str
    slowdown: str  # what `slowdown_plugin.VARIABLE` says, for example `openvino=0.10`
    count: int

    @property
    def backend(self) -> str:
        """The backend that is slowed; empty for none."""
        return self.slowdown.partition("=")[0]


@dataclass(frozen=True)
class GateTrial:
    """One comparison by the gate."""

    kind: str
    baseline: str  # the run, and those that were merged with it
    new: str  # likewise
    verdict: str
    exit_code: int
    regressed: tuple[str, ...]  # cells
    found: bool  # A/A: any regression, which is false; slowed: one where the slow-down is
    runs: int  # 1, or more where that was inconclusive
    detectable_slowdown: float | None  # what the gate says it would have found, in the median cell


def plan_kinds(runs: int, slowed: int, all_slowed: int, backend: str) -> list[RunKind]:
    """List the kinds of runs.

    Args:
        runs: With nothing injected.
        slowed: With `SLOWDOWN` more work on one backend.
        all_slowed: With `ALL_SLOWDOWN` more work on every backend.
        backend: The one backend.
    """
    return [
        RunKind("aa", "", runs),
        RunKind(f"{backend}-{SLOWDOWN * 100:.0f}", f"{backend}={SLOWDOWN:.2f}", slowed),
        RunKind(f"all-{ALL_SLOWDOWN * 100:.0f}", f"{EVERY_BACKEND}={ALL_SLOWDOWN:.2f}", all_slowed),
    ]


def make_runs(
    kinds: Sequence[RunKind], folder: Path, arguments: Sequence[str], advance: Callable[[int, int], None]
) -> None:
    """Run the suites once for each run that is not in the folder yet, kinds interleaved.

    Args:
        kinds: What to run.
        folder: Gets `aa-01.json`, …, and a log beside each.
        arguments: What pytest is called with: suites, grid, store.
        advance: Told runs done and runs in all.

    Raises:
        OptionError: If the folder cannot be written, or a run does not end well.
    """
    order = [
        (number, kind)
        for number in range(max(k.count for k in kinds))
        for kind in kinds
        if number < kind.count
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"cannot make the folder {folder}: {error.strerror}") from None
    for done, (number, kind) in enumerate(order):
        advance(done, len(order))
        path = _file(folder, kind, number)
        if not path.exists():
            _run_suites(path, kind.slowdown, arguments)


def judge_runs(
    kinds: Sequence[RunKind],
    folder: Path,
    policy: Policy,
    *,
    repeats: int = 0,
    baseline_runs: int = 1,
    all_pairs: bool = False,
) -> Iterator[GateTrial]:
    """Let the gate compare each A/A run with the one before, and each slowed one with its neighbour.

    An inconclusive run is judged again, merged with the next run of its kind, as in CI.

    Args:
        kinds: What was run; the first has nothing injected.
        folder: Where `make_runs` put the runs.
        policy: The gate's.
        repeats: How many more runs of its kind a run is merged with, one by one, while it is inconclusive.
        baseline_runs: How many runs are merged into a baseline: a run and those after it.
        all_pairs: Compare each A/A run with all before it, and each slowed one with all A/A runs. More
            comparisons of the same runs, which are not independent of one another.
    """
    files = {kind.name: [_file(folder, kind, number) for number in range(kind.count)] for kind in kinds}
    plain = files[kinds[0].name]
    pairs = [(kinds[0], *pair) for pair in (combinations(plain, 2) if all_pairs else pairwise(plain))]
    for kind in kinds[1:]:
        for number, slowed in enumerate(files[kind.name]):
            neighbour = min(number, len(plain) - 1)
            beside = plain if all_pairs else plain[neighbour : neighbour + 1]
            pairs += [(kind, before, slowed) for before in beside]
    for kind, before, after in pairs:
        # A run is never compared with itself.
        befores = _from(before, [file for file in plain if file != after])[:baseline_runs]
        afters = _from(after, [file for file in files[kind.name] if file not in befores])[: repeats + 1]
        yield _trial(kind, befores, afters, policy)


def _from(first: Path, files: Sequence[Path]) -> list[Path]:
    """Return files from a certain one on, those before it at the end."""
    index = files.index(first)
    return [*files[index:], *files[:index]]


def _trial(kind: RunKind, befores: Sequence[Path], files: Sequence[Path], policy: Policy) -> GateTrial:
    """Judge the first of some files, and more of them with it while the verdict is inconclusive."""
    baseline = merge_repetitions([read_run(file) for file in befores], policy)
    runs = []
    for file in files:
        runs.append(read_run(file))
        result = compare(baseline, merge_repetitions(runs, policy), policy)
        if result.verdict != INCONCLUSIVE:
            break
    return GateTrial(
        kind=kind.name,
        baseline=" ".join(file.name for file in befores),
        new=" ".join(run.path.name for run in runs),
        verdict=result.verdict,
        exit_code=result.exit_code,
        regressed=tuple(f"{c.suite}/{c.cell}" for c in result.cells if c.verdict == REGRESSED),
        found=_found(kind, result),
        runs=len(runs),
        detectable_slowdown=result.detectable_slowdown,
    )


def _file(folder: Path, kind: RunKind, number: int) -> Path:
    return folder / f"{kind.name}-{number + 1:02}.json"


def _found(kind: RunKind, result: GateResult) -> bool:
    """Tell whether there is a regression where the slow-down was injected; for A/A, any at all."""
    regressed = [cell for cell in result.cells if cell.verdict == REGRESSED]
    if not kind.slowdown:
        return bool(regressed)
    if kind.backend == EVERY_BACKEND:
        # Dense and pruned are slower alike: only the comparison of dense with the roofline shows it.
        return any(
            finding.metric == "roofline" and finding.verdict == REGRESSED
            for cell in regressed
            for finding in cell.findings
        )
    return any(
        cell.suite in ("latency", BACKEND_SUITE) and f"-{kind.backend}-" in f"-{cell.cell}"
        for cell in regressed
    )


def _run_suites(path: Path, slowdown: str, arguments: Sequence[str]) -> None:
    draft, log = path.with_suffix(".part"), path.with_suffix(".log")
    command = [
        sys.executable,
        "-m",
        "pytest",
        *arguments,
        "-p",
        "pruning_core.selftest.slowdown_plugin",
        "-q",
    ]
    with log.open("w", encoding="utf-8") as shown:
        code = subprocess.run(
            [*command, f"--benchmark-json={draft}"],
            stdout=shown,
            stderr=subprocess.STDOUT,
            env={**os.environ, VARIABLE: slowdown},
            check=False,
        ).returncode
    try:
        if code:
            raise OptionError(f"a run of the suites ended with exit code {code}; see {log}")
        read_run(draft)
        os.replace(draft, path)  # an interrupted run must not look like a whole one
    except (OSError, PruningBenchError) as error:
        raise OptionError(f"{error}") from None
