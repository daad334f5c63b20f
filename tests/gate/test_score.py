"""The gate on scores of other tasks than classification: drops, limits, what is paired, what is unsaid."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning_core.errors import OptionError
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy, Tolerances, read_policy
from pruning_core.gate.render import to_json
from pruning_core.gate.repetitions import merge_repetitions
from pruning_core.gate.result import CellVerdict, GateResult
from tests.helpers import record_factory as factory
from tests.helpers.bootstrapped import bootstrapped
from tests.helpers.gate_changes import SMALL_SHAPE, cell_of, judge, small_run
from tests.helpers.made_up_scores import ERROR, IOU, score_content, set_dense, set_score, two_tasks

Content = dict[str, Any]

ACC = ("accuracy", "resnet18-digits-magnitude-0.5-onnxruntime-fp32-cpu")
DENSE = ("accuracy", "resnet18-digits-dense-onnxruntime-fp32-cpu")
BOTH = pytest.mark.parametrize("task", [IOU, ERROR], ids=["higher", "lower"])


def worse(content: Content, by: float, identity: tuple[str, str] = ACC, **how: Any) -> None:
    """Make a cell's score worse by so much, of a checkpoint that was trained again."""
    record = factory.find(content, identity)
    sign = 1 if record["score_better"] == "lower" else -1
    record["key"] = "e" * 32
    set_score(record, record["score"] + sign * by, "score_low" in record, **how)


def verdict(folder: Path, new: Content, baseline: Content, policy: Policy | None = None) -> CellVerdict:
    """Return what the gate says of `ACC`."""
    return cell_of(judge(folder, new, baseline, policy), ACC)


def runs_of(task: tuple[str, str], **options: Any) -> tuple[Content, Content]:
    """Return two unchanged runs."""
    first, second = (score_content(task, seed=seed, **SMALL_SHAPE, **options) for seed in (0, 1))
    return first, second


@BOTH
def test_unchanged_runs_pass(tmp_path: Path, task: tuple[str, str]) -> None:
    """The same checkpoints with the same scores pass, and so do they in the other direction."""
    baseline, new = runs_of(task)
    result = judge(tmp_path, new, baseline)
    assert result.verdict == "pass"
    assert f"{task[0]} the same, 0." in cell_of(result, ACC).reason


@BOTH
@pytest.mark.parametrize(("by", "expected"), [(0.05, "regressed"), (0.006, "inconclusive"), (-0.05, "pass")])
def test_a_worse_score_is_found_whichever_direction_is_better(
    tmp_path: Path, task: tuple[str, str], by: float, expected: str
) -> None:
    """Worse beyond noise is a regression, worse within it is inconclusive, better passes; both directions."""
    baseline, new = runs_of(task)
    worse(new, by)
    found = verdict(tmp_path, new, baseline)
    assert found.verdict == expected
    word = "worse" if by > 0 else "better"
    assert f": {word} by {abs(by):.3g} [" in found.reason
    assert "(paired with dense), tolerance 0.00" in found.reason
    assert "1 % of the baseline's" in found.reason
    if expected == "inconclusive":
        assert found.reason.endswith("more test examples would tell")


@BOTH
def test_one_checkpoint_is_counted(tmp_path: Path, task: tuple[str, str]) -> None:
    """What one checkpoint loses on the same examples is no estimate: beyond the tolerance it fails."""
    for by, expected in ((0.001, "pass"), (0.02, "regressed"), (-0.02, "pass")):
        baseline, new = runs_of(task)
        worse(new, by)
        factory.find(new, ACC)["key"] = factory.find(baseline, ACC)["key"]
        found = verdict(tmp_path, new, baseline)
        assert found.verdict == expected
        assert f"{'worse' if by > 0 else 'better'} by 0.0" in found.reason
        assert "with the same checkpoint" in found.reason


def test_rounding_of_one_checkpoint_is_no_change(tmp_path: Path) -> None:
    """A score that differs by the last digits of a float passes without a row, at no tolerance."""
    baseline, new = runs_of(IOU)
    record = factory.find(new, ACC)
    set_score(record, record["score"] * (1 - 1e-12))
    strict = Policy(Tolerances(max_relative_score_drop=0.0))
    found = verdict(tmp_path, new, baseline, strict)
    assert found.verdict == "pass"
    assert not found.changed


def test_the_tolerance_is_in_the_unit_of_the_score(tmp_path: Path) -> None:
    """`max_score_drop` replaces the fraction of the baseline's score, also for cells of a pattern."""
    baseline, new = runs_of(ERROR)
    worse(new, 0.05)
    loose = Policy(Tolerances(max_score_drop=0.1))
    assert verdict(tmp_path, new, baseline, loose).verdict == "pass"
    assert "tolerance 0.1" in verdict(tmp_path, new, baseline, loose).reason
    path = tmp_path / "policy.toml"
    path.write_text('[[cells]]\nmatch = "*-onnxruntime-*"\nmax_score_drop = 0.1\n')
    assert verdict(tmp_path, new, baseline, read_policy(path)).verdict == "pass"
    relative = Policy(Tolerances(max_relative_score_drop=0.5))
    assert verdict(tmp_path, new, baseline, relative).verdict == "pass"


