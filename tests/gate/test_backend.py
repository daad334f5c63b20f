"""A backend as a whole: found by all of its cells together where no single one is sure."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.policy import Policy, Tolerances
from pruning_core.gate.render import to_json, to_junit, to_markdown
from pruning_core.gate.result import GateResult
from tests.helpers import record_factory as factory
from tests.helpers.backend_runs import BACKENDS, ONNX, OPENVINO, run, scattered, slowed
from tests.helpers.gate_changes import Change, all_latencies, all_of, cell_of, judge, other_machine


def backends_of(result: GateResult) -> dict[str, str]:
    """Return the verdict on each backend as a whole."""
    return {c.cell: c.verdict for c in result.cells if c.suite == "backend"}


def test_a_slow_backend_is_found_where_no_cell_is_sure(tmp_path: Path) -> None:
    """+10 % on one backend that no speed-up shows: 20 of 20 runs are regressed, by that backend alone."""
    for seed in range(20):
        new = run(seed + 100, spread=0.01)
        slowed(1.10)(new)
        result = judge(tmp_path, new, run(seed, spread=0.01))
        assert [(c.suite, c.cell) for c in result.cells if c.verdict == "regressed"] == [OPENVINO]
        assert result.exit_code == 1
        (finding,) = cell_of(result, OPENVINO).findings
        assert finding.reason.startswith("8 cells on openvino-fp32-cpu together ")
        assert "% slower [" in finding.reason
        assert finding.change is not None
        assert finding.change.value == pytest.approx(0.10, abs=0.04)


def test_unchanged_backends_raise_no_false_alarm(tmp_path: Path) -> None:
    """Over 100 A/A pairs with no tolerance at all, at most 2 % find a slower backend."""
    strict = Policy(Tolerances(slowdown=0.0))
    results = [judge(tmp_path, run(b), run(a), strict) for a, b in pairwise(range(101))]
    assert all(len(backends_of(result)) == 2 for result in results)
    assert sum("regressed" in backends_of(result).values() for result in results) <= 2
    usual = [judge(tmp_path, run(b), run(a)) for a, b in pairwise(range(21))]
    assert {verdict for result in usual for verdict in backends_of(result).values()} == {"pass"}


def test_a_faster_backend_passes_and_is_shown(tmp_path: Path) -> None:
    """Improvements pass, with their size in the reason."""
    new = run(1)
    slowed(0.8)(new)
    result = judge(tmp_path, new, run(0))
    found = cell_of(result, OPENVINO)
    assert found.verdict == "pass"
    assert found.changed
    assert "% faster [" in found.reason


@pytest.mark.parametrize(
    ("factor", "spread", "is_sure", "changed"),
    [
        (1.01, 0.001, True, False),
        (0.99, 0.001, True, False),
        (1.035, 0.001, True, True),
        (0.965, 0.001, True, True),
        (0.97, 0.06, False, False),
    ],
    ids=["slower, too little", "faster, too little", "slower", "faster", "faster, not sure"],
)
def test_of_backends_that_pass_those_that_changed_are_shown(
    tmp_path: Path, factor: float, spread: float, is_sure: bool, changed: bool
) -> None:
    """A row is for a change beyond noise and beyond half of what is tolerated."""
    new = run(1, spread=spread)
    slowed(factor)(new)
    cell = cell_of(judge(tmp_path, new, run(0, spread=spread)), OPENVINO)
    (finding,) = cell.findings
    assert finding.change is not None
    assert (finding.change.low > 0 or finding.change.high < 0) is is_sure
    assert (cell.verdict, cell.changed) == ("pass", changed)


def test_a_slower_eager_is_no_faster_backend_alone(tmp_path: Path) -> None:
    """What hits every backend alike is no backend's fault."""
    new = run(1)
    for name in ("eager", "openvino", "onnxruntime"):
        slowed(1.3, name)(new)
    assert backends_of(judge(tmp_path, new, run(0))) == {OPENVINO[1]: "pass", ONNX[1]: "pass"}


