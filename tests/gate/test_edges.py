"""The gate's rules at their edges: each test here holds one that no case of the table would miss."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.finding import Bounds
from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.gate.render import to_json
from tests.helpers import record_factory as factory
from tests.helpers.gate_case import SKIP_TIMES
from tests.helpers.gate_changes import (
    ACC,
    COST,
    LAT,
    cell_of,
    judge,
    noisy,
    setting,
    slower,
    small_run,
)


def test_nothing_changed_is_nothing_to_look_at(tmp_path: Path) -> None:
    """Of a run compared with itself no cell is worth a row, and every finding passes."""
    result = judge(tmp_path, small_run(), small_run())
    assert not [cell for cell in result.cells if cell.changed]
    assert {finding.verdict for cell in result.cells for finding in cell.findings} == {"pass"}


def test_a_failure_without_a_reason_says_so(tmp_path: Path) -> None:
    """A cell that failed without saying why is not given an empty reason."""
    new = small_run()
    setting(ACC, status="failed", failure="")(new)
    assert cell_of(judge(tmp_path, new, small_run()), ACC).reason == "failed: no reason given"


def test_noise_alone_is_not_called_clear(tmp_path: Path) -> None:
    """Where not even the cell by itself is clear, the reason speaks of its bounds, not of the other cells."""
    new = small_run()
    slower(1.053)(new)
    reason = cell_of(judge(tmp_path, new, small_run()), LAT).reason
    assert reason.endswith("the tolerance is within the bounds: more rounds would tell")


def test_a_cell_that_is_gone_is_not_called_renamed(tmp_path: Path) -> None:
    """Without an added cell of the same description a missing one has no other name."""
    new = small_run()
    factory.remove(new, LAT)
    assert cell_of(judge(tmp_path, new, small_run()), LAT).reason == "missing: this run has no such cell."


def test_an_old_cell_is_no_new_name(tmp_path: Path) -> None:
    """A cell that the baseline has too is not taken for the new name of one that is missing."""
    baseline, new = small_run(), small_run()
    for content in (baseline, new):
        factory.repeat(content, LAT)
        content["benchmarks"][-1]["extra_info"]["cell"] = "its twin"
    factory.remove(new, LAT)
    assert "Renamed" not in cell_of(judge(tmp_path, new, baseline), LAT).reason


@pytest.mark.parametrize(
    "name", ["model", "dataset", "method", "ratio", "backend", "precision", "device", "batch_size"]
)
def test_another_thing_is_no_new_name(tmp_path: Path, name: str) -> None:
    """An added cell that differs in what it is about is not taken for the new name of a missing one."""
    new = small_run()
    other: dict[str, Any] = {"ratio": 0.125, "batch_size": 7}
    setting(LAT, cell="new-name", **{name: other.get(name, "other")})(new)
    assert "Renamed" not in cell_of(judge(tmp_path, new, small_run()), LAT).reason


def test_a_cell_of_another_suite_is_no_new_name(tmp_path: Path) -> None:
    """An added cell of another suite is not taken for the new name of a missing one."""
    new = small_run(suites=("cost",))
    setting(COST, suite="mine")(new)
    assert "Renamed" not in cell_of(judge(tmp_path, new, small_run(suites=("cost",))), COST).reason


def test_a_cell_twice_in_the_baseline_cannot_be_compared(tmp_path: Path) -> None:
    """Where the baseline has a cell twice, which one counts is not clear, and it is said where."""
    baseline = small_run()
    factory.repeat(baseline, COST)
    cell = cell_of(judge(tmp_path, small_run(), baseline), COST)
    assert cell.verdict == "cannot-compare"
    assert "appears 2 times in the baseline" in cell.reason


def test_a_reason_names_only_what_decided(tmp_path: Path) -> None:
    """The reason of a cell that regressed leaves out what improved."""
    new = small_run()
    setting(COST, macs=139_400_001, params=5)(new)
    reason = cell_of(judge(tmp_path, new, small_run()), COST).reason
    assert reason.startswith("MACs")
    assert "parameters" not in reason


def test_the_cell_of_the_greatest_change_comes_first(tmp_path: Path) -> None:
    """Among cells of one verdict the one that changed most stands first."""
    other = ("latency", LAT[1].replace("onnxruntime", "eager"))
    for first, second in ((1.3, 1.6), (1.6, 1.3)):
        new = small_run()
        slower(first, LAT)(new)
        slower(second, other)(new)
        result = judge(tmp_path, new, small_run())
        largest = LAT[1] if first > second else other[1]
        assert [cell.verdict for cell in result.cells[:2]] == ["regressed", "regressed"]
        assert result.cells[0].cell == largest


@pytest.mark.parametrize(("before", "now", "verdict"), [(0, 5, "regressed"), (0, 0, "pass"), (5, 0, "pass")])
def test_nothing_can_be_counted_too(tmp_path: Path, before: int, now: int, verdict: str) -> None:
    """A cost of 0, before or now, is compared like any other."""
    new, baseline = small_run(), small_run()
    setting(COST, macs=now)(new)
    setting(COST, macs=before)(baseline)
    cell = cell_of(judge(tmp_path, new, baseline), COST)
    assert cell.verdict == verdict
    assert (
        cell.findings[0].change
        == {
            (0, 5): None,
            (0, 0): Bounds.exact(0.0),
            (5, 0): Bounds.exact(-1.0),
        }[before, now]
    )


def test_skipping_times_elsewhere_does_not_skip_them_here(tmp_path: Path) -> None:
    """A policy that skips times on another machine still judges them on the same one."""
    new = small_run()
    slower(1.3)(new)
    result = judge(tmp_path, new, small_run(), SKIP_TIMES)
    assert (cell_of(result, LAT).verdict, result.exit_code) == ("regressed", 1)


def test_order_goes_by_what_decided(tmp_path: Path) -> None:
    """A large improvement with a small loss moves no cell to the front; what changed comes first."""
    dense = ("cost", "resnet18-digits-dense")
    new = small_run()
    setting(COST, macs=139_400_001, params=1)(new)
    setting(dense, macs=600_000_000)(new)
    result = judge(tmp_path, new, small_run())
    assert [(c.suite, c.cell) for c in result.cells[:2]] == [dense, COST]
    better = small_run()
    setting(COST, params=1)(better)
    first = judge(tmp_path, better, small_run()).cells[0]
    assert ((first.suite, first.cell), first.verdict, first.changed) == (COST, "pass", True)


def test_reporting_what_is_inconclusive_hides_no_regression(tmp_path: Path) -> None:
    """The policy `report` takes inconclusive cells out of the exit code, and no others."""
    reported = Policy(Tolerances(inconclusive="report"))
    new = small_run()
    slower(1.3)(new)
    assert judge(tmp_path, new, small_run(), reported).exit_code == 1
    alone, before = small_run(), small_run()
    noisy(alone)
    for content in (alone, before):
        content["benchmarks"] = [e for e in content["benchmarks"] if e["extra_info"]["cell"] == LAT[1]]
    result = judge(tmp_path, alone, before, reported)
    assert [cell.verdict for cell in result.cells] == ["inconclusive"]
    assert (result.verdict, result.exit_code) == ("pass", 0)


def test_only_times_have_controls(tmp_path: Path) -> None:
    """A record of another suite that calls itself a control makes no times untrusted."""
    new, baseline = small_run(), small_run()
    for content in (new, baseline):
        setting(ACC, is_control=True)(content)
    assert cell_of(judge(tmp_path, new, baseline), LAT).verdict == "pass"


def test_one_contaminated_cell_of_the_baseline_is_enough(tmp_path: Path) -> None:
    """A cell that was disturbed in the baseline cannot be compared, however clean the control."""
    baseline = small_run()
    setting(LAT, contaminated=True)(baseline)
    cell = cell_of(judge(tmp_path, small_run(), baseline), LAT)
    assert cell.verdict == "cannot-compare"
    assert "the baseline is marked as contaminated. Measure it again" in cell.reason
    setting(LAT, contention="a build")(baseline)
    assert (
        "the baseline is contaminated (a build)"
        in cell_of(judge(tmp_path, small_run(), baseline), LAT).reason
    )


@pytest.mark.parametrize("factor", [1.2, 0.8])
def test_bounds_of_a_speed_stand_around_it(tmp_path: Path, factor: float) -> None:
    """A slow-down and a gain are told as positive numbers, the lower bound first."""
    new = small_run(seed=1)
    slower(factor)(new)
    reason = cell_of(judge(tmp_path, new, small_run()), LAT).reason
    found = re.search(r"([\d.]+)% (slower|faster) \[([\d.]+)%, ([\d.]+)%\]", reason)
    assert found is not None, reason
    assert found[2] == ("slower" if factor > 1 else "faster")
    assert float(found[3]) < float(found[1]) < float(found[4])


def test_an_unbounded_slow_down_is_infinite(tmp_path: Path) -> None:
    """With too few rounds for a bound it is infinite, and null in JSON; with enough it is not."""
    for rounds, bounded in ((2, False), (10, True)):
        result = judge(tmp_path, small_run(rounds=rounds), small_run(rounds=rounds))
        (finding,) = cell_of(result, LAT).findings
        assert finding.change is not None
        assert math.isfinite(finding.change.high) == bounded
        (cell,) = [c for c in json.loads(to_json(result))["cells"] if (c["suite"], c["cell"]) == LAT]
        assert (cell["findings"][0]["change_high"] is not None) == bounded


@pytest.mark.parametrize(
    ("factor", "scatter", "changed"),
    [
        (1.03, 0.001, True),  # clear, and more than half of the tolerance
        (0.96, 0.001, True),
        (1.01, 0.001, False),  # clear, but small
        (0.99, 0.001, False),
        (0.97, 0.06, False),  # large, but it may be noise
    ],
)
def test_a_pass_is_worth_a_look_when_large_and_clear(
    tmp_path: Path, factor: float, scatter: float, changed: bool
) -> None:
    """Of the speeds that pass, those have a row that moved by half of the tolerance, beyond noise."""
    pair = [small_run(), small_run()]
    for content in pair:
        steady = [-0.5 + scatter * (i - 4.5) / 4.5 for i in range(10)]
        factory.set_rounds(factory.find(content, LAT), steady)
    slower(factor)(pair[0])
    cell = cell_of(judge(tmp_path, *pair), LAT)
    assert (cell.verdict, cell.changed) == ("pass", changed), cell.reason


def test_an_empty_fact_is_no_fact(tmp_path: Path) -> None:
    """An empty text or null in one run, where the other has nothing, is no difference of machines."""
    new = small_run()
    facts = {"fingerprint": "other", "cpu_model": "x", "gpu_driver": "", "gpus": None}
    new["machine_info"]["pruning_bench"].update(facts)
    reason = cell_of(judge(tmp_path, new, small_run()), LAT).reason
    assert reason.startswith("speed not compared: cpu_model differs: baseline Xeon of box-a, this run x. ")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ratio": 0.125}, "ratio differs: baseline 0.5, this run 0.125"),
        ({"schedule": "one-shot"}, "schedule differs: baseline 'iterative', this run 'one-shot'"),
        ({"scope": "x" * 90}, f"scope differs: baseline 'local', this run '{'x' * 38}…"),
        ({"seed": None}, "seed differs: baseline 0, this run none"),
        (
            {"seed": 1, "round_to": 8},
            "round_to differs: baseline 2, this run 8; seed differs: baseline 0, this run 1",
        ),
    ],
)
def test_what_differs_is_told_as_it_is(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """Numbers, texts, long texts and what is absent are shown so that a reader can distinguish them."""
    new = small_run()
    record = factory.find(new, COST)
    record.update(fields)
    for name in [name for name, value in record.items() if value is None]:
        del record[name]
    assert cell_of(judge(tmp_path, new, small_run()), COST).reason == words


@pytest.mark.parametrize(
    ("fingerprint", "verdicts"), [("", {"pass"}), ("other", {"cannot-compare"})], ids=["same", "other"]
)
def test_a_baseline_that_calls_every_folder_so_is_still_good(
    tmp_path: Path, fingerprint: str, verdicts: set[str]
) -> None:
    """Files of earlier versions call each folder `folder`: which one it is, cell and fingerprint say."""
    baseline, new = small_run(), small_run()
    for content, name in ((baseline, "folder"), (new, "folder-parts")):
        for entry in content["benchmarks"]:
            entry["extra_info"]["dataset"] = name
    for entry in new["benchmarks"] if fingerprint else ():
        entry["extra_info"]["dataset_fingerprint"] = fingerprint
    result = judge(tmp_path, new, baseline)
    assert {cell.verdict for cell in result.cells} == verdicts
    assert not any("dataset differs" in cell.reason for cell in result.cells)