@BOTH
def test_another_dense_model_is_not_paired_with(tmp_path: Path, task: tuple[str, str]) -> None:
    """Where the dense model's score changed, and of the dense model itself, scores are compared unpaired."""
    baseline, new = runs_of(task)
    worse(new, 0.01, DENSE)
    worse(new, 0.02)
    set_dense(factory.find(new, ACC), factory.find(new, DENSE)["score"])
    result = judge(tmp_path, new, baseline)
    for identity in (ACC, DENSE):
        assert "(examples not paired)" in cell_of(result, identity).reason
        assert cell_of(result, identity).verdict == "inconclusive"


@BOTH
def test_without_intervals_nothing_is_said_of_another_checkpoint(
    tmp_path: Path, task: tuple[str, str]
) -> None:
    """A task without values per example: one checkpoint is counted, another one is inconclusive, and why."""
    baseline, new = runs_of(task, bounded=False)
    assert judge(tmp_path, new, baseline).verdict == "pass"
    worse(new, 0.0001)
    found = verdict(tmp_path, new, baseline)
    assert found.verdict == "inconclusive"
    assert found.reason.endswith("no value per example: such values from its `evaluate` would tell")
    passed = Policy(Tolerances(inconclusive="pass"))
    assert verdict(tmp_path, new, baseline, passed).verdict == "pass"
    content = json.loads(to_json(judge(tmp_path, new, baseline)))
    (cell,) = [c for c in content["cells"] if (c["suite"], c["cell"]) == ACC]
    assert cell["findings"][0]["change_low"] is None