def test_backends_that_changed_like_eager_are_controls_too(tmp_path: Path) -> None:
    """Where eager alone is too noisy, other unchanged backends show a slower one."""
    verdicts: dict[str, list[str]] = {"eager alone": [], "more controls": []}
    for seed in range(20):
        for which, backends in (
            ("eager alone", ("eager:fp32", "openvino:fp32")),
            ("more controls", BACKENDS),
        ):
            new, baseline = (run(s, spread=0.01, backends=backends) for s in (seed + 100, seed))
            all_of(slowed(1.10), scattered("eager", seed, 0.08))(new)
            found = cell_of(judge(tmp_path, new, baseline), OPENVINO)
            verdicts[which].append(found.verdict)
    assert verdicts["eager alone"].count("regressed") <= 8
    assert verdicts["more controls"].count("regressed") >= 15
    assert "relative to the same on eager-fp32, onnxruntime-fp32, at" in found.reason


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_backend_that_changed_says_nothing_of_the_others(tmp_path: Path, factor: float) -> None:
    """A release that makes one backend faster or slower makes no other look slower or faster."""
    new = run(1)
    slowed(factor, "onnxruntime")(new)
    result = judge(tmp_path, new, run(0))
    assert backends_of(result) == {OPENVINO[1]: "pass", ONNX[1]: "pass" if factor < 1 else "regressed"}
    assert "relative to the same on eager-fp32, at" in cell_of(result, OPENVINO).reason
    assert "relative to the same on eager-fp32, openvino-fp32, at" in cell_of(result, ONNX).reason


def test_backends_that_are_slower_together_are_each_found(tmp_path: Path) -> None:
    """What they share does not hide it: eager, which does not, is what they are measured by."""
    new = run(1)
    all_of(slowed(1.12), slowed(1.12, "onnxruntime"))(new)
    assert backends_of(judge(tmp_path, new, run(0))) == {
        OPENVINO[1]: "regressed",
        ONNX[1]: "regressed",
    }


def test_other_networks_and_devices_are_no_controls(tmp_path: Path) -> None:
    """Only the same networks on the same device are compared with."""
    new, baseline = run(1), run(0)
    for content in (new, baseline):
        for record in factory.records_of(content, "latency"):
            if record["backend"] == "onnxruntime":
                record["threads"] = 1
    result = judge(tmp_path, new, baseline)
    assert "relative to the same on eager-fp32, at" in cell_of(result, OPENVINO).reason
    new, baseline = run(1), run(0)
    for content in (new, baseline):
        elsewhere = run(3, device="cuda:0")
        content["benchmarks"] += elsewhere["benchmarks"]
    result = judge(tmp_path, new, baseline)
    assert set(backends_of(result)) == {OPENVINO[1], ONNX[1], "openvino-fp32-cuda0", "onnxruntime-fp32-cuda0"}
    assert "relative to the same on eager-fp32, onnxruntime-fp32, at" in cell_of(result, OPENVINO).reason


def test_a_noisy_backend_is_inconclusive(tmp_path: Path) -> None:
    """Where the cells of a backend disagree, nothing is said of it, and that is said."""
    result = judge(tmp_path, run(1, spread=0.3), run(0, spread=0.3))
    assert cell_of(result, OPENVINO).verdict == "inconclusive"
    assert "more rounds or cells would tell" in cell_of(result, OPENVINO).reason


def test_its_tolerance_is_set_by_its_name(tmp_path: Path) -> None:
    """A pattern of the policy speaks of a backend as it does of a cell."""
    new = run(1)
    slowed(1.10)(new)
    loose = Policy(overrides=(("backend/openvino-*", {"slowdown": 0.3}),))
    assert cell_of(judge(tmp_path, new, run(0), loose), OPENVINO).verdict == "pass"
    elsewhere = Policy(overrides=(("backend/onnxruntime-*", {"slowdown": 0.3}),))
    result = judge(tmp_path, new, run(0), elsewhere)
    assert cell_of(result, OPENVINO).verdict == "regressed"
    assert not any("matches no cell" in note for note in result.notes)


