"""Decide the noisy findings of a run together, so that the chance of any false regression is bounded.

The comparisons of one kind are a family: accuracies, speeds of cells, backends as wholes, the dense model
against the roofline. Each family gets a share of the error probability (`alpha_weights` of the policy) and is
decided by Holm's procedure. So a grid of many latency cells does not make the gate blind to the others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pruning_core.gate.finding import Finding, NoisyFinding
from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.gate.result import CellKey
from pruning_core.stats.rank_sum import detectable_shift, reject_by_holm

_MAX_SHIFT = 50
"""In ln units: beyond anything that a time could be slowed down by."""


@dataclass(frozen=True)
class Family:
    """Noisy findings that are judged together."""

    name: str
    alpha: float  # chance of any false regression among its members
    members: Sequence[tuple[CellKey, NoisyFinding]]

    def rejected(self) -> set[tuple[CellKey, str]]:
        """Return cell and metric of the members whose change is beyond the tolerance and beyond noise."""
        p_values = [
            1.0 if finding.evidence.counter_evidence else finding.evidence.p_value
            for _, finding in self.members
        ]
        rejections = reject_by_holm(p_values, self.alpha)
        return {
            (cell, finding.metric)
            for (cell, finding), is_rejected in zip(self.members, rejections, strict=True)
            if is_rejected
        }

    def detectable_slowdowns(self, tolerances: Mapping[CellKey, Tolerances], power: float) -> list[float]:
        """Estimate for each member the smallest slow-down that its test would find.

        Args:
            tolerances: Those of each cell.
            power: Chance of finding it.

        Returns:
            Fractions; inf where so few values never reach the family's share of the error probability.
        """
        alpha = self.alpha / len(self.members)
        slowdowns = []
        for cell, finding in self.members:
            if finding.evidence.noise:
                margin = math.log1p(tolerances[cell].slowdown)
                shift = detectable_shift(*finding.evidence.noise, alpha, power)
                slowdowns.append(math.expm1(margin + shift) if shift < _MAX_SHIFT else math.inf)
        return slowdowns


def find_families(
    findings: Mapping[CellKey, Sequence[Finding | NoisyFinding]], policy: Policy
) -> dict[str, Family]:
    """Group the noisy findings of a run into families, and divide the error probability among them.

    Args:
        findings: What is said of each cell, decided or not.
        policy: Its `familywise_error` is divided by its `alpha_weights` among the families that there are.
    """
    weights = policy.alpha_weights.by_family
    members: dict[str, list[tuple[CellKey, NoisyFinding]]] = {}
    for cell, items in findings.items():
        for finding in items:
            if isinstance(finding, NoisyFinding):
                name = finding.metric if finding.metric in weights else "accuracy"
                members.setdefault(name, []).append((cell, finding))
    alphas = _alphas_of(members, weights, policy.familywise_error)
    return {name: Family(name, alphas[name], of_family) for name, of_family in members.items()}


def decide_families(
    findings: Mapping[CellKey, Sequence[Finding | NoisyFinding]],
    families: Iterable[Family],
    tolerances: Mapping[CellKey, Tolerances],
    confidence: float,
) -> dict[CellKey, tuple[Finding, ...]]:
    """Return the findings of each cell with all verdicts.

    Args:
        findings: What is said of each cell, decided or not.
        families: Those of the undecided ones.
        tolerances: Those of each cell.
        confidence: Coverage of the bounds.
    """
    rejected = set[tuple[CellKey, str]]().union(*(family.rejected() for family in families))
    return {
        cell: tuple(
            finding.decide((cell, finding.metric) in rejected, tolerances[cell].inconclusive, confidence)
            if isinstance(finding, NoisyFinding)
            else finding
            for finding in items
        )
        for cell, items in findings.items()
    }


def _alphas_of(
    names: Iterable[str], weights: Mapping[str, float], familywise_error: float
) -> dict[str, float]:
    """Divide the error probability among the families that there are."""
    names = list(names)
    whole = sum(weights[name] for name in names)
    return {name: familywise_error * weights[name] / whole for name in names}
