"""Compare a run with its baseline → a verdict for each cell, and one for the run.

    pass             every metric stayed within its tolerance, or improved
    regressed        a metric is beyond its tolerance, and beyond noise where it carries noise
    inconclusive     too noisy to tell; another run of this change may tell
    cannot-compare   the two do not speak of the same thing, or one is not there; no other run of this change
                     would tell. So an untrusted new run is inconclusive, an untrusted baseline is
                     cannot-compare.

The worst finding decides a cell, the worst cell decides the run: regressed first, which is certain; then
cannot-compare, which needs a hand; inconclusive, which needs a second run; pass. Exit codes, and how each
comparison is made, with evidence: `gate/README.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from pruning_core.errors import RecordError
from pruning_core.gate.backend import BACKEND_SUITE, backend_findings, notes_on_backends
from pruning_core.gate.cell import cell_findings, what_is
from pruning_core.gate.comparability import Comparability, assess_comparability
from pruning_core.gate.families import decide_families, find_families
from pruning_core.gate.finding import CANNOT_COMPARE, P05_FIELD, PASS, Finding, NoisyFinding
from pruning_core.gate.limits import refuse_misplaced_limits
from pruning_core.gate.notes import notes_on
from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.gate.result import WORST_FIRST, CellKey, CellVerdict, GateResult
from pruning_core.records.fields import Record
from pruning_core.records.run import Run

_NETWORK_ON_BACKEND = (
    *("model", "dataset", "dataset_fingerprint", "method", "ratio"),
    *("backend", "precision", "device", "score_name"),
)
"""What a score is of: where they agree, an accuracy record covers a latency cell."""

_CELL = ("suite", *_NETWORK_ON_BACKEND, "batch_size")
"""What a cell is of: where they agree, one cell may be another's new name."""


def compare(baseline: Run, new: Run, policy: Policy) -> GateResult:
    """Judge each cell of a baseline by what a new run says of it.

    Args:
        baseline: The run before.
        new: The run now.
        policy: What is tolerated.

    Raises:
        RecordError: If one of the runs holds no records.
        OptionError: If the policy has a limit that fits no score of these runs.
    """
    for run in (baseline, new):
        if not run.records:
            raise RecordError(f"{run.path} holds no records: there is nothing to compare")
    refuse_misplaced_limits(policy, (*baseline.records, *new.records))
    before, now = _index(baseline), _index(new)
    context = assess_comparability(baseline, new, policy)
    tolerances = {cell: policy.tolerances_of(*cell) for cell in before}
    findings: dict[CellKey, Sequence[Finding | NoisyFinding]] = dict(
        _findings_of_cells(before, now, tolerances, context)
    )
    for backend, finding in list(backend_findings(findings, before, now, policy)):
        findings[backend], tolerances[backend] = [finding], policy.tolerances_of(*backend)
    families = find_families(findings, policy)
    decided = decide_families(findings, families.values(), tolerances, policy.confidence)
    slowdowns = {
        name: families[name].detectable_slowdowns(tolerances, policy.power)
        for name in ("speed", BACKEND_SUITE)
        if name in families
    }
    of_cells, of_backends = slowdowns.get("speed", []), slowdowns.get(BACKEND_SUITE, [])
    return GateResult(
        baseline=baseline,
        new=new,
        cells=tuple(sorted((_verdict_of(c, decided[c], tolerances[c]) for c in decided), key=_sort_key)),
        added=tuple(cell for cell in now if cell not in before),
        notes=(
            *notes_on(baseline, new, context, list({**findings, **now})),
            *notes_on_backends(baseline, new),
        ),
        familywise_error=policy.familywise_error,
        comparisons=sum(len(family.members) for family in families.values()),
        power=policy.power,
        detectable_slowdown=median(of_cells) if of_cells else None,
        detectable_slowdown_worst=max(of_cells, default=None),
        detectable_slowdown_of_backend=max(of_backends, default=None),
    )


def _index(run: Run) -> dict[CellKey, list[Record]]:
    index: dict[CellKey, list[Record]] = {}
    for record in run.records:
        index.setdefault((record["suite"], record["cell"]), []).append(record)
    return index


def _findings_of_cells(
    before: Mapping[CellKey, list[Record]],
    now: Mapping[CellKey, list[Record]],
    tolerances: Mapping[CellKey, Tolerances],
    context: Comparability,
) -> Iterator[tuple[CellKey, list[Finding | NoisyFinding]]]:
    added = {_described(now[cell][0], _CELL): cell[1] for cell in now if cell not in before}
    judged_for_score = {
        _described(now[cell][0], _NETWORK_ON_BACKEND)
        for cell in before
        if cell[0] == "accuracy" and cell in now
    }
    for cell, records in before.items():
        found = now.get(cell, [])
        if not found:
            other = added.get(_described(records[0], _CELL))
            hint = f" Renamed to {other!r}? Then accept a new baseline" if other else ""
            yield cell, [_not_comparable(f"missing: this run has no such cell.{hint}")]
        elif len(records) > 1 or len(found) > 1:
            where = "the baseline" if len(records) > 1 else "this run"
            times = max(len(records), len(found))
            yield cell, [_not_comparable(f"appears {times} times in {where}: which one counts is not clear")]
        else:
            with_accuracy = _described(records[0], _NETWORK_ON_BACKEND) not in judged_for_score
            p05_shift = _p05_shift(cell, before, now)
            yield (
                cell,
                cell_findings(records[0], found[0], tolerances[cell], context, with_accuracy, p05_shift),
            )


def _not_comparable(reason: str) -> Finding:
    return Finding(metric="record", verdict=CANNOT_COMPARE, reason=reason, changed=True)


def _p05_shift(
    cell: CellKey, before: Mapping[CellKey, list[Record]], now: Mapping[CellKey, list[Record]]
) -> float | None:
    """Return how much the 5th percentile of a cell's calls grew beyond its reference's, as ln.

    None where a run does not have it of both.
    """
    reference = (cell[0], before[cell][0].get("reference", ""))
    times_ms = []
    for index in (before, now):
        for key in (cell, reference):
            records = index.get(key, [])
            if len(records) != 1 or P05_FIELD not in records[0]:
                return None
            times_ms.append(records[0][P05_FIELD])
    was, reference_was, is_now, reference_is = times_ms
    return math.log(is_now / was) - math.log(reference_is / reference_was)


def _described(record: Record, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(what_is(record, name) for name in names)


def _verdict_of(cell: CellKey, findings: tuple[Finding, ...], tolerances: Tolerances) -> CellVerdict:
    verdict = next(v for v in WORST_FIRST if any(finding.verdict == v for finding in findings))
    decisive = [finding for finding in findings if finding.verdict == verdict]
    if verdict == PASS:
        decisive = [finding for finding in findings if finding.changed] or decisive
    reason = "; ".join(finding.reason for finding in decisive)
    return CellVerdict(*cell, verdict, reason, findings, tolerances.inconclusive)


def _sort_key(cell: CellVerdict) -> tuple[int, bool, float]:
    changes = (
        abs(finding.change.value)
        for finding in cell.findings
        if finding.verdict == cell.verdict and finding.change
    )
    return WORST_FIRST.index(cell.verdict), not cell.changed, -max(changes, default=0.0)