def test_networks_that_eager_did_not_run_are_left_out(tmp_path: Path) -> None:
    """Only like is compared with like: six networks that both ran are enough, five are not."""
    for left, expected in ((6, {OPENVINO[1]}), (5, set())):
        new, baseline = run(1), run(0)
        for content in (new, baseline):
            eager = [r["cell"] for r in factory.records_of(content, "latency") if r["backend"] == "eager"]
            # The dense ones go last: they hold the controls.
            for cell in [c for c in eager if "dense" not in c][: 8 - left]:
                factory.remove(content, ("latency", cell))
        result = judge(tmp_path, new, baseline, Policy(overrides=(("latency/*", {"inconclusive": "pass"}),)))
        assert {name for name in backends_of(result) if name == OPENVINO[1]} == expected


def test_how_many_cells_are_enough_is_the_policys(tmp_path: Path) -> None:
    """With `min_cells` above what a backend has it is not judged as a whole."""
    for min_cells, expected in ((8, {OPENVINO[1], ONNX[1]}), (9, set())):
        assert set(backends_of(judge(tmp_path, run(1), run(0), Policy(min_cells=min_cells)))) == expected


@pytest.mark.parametrize(
    "change",
    [
        other_machine,
        all_latencies(contaminated=True),
        all_latencies(threads=1),
        all_latencies(seed=1),
    ],
    ids=["other machine", "contaminated", "other threads", "other seed"],
)
def test_what_cannot_be_compared_is_not_pooled(tmp_path: Path, change: Change) -> None:
    """Where cells do not speak of the same thing, or cannot be trusted, neither does their backend."""
    new = run(1)
    all_of(slowed(1.5), change)(new)
    assert backends_of(judge(tmp_path, new, run(0))) == {}
    assert backends_of(judge(tmp_path, run(0), new)) == {}


def test_cells_that_fail_are_not_pooled(tmp_path: Path) -> None:
    """A cell that failed says nothing of its backend; one that failed before and holds now does."""
    new = run(1)
    all_of(slowed(1.5), all_latencies(status="failed", failure="too slow"))(new)
    assert backends_of(judge(tmp_path, new, run(0))) == {}
    assert set(backends_of(judge(tmp_path, run(0), new))) == {OPENVINO[1], ONNX[1]}


def test_one_untrusted_control_excludes_the_backends_of_its_device(tmp_path: Path) -> None:
    """Times that their A/A control contradicts are not pooled either."""
    new = run(1)
    for record in factory.records_of(new, "latency"):
        if record["is_control"]:
            factory.set_bounds(record, 1.2, 1.3)
    slowed(1.5)(new)
    assert backends_of(judge(tmp_path, new, run(0))) == {}
    assert backends_of(judge(tmp_path, run(0), new)) == {}


def test_a_baseline_of_before_is_said(tmp_path: Path) -> None:
    """A file without the percentile is no silent pass: the summary says what could not be judged."""
    old = run(0)
    for record in factory.records_of(old, "latency"):
        del record["latency_p05_ms"]
    for pair, which in (((run(1), old), "the baseline"), ((old, run(1)), "this run")):
        result = judge(tmp_path, *pair)
        assert backends_of(result) == {}
        assert f"{which} has no latency_p05_ms: no backend could be judged as a whole" in result.notes
    assert not any("latency_p05_ms" in note for note in judge(tmp_path, run(1), run(0)).notes)


def test_the_smallest_slow_down_it_would_have_found_is_about_right(tmp_path: Path) -> None:
    """What the summary names is found in most runs, a slow-down barely beyond the tolerance in few."""
    stated = judge(tmp_path, run(1), run(0)).detectable_slowdown_of_backend
    assert stated is not None
    assert 0.06 < stated < 0.15
    found = {stated: 0, 0.055: 0}
    for seed in range(40):
        for slowdown in found:
            new = run(seed + 200)
            slowed(1 + slowdown)(new)
            result = judge(tmp_path, new, run(seed))
            found[slowdown] += backends_of(result)[OPENVINO[1]] == "regressed"
    assert found[stated] >= 28
    assert found[0.055] <= 10


