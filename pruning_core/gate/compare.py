"""The gate: a baseline and a new run → a verdict for each cell, and an exit code that CI can trust.

    pass             every metric stayed within its tolerance, or improved
    regressed        a metric is beyond its tolerance, and beyond noise where it carries noise
    inconclusive     too noisy to tell; measuring this change longer would tell
    cannot-compare   the two do not speak of the same thing, or one is not there; no measuring of this change
                     would tell. So a spoiled new run is inconclusive, a spoiled baseline is cannot-compare.

The worst part decides a cell, the worst cell decides the run, in the order regressed (exit code 1), which is
certain; cannot-compare (2), which needs a hand; inconclusive (3), which needs a second run; pass (0).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pruning_core.errors import OptionError, RecordError
from pruning_core.files.atomic import check_writable
from pruning_core.gate.backend import SUITE as BACKEND
from pruning_core.gate.backend import backend_findings, notes_on_backends
from pruning_core.gate.cell import cell_findings, what_is
from pruning_core.gate.comparability import Comparability, find_circumstances, notes_on
from pruning_core.gate.files import write_files
from pruning_core.gate.finding import CANNOT_COMPARE, P05_FIELD, PASS, Finding
from pruning_core.gate.policy import Policy, Tolerances, read_policy
from pruning_core.gate.render import print_terminal
from pruning_core.gate.repetitions import merge_repetitions
from pruning_core.gate.result import POWER, WORST_FIRST, CellKey, CellVerdict, GateResult
from pruning_core.gate.same_run import refuse_same_runs
from pruning_core.records.fields import Record
from pruning_core.records.garbage import no_garbage_collection
from pruning_core.records.run import Run, read_run
from pruning_core.stats.rank_sum import detectable_shift, reject_by_holm

__all__ = ["CellVerdict", "GateResult", "Policy", "Tolerances", "compare", "read_policy", "run_gate"]

CANNOT_WRITE = OptionError.exit_code

ALPHA_WEIGHTS = {"accuracy": 4, "speed": 1, BACKEND: 2, "ceiling": 1}
"""How the chance of a false alarm in a run is divided among the families of noisy comparisons that there are.
Backends get more than cells: they are few, and what slows a runtime down shows there first."""


def run_gate(
    baseline: Path,
    new: Path,
    policy: Path | None = None,
    *,
    again: Sequence[Path] = (),
    baseline_again: Sequence[Path] = (),
    junit: Path | None = None,
    markdown: Path | None = None,
    json_file: Path | None = None,
) -> int:
    """Compare two files, print the verdicts, write the files asked for, and return the exit code.

    Args:
        baseline: Benchmark JSON file of the run before.
        new: Benchmark JSON file of the run now.
        policy: TOML file; without one, `Policy`'s defaults hold.
        again: Further runs of what `new` is a run of: all are judged together.
        baseline_again: Further runs of what `baseline` is a run of, likewise.
        junit: Where to write JUnit XML.
        markdown: Where to write a summary for a CI page; GitHub's own gets it too where there is one.
        json_file: Where to write everything.

    Returns:
        The verdict's code; `CANNOT_WRITE` if it passes, but a file that was asked for cannot be written.

    Raises:
        RecordError: If a benchmark file cannot be used, or two of them hold the same run.
        OptionError: If the policy has an invalid value, or a file is nowhere that could be written.
    """
    for path in (junit, markdown, json_file):
        if path is not None:
            check_writable(path)
    what_is_tolerated = read_policy(policy) if policy else Policy()
    # Records hold no cycles: to go over all of 200,000 again and again took a quarter of the time.
    with no_garbage_collection():
        sides = [[read_run(path) for path in paths] for paths in ((baseline, *baseline_again), (new, *again))]
        refuse_same_runs([run for side in sides for run in side])
        before, now = (merge_repetitions(side, what_is_tolerated) for side in sides)
        result = compare(before, now, what_is_tolerated)
    # Files first: a closed terminal must not cost the artefacts of a CI job.
    complete = write_files(result, junit, markdown, json_file)
    print_terminal(result)
    return result.exit_code or (0 if complete else CANNOT_WRITE)


def compare(baseline: Run, new: Run, policy: Policy) -> GateResult:
    """Judge each cell of a baseline by what a new run says of it.

    Args:
        baseline: The run before.
        new: The run now.
        policy: What is tolerated.

    Raises:
        RecordError: If one of the runs holds no records.
    """
    for run in (baseline, new):
        if not run.records:
            raise RecordError(f"{run.path} holds no records: there is nothing to compare")
    before, now = _index(baseline), _index(new)
    around = find_circumstances(baseline, new, policy)
    tolerances = {identity: policy.tolerances_of(*identity) for identity in before}
    parts = dict(_parts_of_cells(before, now, tolerances, around))
    for identity, part in list(backend_findings(parts, before, now, policy)):
        parts[identity], tolerances[identity] = [part], policy.tolerances_of(*identity)
    families = _families_of(parts)
    levels = _levels_of(families, policy.familywise_error)
    for name, family in families.items():
        _settle(parts, family, levels[name], tolerances, policy.confidence)
    cells = sorted((_verdict_of(i, parts[i], tolerances[i]) for i in parts), key=_importance)
    slowdowns = {
        metric: _detectable_slowdowns(parts, tolerances, metric, levels[metric] / len(families[metric]))
        for metric in ("speed", BACKEND)
        if metric in families
    }
    of_cells, of_backends = slowdowns.get("speed", []), slowdowns.get(BACKEND, [])
    return GateResult(
        baseline=baseline,
        new=new,
        cells=tuple(cells),
        added=tuple(identity for identity in now if identity not in before),
        notes=(
            *notes_on(baseline, new, policy, around, list({**parts, **now})),
            *notes_on_backends(baseline, new),
        ),
        familywise_error=policy.familywise_error,
        comparisons=sum(map(len, families.values())),
        detectable_slowdown=median(of_cells) if of_cells else None,
        detectable_slowdown_worst=max(of_cells, default=None),
        detectable_slowdown_of_backend=max(of_backends, default=None),
    )


def _index(run: Run) -> dict[CellKey, list[Record]]:
    index: dict[CellKey, list[Record]] = {}
    for record in run.records:
        index.setdefault((record["suite"], record["cell"]), []).append(record)
    return index


def _parts_of_cells(
    before: Mapping[CellKey, list[Record]],
    now: Mapping[CellKey, list[Record]],
    tolerances: Mapping[CellKey, Tolerances],
    around: Comparability,
) -> Iterator[tuple[CellKey, list[Finding]]]:
    added = {_description(now[i][0]): i[1] for i in now if i not in before}
    judged_for_accuracy = {_description(now[i][0])[1:-1] for i in before if i[0] == "accuracy" and i in now}
    for identity, records in before.items():
        found = now.get(identity, [])
        if not found:
            other = added.get(_description(records[0]))
            hint = f" Renamed to {other!r}? Then accept a new baseline" if other else ""
            reason = f"missing: this run has no such cell.{hint}"
            yield identity, [Finding("record", CANNOT_COMPARE, reason, changed=True)]
        elif len(records) > 1 or len(found) > 1:
            where = "the baseline" if len(records) > 1 else "this run"
            reason = f"stands {max(len(records), len(found))} times in {where}: which one counts is not clear"
            yield identity, [Finding("record", CANNOT_COMPARE, reason, changed=True)]
        else:
            with_accuracy = _description(records[0])[1:-1] not in judged_for_accuracy
            fastest = _shift_of_fastest_calls(identity, before, now)
            parts = cell_findings(records[0], found[0], tolerances[identity], around, with_accuracy, fastest)
            yield identity, parts


def _shift_of_fastest_calls(
    identity: CellKey, before: Mapping[CellKey, list[Record]], now: Mapping[CellKey, list[Record]]
) -> float | None:
    """Return how much slower a cell's fastest calls became than its reference's, as ln; None if unknown."""
    reference = (identity[0], before[identity][0].get("reference", ""))
    times_ms = []
    for index in (before, now):
        for place in (identity, reference):
            records = index.get(place, [])
            if len(records) != 1 or P05_FIELD not in records[0]:
                return None
            times_ms.append(records[0][P05_FIELD])
    was, reference_was, is_now, reference_is = times_ms
    return math.log(is_now / was) - math.log(reference_is / reference_was)


def _description(record: Record) -> tuple[Any, ...]:
    names = ("suite", "model", "dataset", "dataset_fingerprint", "method", "ratio", "backend", "precision")
    return tuple(what_is(record, name) for name in (*names, "device", "batch_size"))


def _families_of(parts: Mapping[CellKey, list[Finding]]) -> dict[str, list[tuple[CellKey, int]]]:
    """Find the noisy parts that are judged together: identity, and place among its parts.

    Accuracies are one family, and so are speeds of cells, backends as wholes, and what is judged by the
    ceiling: a grid of many latency cells does not make the gate blind to the others.
    """
    families: dict[str, list[tuple[CellKey, int]]] = {}
    for identity, items in parts.items():
        for place, part in enumerate(items):
            if not part.verdict:
                name = part.metric if part.metric in ALPHA_WEIGHTS else "accuracy"
                families.setdefault(name, []).append((identity, place))
    return families


def _levels_of(families: Iterable[str], familywise_error: float) -> dict[str, float]:
    """Divide the chance of a false alarm among the families that there are."""
    whole = sum(ALPHA_WEIGHTS[name] for name in families)
    return {name: familywise_error * ALPHA_WEIGHTS[name] / whole for name in families}


def _settle(
    parts: Mapping[CellKey, list[Finding]],
    family: Sequence[tuple[CellKey, int]],
    level: float,
    tolerances: Mapping[CellKey, Tolerances],
    confidence: float,
) -> None:
    """Give the noisy parts of a family their verdicts, in place."""
    noisy = [parts[i][place] for i, place in family]
    p_values = [1.0 if part.doubt or part.p_value is None else part.p_value for part in noisy]
    rejections = reject_by_holm(p_values, level)
    for (identity, place), rejected in zip(family, rejections, strict=True):
        part = parts[identity][place]
        parts[identity][place] = part.settled(rejected, tolerances[identity], confidence)


def _verdict_of(identity: CellKey, parts: Sequence[Finding], tolerances: Tolerances) -> CellVerdict:
    verdict = next(v for v in WORST_FIRST if any(part.verdict == v for part in parts))
    telling = [part for part in parts if part.verdict == verdict]
    if verdict == PASS:
        telling = [part for part in parts if part.changed] or telling
    reason = "; ".join(part.reason for part in telling)
    return CellVerdict(*identity, verdict, reason, tuple(parts), tolerances.inconclusive)


def _importance(cell: CellVerdict) -> tuple[int, bool, float]:
    changes = (abs(part.change or 0.0) for part in cell.parts if part.verdict == cell.verdict)
    return WORST_FIRST.index(cell.verdict), not cell.changed, -max(changes, default=0.0)


def _detectable_slowdowns(
    parts: Mapping[CellKey, list[Finding]],
    tolerances: Mapping[CellKey, Tolerances],
    metric: str,
    level: float,
) -> list[float]:
    """Estimate for each part of a metric the smallest slow-down that a test at this level would find."""
    slowdowns = []
    for identity, items in parts.items():
        for part in items:
            if part.metric == metric and part.detectable:
                margin = math.log1p(tolerances[identity].slowdown)
                shift = detectable_shift(*part.detectable, level, POWER)
                # e^50 is beyond anything that a time could be slowed down by.
                slowdowns.append(math.expm1(margin + shift) if shift < 50 else math.inf)
    return slowdowns
