"""The gate's rules on costs and accuracies at their edges, one a test."""

import re
from pathlib import Path

import pytest

from pruning_core.gate.compare import compare
from pruning_core.gate.finding import Bounds
from pruning_core.gate.policy import Policy, Tolerances
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import (
    ACC,
    COST,
    all_of,
    cell_of,
    correct,
    judge,
    retrained,
    setting,
    small_run,
    without_field,
)


def test_an_earlier_versions_macs_are_compared_with_torch_prunings(tmp_path: Path) -> None:
    """A baseline without `macs_products` holds torch-pruning's count: the new run is judged by that one."""
    new, baseline = small_run(), small_run()
    setting(COST, macs=200)(baseline)
    setting(COST, macs=9_000, macs_products=8_900, macs_torch_pruning=200)(new)
    same = cell_of(judge(tmp_path, new, baseline), COST)
    assert same.verdict == "pass"
    assert same.reason.startswith("MACs the same")
    setting(COST, macs_torch_pruning=201)(new)
    assert cell_of(judge(tmp_path, new, baseline), COST).reason.startswith("MACs 200 → 201 (+1")
    setting(COST, macs=8_999, macs_products=8_900, macs_torch_pruning=200)(baseline)
    assert cell_of(judge(tmp_path, new, baseline), COST).reason.startswith("MACs 8,999 → 9,000 (+1")


def test_costs_are_told_in_numbers(tmp_path: Path) -> None:
    """What stayed is said to have; what fell is called improved, what grew is not; each with its fraction."""
    new, baseline = small_run(), small_run()
    for content in (new, baseline):
        setting(COST, macs=200, params=100, size_bytes=50)(content)
    same = cell_of(judge(tmp_path, new, baseline), COST)
    assert same.reason == "MACs the same; parameters the same; bytes the same"
    assert [finding.change for finding in same.findings] == [Bounds.exact(0.0)] * 3
    setting(COST, macs=300, params=80)(new)
    findings = {finding.metric: finding for finding in cell_of(judge(tmp_path, new, baseline), COST).findings}
    assert findings["macs"].reason == "MACs 200 → 300 (+100, +50%)"
    assert (
        findings["params"].reason
        == "parameters 100 → 80 (-20, -20%), improved, but the network is another one"
    )
    assert (findings["macs"].change, findings["params"].change) == (Bounds.exact(0.5), Bounds.exact(-0.2))
    setting(COST, macs=0)(baseline)
    (macs, *_) = cell_of(judge(tmp_path, new, baseline), COST).findings
    assert (macs.reason, macs.change) == ("MACs 0 → 300 (+300)", None)


def test_an_absent_accuracy_is_named(tmp_path: Path) -> None:
    """A record that has lost its accuracy is said to have, in either run."""
    for which in (0, 1):
        pair = [small_run(), small_run()]
        without_field(ACC, "accuracy")(pair[which])
        reason = cell_of(judge(tmp_path, *pair), ACC).reason
        assert reason == f"{('this run', 'the baseline')[which]} has no accuracy"


@pytest.mark.parametrize(("count", "word"), [(337, "drop"), (355, "gain")])
def test_bounds_of_an_accuracy_stand_around_it(tmp_path: Path, count: int, word: str) -> None:
    """A drop and a gain of a new checkpoint are told with the lower bound first."""
    new = small_run()
    all_of(correct(count), retrained)(new)
    reason = cell_of(judge(tmp_path, new, small_run()), ACC).reason
    found = re.search(rf"{word} ([\d.]+) points \[(-?[\d.]+), (-?[\d.]+)\]", reason)
    assert found is not None, reason
    value, low, high = map(float, found.groups())
    assert low < value < high


def test_a_new_checkpoint_of_the_same_accuracy_is_no_change(tmp_path: Path) -> None:
    """Where a checkpoint was retrained, only another accuracy is worth a look."""
    loose = Policy(Tolerances(max_accuracy_drop=0.5))
    new = small_run()
    retrained(new)
    assert not cell_of(judge(tmp_path, new, small_run(), loose), ACC).changed
    correct(340)(new)
    cell = cell_of(judge(tmp_path, new, small_run(), loose), ACC)
    assert (cell.verdict, cell.changed) == ("pass", True)


def test_answers_of_one_run_only_are_not_paired(tmp_path: Path) -> None:
    """Where one of two runs does not say which images were right, they are judged as not paired."""
    for pair in ((small_run(), small_run(paired=False)), (small_run(paired=False), small_run())):
        all_of(correct(337), retrained)(pair[0])
        assert "not paired" in cell_of(judge(tmp_path, *pair), ACC).reason


def test_answers_of_another_length_are_damage(tmp_path: Path) -> None:
    """As many correct predictions over more images than there are is a damaged record."""
    baseline, new = (factory.as_run(small_run(), tmp_path) for _ in range(2))
    (record,) = [r for r in new.records if (r["suite"], r["cell"]) == ACC]
    record["correct_bits"] += "0"
    cell = cell_of(compare(baseline, new, Policy()), ACC)
    assert (cell.verdict, "damaged" in cell.reason) == ("cannot-compare", True)
