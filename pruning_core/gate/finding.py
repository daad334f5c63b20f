"""What is said of one metric of a cell.

Finding         decided: it has a verdict
NoisyFinding    measured with noise; `decide` makes a finding of it once the whole run is known
"""

from dataclasses import dataclass
from typing import NamedTuple

from pruning_core.records.fields import Record

PASS, REGRESSED, INCONCLUSIVE, CANNOT_COMPARE = "pass", "regressed", "inconclusive", "cannot-compare"

P05_FIELD = "latency_p05_ms"
"""The 5th percentile of single calls: other processes slow most calls of a cell, and hardly these."""

_REMEDIES = {
    "speed": "more rounds",
    "backend": "more rounds or cells",
    "roofline": "another run",
    **dict.fromkeys(("score", "min_score", "max_score"), "more test examples"),
}
_OTHER_REMEDY = "more test images"


class Bounds(NamedTuple):
    """A change with a bound on each side; an infinite one where there are too few values."""

    value: float  # slow-down or growth as a fraction; drop of an accuracy (a fraction), of a score
    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> "Bounds":
        """Return a change that is counted, not estimated."""
        return cls(value, value, value)

    def in_words(self, up: str, down: str) -> tuple[str, "Bounds"]:
        """Return the word for the change, and the change as a positive number of that word.

        Args:
            up: The word for a positive change, such as "slower".
            down: The word for a negative one, such as "faster".
        """
        return (up, self) if self.value >= 0 else (down, Bounds(-self.value, -self.high, -self.low))


class Noise(NamedTuple):
    """How much values scatter, and how many there are: what a detectable change depends on."""

    spread: float  # standard deviation of one value, in ln units
    baseline_n: int
    new_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict on a noisy metric rests on."""

    p_value: float  # of the change if it were just the tolerance
    within_tolerance: bool  # the upper bound of the change is
    counter_evidence: str | None = None  # what contradicts a regression, however small the p-value
    noise: Noise | None = None
    remedy: str | None = None  # what would tell, where it is not what the metric says


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is said of one metric of a cell, with a verdict."""

    metric: str  # a field of the record, or `speed`, `roofline`, `backend`, `control`, `status`, …
    verdict: str
    reason: str
    baseline: float | None = None
    new: float | None = None
    change: Bounds | None = None
    changed: bool = False  # worth a row in a table
    evidence: Evidence | None = None  # None where nothing was estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyFinding:
    """What is said of one noisy metric of a cell, before the comparisons of a run are judged together."""

    metric: str
    reason: str
    baseline: float | None = None
    new: float | None = None
    change: Bounds | None = None
    changed: bool = False
    evidence: Evidence

    def decide(self, rejected: bool, on_inconclusive: str, confidence: float) -> Finding:
        """Return this finding with its verdict.

        Args:
            rejected: Holm's procedure over the run has rejected that the change is within the tolerance.
            on_inconclusive: What the policy does with this cell if it is inconclusive.
            confidence: Coverage of the bounds.
        """
        if rejected:
            return self._decided(REGRESSED, self.reason, True)
        if self.evidence.within_tolerance:
            return self._decided(PASS, self.reason, self.changed)
        why = self._why_inconclusive(confidence)
        if on_inconclusive == PASS:
            return self._decided(PASS, f"{self.reason}; {why}, passed by the policy", True)
        remedy = _REMEDIES.get(self.metric, _OTHER_REMEDY)
        if self.evidence.counter_evidence:
            remedy = self.evidence.remedy or "another run"
        return self._decided(INCONCLUSIVE, f"{self.reason}; {why}: {remedy} would tell", True)

    def _why_inconclusive(self, confidence: float) -> str:
        if self.evidence.counter_evidence:
            return self.evidence.counter_evidence
        if self.evidence.p_value <= 1 - confidence:
            return "significant by itself, not among all cells of the run"
        return "the tolerance is within the bounds"

    def _decided(self, verdict: str, reason: str, changed: bool) -> Finding:
        return Finding(
            metric=self.metric,
            verdict=verdict,
            reason=reason,
            baseline=self.baseline,
            new=self.new,
            change=self.change,
            changed=changed,
            evidence=self.evidence,
        )


def missing_fields(baseline: Record, new: Record, *names: str) -> Finding | None:
    """Return what to say where one of two records lacks a field that is needed; None where neither does."""
    for which, record in (("the baseline", baseline), ("this run", new)):
        absent = [name for name in names if name not in record]
        if absent:
            reason = f"{which} has no {', '.join(absent)}"
            return Finding(metric=absent[0], verdict=CANNOT_COMPARE, reason=reason, changed=True)
    return None


def differs(name: str, before: object, now: object) -> str:
    """Return a difference of a fact, in words."""
    return f"{name} differs: baseline {_said(before)}, this run {_said(now)}"


def _said(value: object) -> str:
    if value is None:
        return "none"
    text = repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