def test_every_output_has_the_backends(tmp_path: Path) -> None:
    """JUnit has a case for each, JSON an entry and what would have been found, Markdown the sentence."""
    new = run(1)
    slowed(1.2)(new)
    result = judge(tmp_path, new, run(0))
    assert '<testcase classname="backend" name="openvino-fp32-cpu"' in to_junit(result)
    content = json.loads(to_json(result))
    assert [c["suite"] for c in content["cells"]].count("backend") == 2
    assert content["detectable_slowdown_of_backend"] == result.detectable_slowdown_of_backend
    assert "of a backend as a whole" in to_markdown(result)
    assert "backend/openvino-fp32-cpu" in to_markdown(result)


def test_precisions_and_devices_are_backends_of_their_own(tmp_path: Path) -> None:
    """Eager bf16 is compared with eager fp32; the colon of a device is left out of the name, as in cells."""
    shape: dict[str, Any] = {"backends": ("eager:fp32", "eager:bf16"), "device": "cuda:0"}
    assert set(backends_of(judge(tmp_path, run(1, **shape), run(0, **shape)))) == {"eager-bf16-cuda0"}


def test_many_cells_are_subsampled(tmp_path: Path) -> None:
    """Of thousands of cells evenly spaced ones are compared; the slow-down is found all the same."""
    shape: dict[str, Any] = {"batch_sizes": tuple(range(1, 500)), "ratios": (0.5,), "suites": ("latency",)}
    new = run(1, **shape)
    slowed(1.10)(new)
    found = cell_of(judge(tmp_path, new, run(0, **shape)), OPENVINO)
    assert found.verdict == "regressed"
    assert found.reason.startswith("333 cells on ")


@pytest.mark.parametrize("which", [0, 1])
def test_duplicate_cells_are_not_pooled(tmp_path: Path, which: int) -> None:
    """Which of two records counts is not clear, so a backend whose cells are all duplicates is not judged."""
    pair = [run(1), run(0)]
    for record in list(factory.records_of(pair[which], "latency")):
        if record["backend"] == "openvino":
            factory.repeat(pair[which], ("latency", record["cell"]))
    assert set(backends_of(judge(tmp_path, *pair))) == {ONNX[1]}


@pytest.mark.parametrize("which", [0, 1])
def test_contaminated_cells_are_not_pooled(tmp_path: Path, which: int) -> None:
    """Cells marked as contaminated are left out, though the control of their device was not."""
    pair = [run(1), run(0)]
    for record in factory.records_of(pair[which], "latency"):
        record["contaminated"] = record["backend"] == "openvino"
    assert set(backends_of(judge(tmp_path, *pair))) == {ONNX[1]}


def test_a_run_without_times_is_told_nothing_of_backends(tmp_path: Path) -> None:
    """Where nothing was timed no percentile is missed."""
    result = judge(tmp_path, run(1, suites=("cost",)), run(0, suites=("cost",)))
    assert not any("latency_p05_ms" in note for note in result.notes)


def test_what_to_do_with_an_inconclusive_backend_is_the_policys(tmp_path: Path) -> None:
    """A pattern says of a backend, too, what becomes of it when it is inconclusive."""
    lenient = Policy(overrides=(("backend/*", {"inconclusive": "pass"}),))
    result = judge(tmp_path, run(1, spread=0.3), run(0, spread=0.3), lenient)
    assert cell_of(result, OPENVINO).verdict == "pass"


def test_a_noisy_backend_does_not_count_among_the_cells(tmp_path: Path) -> None:
    """What would have been found of a cell and of a backend are distinguished."""
    quiet, noisy = (
        judge(tmp_path, run(1), run(0)),
        judge(tmp_path, run(1, spread=0.3), run(0, spread=0.3)),
    )
    assert noisy.detectable_slowdown_worst == quiet.detectable_slowdown_worst
    assert noisy.detectable_slowdown_of_backend > 5 * quiet.detectable_slowdown_of_backend
    assert quiet.detectable_slowdown_of_backend < 0.1
