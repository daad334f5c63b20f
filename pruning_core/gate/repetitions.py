"""A commit that was measured more than once: its runs, merged for the gate.

On a shared machine a neighbour can slow a whole run down, and no rounds of that run tell. Another run can.
That holds of a change, and more so of a baseline, which is measured once and compared with often. So of each
cell the rounds of all runs are judged, and the lowest 5th percentile of calls: neighbours only slow calls
down.
"""

import math
from collections.abc import Sequence
from statistics import median

from pruning_core.errors import RecordError
from pruning_core.gate.comparability import in_best_state, untrusted_devices
from pruning_core.gate.finding import P05_FIELD
from pruning_core.gate.policy import Policy
from pruning_core.gate.result import CellKey
from pruning_core.gate.speed import inconsistency
from pruning_core.records.fields import Record
from pruning_core.records.run import Run
from pruning_core.records.score import score_of
from pruning_core.stats.intervals import median_interval

_OF_PAIRS = ("log_ratios", "rounds", "speedup", "is_control")


def merge_repetitions(runs: Sequence[Run], policy: Policy) -> Run:
    """Make one run of several of the same thing.

    Args:
        runs: At least one, of one commit on one machine, with the same cells of the same checkpoints.
        policy: Its `control_tolerance` decides whose times can be trusted. Those of a device whose A/A
            control was off in a run are left out, if another run has them.

    Returns:
        The first run, with what the others add. A latency or training cell has the rounds of all runs in
        about the fastest fork–join state of them; what else its record says is of the run with the lowest
        5th percentile of calls, or the shortest training step. Any other cell is that of the run with the
        worst score; a cell that failed in a run has failed.

    Raises:
        RecordError: If they are not runs of the same thing.
    """
    first, *others = runs
    if not others:
        return first
    cells = _cells_of(first)
    untrusted = [untrusted_devices(run, policy.control_tolerance) for run in runs]
    notes = [
        f"{len(runs)} runs are merged: the rounds of all, of each cell the lowest 5th percentile of calls"
    ]
    for run, devices in zip(runs, untrusted, strict=True):
        for device, why in devices.items():
            if not all(device in of_run for of_run in untrusted):
                notes.append(f"times of {run.path.name} on {device} are left out: {why}")
    found = [cells, *(_same_cells(first, cells, other) for other in others)]
    records = []
    for identity in cells:
        device = str(cells[identity].get("device"))
        of_cell = [of_run[identity] for of_run in found]
        if not all(device in of_run for of_run in untrusted):
            of_cell = [
                record
                for record, of_run in zip(of_cell, untrusted, strict=True)
                if device not in of_run or not _may_drop(record)
            ]
        records.append(_merge(of_cell, policy.fork_join_same_within))
    return Run(
        first.path,
        first.datetime,
        first.machine,
        first.commit,
        tuple(records),
        repetitions=tuple(run.path for run in others),
        notes=tuple(notes),
    )


def _cells_of(run: Run) -> dict[CellKey, Record]:
    cells = {(record["suite"], record["cell"]): record for record in run.records}
    if len(cells) < len(run.records):
        raise RecordError(f"{run.path} has duplicate cells: it cannot be merged with others")
    return cells


def _same_cells(first: Run, cells: dict[CellKey, Record], other: Run) -> dict[CellKey, Record]:
    """Return the cells of another run, which have to be those of the first."""
    of_other = _cells_of(other)
    problem = None
    if first.machine.get("fingerprint") != other.machine.get("fingerprint"):
        problem = "their machines or versions differ"
    elif first.commit and other.commit and first.commit != other.commit:
        problem = f"commit {first.commit[:12]} there, {other.commit[:12]} here"
    elif lone := sorted(cells.keys() ^ of_other.keys()):
        problem = f"only one of them has {'/'.join(lone[0])}"
    else:
        for identity, record in cells.items():
            if record.get("key") != of_other[identity].get("key"):
                problem = f"the checkpoint of {'/'.join(identity)} is another one"
    if problem:
        raise RecordError(f"{other.path} is no repetition of {first.path}: {problem}")
    return of_other


def _may_drop(record: Record) -> bool:
    """Tell whether a busy machine explains what a record says: times, but no failure and no accuracy."""
    return "log_ratios" in record and record["status"] != "failed"


def _merge(records: Sequence[Record], same_within: float) -> Record:
    failed = [record for record in records if record["status"] == "failed"]
    if failed:
        return failed[0]
    needed = _OF_PAIRS if records[0]["suite"] == "training" else (*_OF_PAIRS, P05_FIELD)
    if any(name not in record for record in records for name in needed):
        return max(records, key=_badness)
    damaged = [record for record in records if inconsistency(record)]
    if damaged:
        return damaged[0]
    clean = [record for record in records if not record.get("contaminated")]
    clean = in_best_state(clean, same_within) or [records[0]]
    if len(clean) == 1:
        return clean[0]
    lowest = min(clean, key=lambda record: float(record.get(P05_FIELD) or record.get("step_ms") or 0.0))
    ratios = [ratio for record in clean for ratio in record["log_ratios"]]
    low, high, _ = median_interval(ratios)
    return {
        **lowest,
        "log_ratios": ratios,
        "rounds": len(ratios),
        "speedup": math.exp(-median(ratios)),
        "speedup_low": math.exp(-high),
        "speedup_high": math.exp(-low),
    }


def _badness(record: Record) -> float:
    score = score_of(record)
    return score.measure.worse_by(0.0, score.value) if score else 0.0
