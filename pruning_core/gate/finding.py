"""What is said of one metric of a cell, and the words for it."""

from dataclasses import dataclass, replace

from pruning_core.gate.policy import Tolerances
from pruning_core.records.fields import Record

PASS, REGRESSED, INCONCLUSIVE, CANNOT_COMPARE = "pass", "regressed", "inconclusive", "cannot-compare"

P05_FIELD = "latency_p05_ms"
"""The field that tells how fast a cell is when neighbours leave it alone: on a shared machine they make most
calls slower, in moods that outlast a run, and hardly touch the fastest ones."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of one metric of a cell."""

    metric: str  # a field of the record, or `speed`, `ceiling`, `backend`, `control`, `status`, …
    verdict: str  # empty until the noisy comparisons of the run have been judged together
    reason: str
    baseline: float | None = None
    new: float | None = None
    change: float | None = None  # slow-down or growth as a fraction, drop as a fraction of the images
    change_low: float | None = None
    change_high: float | None = None
    p_value: float | None = None  # of the change if it were within the tolerance
    within: bool = False  # the bound of the change stays within the tolerance
    detectable: tuple[float, int, int] | None = None  # spread of one value, values on either side
    doubt: str = ""  # what speaks against a regression, however small the p-value
    changed: bool = False

    def settled(self, rejected: bool, tolerances: Tolerances, confidence: float) -> "Finding":
        """Return this noisy part with its verdict.

        Args:
            rejected: Holm's procedure over the run has rejected that the change is within the tolerance.
            tolerances: Those of the cell.
            confidence: Coverage of the bounds.
        """
        if rejected:
            return replace(self, verdict=REGRESSED, changed=True)
        if self.within:
            return replace(self, verdict=PASS)
        remedies = {"speed": "more rounds", "backend": "more rounds or cells", "ceiling": "another run"}
        remedy = "another run" if self.doubt else remedies.get(self.metric, "more test images")
        advice = f"{remedy} would tell"
        alone = self.p_value is not None and self.p_value <= 1 - confidence
        why = self.doubt or (
            "clear by itself, not among all cells of the run"
            if alone
            else "the tolerance is within the bounds"
        )
        if tolerances.inconclusive == PASS:
            return replace(
                self, verdict=PASS, reason=f"{self.reason}; {why}, passed by the policy", changed=True
            )
        return replace(self, verdict=INCONCLUSIVE, reason=f"{self.reason}; {why}: {advice}", changed=True)


def missing_fields(baseline: Record, new: Record, *names: str) -> Finding | None:
    """Return what to say where one of two records lacks a field that is needed."""
    for which, record in (("the baseline", baseline), ("this run", new)):
        absent = [name for name in names if name not in record]
        if absent:
            return Finding(absent[0], CANNOT_COMPARE, f"{which} has no {', '.join(absent)}", changed=True)
    return None


def differs(name: str, before: object, now: object) -> str:
    """Return a difference of a fact, in words."""
    return f"{name} differs: baseline {_said(before)}, this run {_said(now)}"


def _said(value: object) -> str:
    if value is None:
        return "none"
    text = repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
