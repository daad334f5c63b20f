"""Noisy findings are decided together: shares of the error probability, counter-evidence, verdicts."""

import math
from pathlib import Path

import pytest

from pruning_core.gate.families import decide_families, find_families
from pruning_core.gate.finding import Bounds, Evidence, Finding, Noise, NoisyFinding
from pruning_core.gate.policy import AlphaWeights, Policy, Tolerances
from tests.helpers.gate_changes import LAT, judge, small_run


def noisy(metric: str, p_value: float = 1.0, counter_evidence: str | None = None) -> NoisyFinding:
    """Make a finding whose change is beyond the tolerance."""
    return NoisyFinding(
        metric=metric,
        reason="10% slower",
        change=Bounds(0.1, 0.06, 0.14),
        evidence=Evidence(p_value=p_value, within_tolerance=False, counter_evidence=counter_evidence),
    )


def test_the_error_probability_goes_to_the_families_that_there_are() -> None:
    """Where no accuracy is in question its share is not lost; all shares together are the policy's."""
    speed, roofline, accuracy = ("latency", "a"), ("latency", "b"), ("accuracy", "c")
    findings = {speed: [noisy("speed")], roofline: [noisy("roofline")]}
    families = find_families(findings, Policy())
    assert {name: family.alpha for name, family in families.items()} == {"speed": 0.025, "roofline": 0.025}
    both = [noisy("accuracy"), noisy("min_accuracy")]
    families = find_families({**findings, accuracy: both}, Policy())
    assert sum(family.alpha for family in families.values()) == pytest.approx(0.05)
    assert len(families["accuracy"].members) == 2
    weighted = Policy(alpha_weights=AlphaWeights(speed=3.0))
    assert find_families(findings, weighted)["speed"].alpha == pytest.approx(0.0375)


def test_decided_findings_keep_their_place_and_what_was_measured() -> None:
    """Each noisy finding gets a verdict where it stands; what was decided before is left as it is."""
    cell = ("latency", "a")
    fixed = Finding(metric="status", verdict="pass", reason="failed in the baseline, holds now")
    findings = {cell: [noisy("accuracy", 0.5), fixed, noisy("speed", 1e-6)]}
    families = find_families(findings, Policy())
    decided = decide_families(findings, families.values(), {cell: Tolerances()}, 0.95)[cell]
    assert [finding.verdict for finding in decided] == ["inconclusive", "pass", "regressed"]
    assert decided[1] is fixed
    assert decided[2].change == Bounds(0.1, 0.06, 0.14)
    assert decided[2].evidence is not None
    assert decided[2].evidence.p_value == 1e-6


def test_counter_evidence_outweighs_every_p_value() -> None:
    """A slow-down that something contradicts is inconclusive, and takes no other's share."""
    cells = [("latency", name) for name in "ab"]
    findings = {cells[0]: [noisy("speed", 1e-9, "state differs")], cells[1]: [noisy("speed", 0.03)]}
    families = find_families(findings, Policy())
    decided = decide_families(findings, families.values(), dict.fromkeys(cells, Tolerances()), 0.95)
    assert [decided[cell][0].verdict for cell in cells] == ["inconclusive", "inconclusive"]
    assert decided[cells[0]][0].reason == "10% slower; state differs: another run would tell"
    assert decided[cells[1]][0].reason.endswith(
        "significant by itself, not among all cells of the run: more rounds would tell"
    )


def test_detectable_slowdowns_depend_on_the_policys_power() -> None:
    """More power needs a larger slow-down; findings without known noise have none."""
    cell = ("latency", "a")
    evidence = Evidence(p_value=1.0, within_tolerance=True, noise=Noise(0.02, 10, 10))
    finding = NoisyFinding(metric="speed", reason="", evidence=evidence)
    family = find_families({cell: [finding]}, Policy())["speed"]
    (usual,), (strict,) = (family.detectable_slowdowns({cell: Tolerances()}, power) for power in (0.9, 0.99))
    assert 0.05 < usual < strict < math.inf
    silent = find_families({cell: [noisy("speed")]}, Policy())["speed"]
    assert silent.detectable_slowdowns({cell: Tolerances()}, 0.9) == []


def test_the_power_of_the_policy_is_the_one_that_is_stated(tmp_path: Path) -> None:
    """The result holds the power that its detectable slow-downs are for."""
    stated = [judge(tmp_path, small_run(1), small_run(), Policy(power=power)) for power in (0.8, 0.95)]
    assert [result.power for result in stated] == [0.8, 0.95]
    first, second = (result.detectable_slowdown for result in stated)
    assert first is not None
    assert second is not None
    assert first < second
    assert LAT in {(cell.suite, cell.cell) for cell in stated[0].cells}