@pytest.mark.parametrize(
    ("task", "limit", "within", "near", "beyond"),
    [(IOU, "min_score", 0.6, 0.715, 0.8), (ERROR, "max_score", 0.5, 0.335, 0.2)],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_limits_hold_by_the_bound(
    tmp_path: Path,
    task: tuple[str, str],
    limit: str,
    within: float,
    near: float,
    beyond: float,
    bounded: bool,
) -> None:
    """A limit is kept, or missed, by the bound of the score; without one nothing is certain."""
    baseline, new = runs_of(task, bounded=bounded)
    for value, expected in ((within, "pass"), (near, "inconclusive"), (beyond, "regressed")):
        policy = Policy(Tolerances(**{limit: value}))
        found = verdict(tmp_path, new, baseline, policy)
        assert found.verdict == (expected if bounded else "inconclusive")
        (finding,) = [f for f in found.findings if f.metric == limit]
        assert f"to be {'at least' if limit == 'min_score' else 'at most'} {value:g}" in finding.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score_name": "median error"}, "baseline mean IoU, higher is better, this run median error"),
        ({"score_better": "lower"}, "this run mean IoU, lower is better"),
        ({"score_n": 100}, "score_n differs: baseline 200, this run 100"),
    ],
)
def test_another_score_cannot_be_compared(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Another name, direction or number of examples: the two do not speak of the same thing, in words."""
    baseline, new = runs_of(IOU)
    record = factory.find(new, ACC)
    record.update(change)
    for name in ("score_dense", "score_drop", "score_drop_low", "score_drop_high"):
        record.pop(name)
    found = verdict(tmp_path, new, baseline)
    assert found.verdict == "cannot-compare"
    assert words in found.reason


def test_a_classification_and_another_task_cannot_be_compared(tmp_path: Path) -> None:
    """Every cell that has a score says what it was and what it is; costs are compared as ever."""
    result = judge(tmp_path, score_content(ERROR, **SMALL_SHAPE), small_run())
    reasons = {cell.reason for cell in result.cells if cell.suite != "cost"}
    expected = "baseline accuracy, higher is better, this run mean absolute error, lower is better"
    assert reasons == {f"the score differs: {expected}"}
    assert {cell.verdict for cell in result.cells if cell.suite == "cost"} == {"pass"}
    result = judge(tmp_path, small_run(), score_content(ERROR, **SMALL_SHAPE))
    assert result.exit_code == 2


def test_a_latency_record_stands_in_for_a_missing_accuracy_record(tmp_path: Path) -> None:
    """Where the accuracy suite did not run, the score of the latency record is judged, unpaired."""
    shape = SMALL_SHAPE | {"suites": ("latency",)}
    baseline, new = (score_content(ERROR, seed=seed, **shape) for seed in (0, 1))
    identity = ("latency", f"{ACC[1]}-b32")
    worse(new, 0.2, identity)
    found = cell_of(judge(tmp_path, new, baseline), identity)
    assert found.verdict == "regressed"
    assert "mean absolute error 0.3333 → 0.5333: worse by 0.2" in found.reason
    assert "(examples not paired)" in found.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("min_score = 0.5", "min_score does not fit the score here (mean absolute error, lower is better)"),
        ("min_accuracy = 0.5", "min_accuracy does not fit the score here"),
        ("max_accuracy_drop = 0.02", "use max_score_drop"),
        ('[[cells]]\nmatch = "*fp32*"\nmin_score = 1', "[[cells]] match = '*fp32*': min_score does not fit"),
    ],
)
def test_misplaced_limits_are_refused(tmp_path: Path, text: str, words: str) -> None:
    """A limit of the wrong kind or direction is one line and exit code 2: it would limit nothing."""
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        judge(tmp_path, *runs_of(ERROR), read_policy(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="use min_accuracy"):
        judge(tmp_path, small_run(), small_run(), Policy(Tolerances(max_score=1.0)))


def mixed(seed: int) -> Content:
    """Return a run of a classification and of another task."""
    return two_tasks(small_run(seed), score_content(ERROR, seed=seed, **SMALL_SHAPE))


def test_each_limit_of_a_policy_counts_where_it_fits(tmp_path: Path) -> None:
    """A run of several tasks takes limits of several kinds; each cell has the ones of its own."""
    policy = Policy(Tolerances(min_accuracy=0.5, max_score=0.2, max_score_drop=0.1))
    result: GateResult = judge(tmp_path, mixed(1), mixed(0), policy)
    metrics = {
        (cell.cell.split("-")[0], finding.metric, finding.verdict)
        for cell in result.cells
        for finding in cell.findings
        if finding.metric.startswith(("min", "max"))
    }
    assert metrics == {("resnet18", "min_accuracy", "pass"), ("unet", "max_score", "regressed")}


@BOTH
def test_of_repeated_runs_the_worst_score_counts(tmp_path: Path, task: tuple[str, str]) -> None:
    """Merged runs of one commit have the worse of two scores, whichever direction is better."""
    contents = [score_content(task, seed=seed, **SMALL_SHAPE) for seed in (0, 1)]
    for content, by in zip(contents, (0.01, 0.04), strict=True):
        worse(content, by)
    runs = [factory.as_run(content, tmp_path, f"{i}.json") for i, content in enumerate(contents)]
    for order in (runs, runs[::-1]):
        (record,) = [r for r in merge_repetitions(order, Policy()).records if (r["suite"], r["cell"]) == ACC]
        assert record["score"] == factory.find(contents[1], ACC)["score"]


def bootstrapped_run(source: np.random.Generator, hard: Any, dense: Any, more: float, task: Any) -> Content:
    """Return a run whose one pruned network was drawn again; `more`: how much worse it is at its task."""
    errors = hard + 0.5 * dense + 0.2 + more + source.normal(0, 0.3, len(hard)) * hard
    sign = 1 if task[1] == "lower" else -1
    score, drop = bootstrapped(source, sign * errors), bootstrapped(source, errors - hard - dense)
    content = score_content(task, ratios=(0.5,), backends=("eager:fp32",), suites=("accuracy",))
    record = factory.find(content, ("accuracy", "resnet18-digits-magnitude-0.5-eager-fp32-cpu"))
    record.update(score=score.value, score_low=score.low, score_high=score.high)
    record.update(score_dense=sign * float((hard + dense).mean()), score_drop=drop.value)
    record.update(score_drop_low=drop.low, score_drop_high=drop.high, key=f"{source.integers(2**60):032x}")
    return content


@BOTH
def test_error_rates_of_whole_gates(tmp_path: Path, task: tuple[str, str]) -> None:
    """Networks trained again, of heavy-tailed errors: at no tolerance few alarms, large drops found."""
    source = np.random.default_rng(3)
    strict = Policy(Tolerances(max_score_drop=0.0))
    alarms = passes = found = 0
    for _ in range(100):
        hard, dense = source.lognormal(0, 1, 80), source.normal(0, 0.3, 80)
        baseline, same, other = (
            factory.as_run(bootstrapped_run(source, hard, dense, more, task), tmp_path)
            for more in (0.0, 0.0, 0.8)
        )
        verdicts = [compare(baseline, run, strict).verdict for run in (same, other)]
        alarms += verdicts[0] == "regressed"
        passes += verdicts[1] == "pass"
        found += verdicts[1] == "regressed"
    assert alarms <= 9
    assert passes == 0
    assert found >= 85


def test_an_infinite_bound_is_written_as_null(tmp_path: Path) -> None:
    """Of one example no bound follows: inconclusive, and JSON that every reader takes."""
    baseline, new = runs_of(IOU)
    for content in (baseline, new):
        for record in factory.records_of(content, "accuracy"):
            record["score_n"] = 1
    worse(new, 0.3)
    result = judge(tmp_path, new, baseline)
    assert cell_of(result, ACC).verdict == "inconclusive"
    (finding,) = [f for f in cell_of(result, ACC).findings if f.metric == "score"]
    assert finding.change is not None
    assert math.isinf(finding.change.high)
    assert "Infinity" not in to_json(result)
