"""What the gate says of one run given twice, of inconclusive cells in JUnit, and of another network."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pruning_core.errors import RecordError
from pruning_core.gate.command import run_gate
from pruning_core.gate.policy import read_policy
from pruning_core.gate.render import to_junit
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import COST, LAT, cell_of, judge, noisy, setting, small_run
from tests.helpers.results import published_run


def written(folder: Path, name: str, content: object) -> Path:
    """Write a benchmark JSON file."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_one_file_twice_is_one_run(tmp_path: Path) -> None:
    """A run is not compared with itself: the same path, a link to it, a copy, or a copy with another date."""
    path = published_run("quick")
    content = json.loads(path.read_text())
    copied = written(tmp_path, "copy.json", content)
    content["datetime"] = "2030-01-01T00:00:00"
    later = written(tmp_path, "later.json", content)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    for other in (path, copied, later, link):
        with pytest.raises(RecordError, match="both are the same run") as caught:
            run_gate(path, other)
        assert "\n" not in str(caught.value)


def test_a_copy_whose_costs_were_changed_is_one_run(tmp_path: Path) -> None:
    """Timed rounds give a copy away, whatever else was changed in it."""
    content = small_run()
    setting(COST, macs=5)(content)
    content["commit_info"]["id"] = "f" * 16
    factory.remove(content, LAT)
    pair = written(tmp_path, "a.json", small_run()), written(tmp_path, "b.json", content)
    with pytest.raises(RecordError, match="both are the same run"):
        run_gate(*pair)


def test_a_run_is_no_repetition_of_itself(tmp_path: Path) -> None:
    """Given again, be it as AGAIN or as --baseline-repeat, a run adds nothing and is refused."""
    a, b = (written(tmp_path, f"{seed}.json", small_run(seed=seed)) for seed in (0, 1))
    again = written(tmp_path, "again.json", small_run(seed=1))
    for options in (
        {"repetitions": [again]},
        {"repetitions": [a]},
        {"baseline_repetitions": [a]},
        {"baseline_repetitions": [b]},
    ):
        with pytest.raises(RecordError, match="both are the same run"):
            run_gate(a, b, **options)


def test_runs_without_times_are_told_apart_by_their_moment(tmp_path: Path) -> None:
    """Where nothing was timed, two runs that say the same are two if they ran at different times."""
    contents = [small_run(suites=("cost", "accuracy")) for _ in range(2)]
    pair = [written(tmp_path, f"{i}.json", content) for i, content in enumerate(contents)]
    with pytest.raises(RecordError, match="both are the same run"):
        run_gate(*pair)
    contents[1]["datetime"] = "2026-01-01T12:00:01+00:00"
    written(tmp_path, "1.json", contents[1])
    assert run_gate(*pair) == 0


def test_rounds_that_are_all_equal_prove_nothing(tmp_path: Path) -> None:
    """Rounds without any scatter, as a made-up clock gives them, may be equal in two runs."""
    pair = []
    for seed in (0, 1):
        content = small_run(seed=seed)
        for record in factory.records_of(content, "latency"):
            factory.set_rounds(record, [-0.0 if record["is_control"] else -0.5] * 10)
        pair.append(written(tmp_path, f"{seed}.json", content))
    assert run_gate(*pair) == 0


@pytest.mark.parametrize(
    ("policy", "tag"),
    [
        ("", "skipped"),
        ("slowdown = 0.05\n", "skipped"),
        ('inconclusive = "stop"\n', "skipped"),
        ('inconclusive = "fail"\n', "failure"),
        ('inconclusive = "report"\n', "skipped"),
        ('[[cells]]\nmatch = "latency/*"\ninconclusive = "fail"\n', "failure"),
    ],
)
def test_what_is_inconclusive_has_not_failed(tmp_path: Path, policy: str, tag: str) -> None:
    """JUnit skips an inconclusive cell and says why; it fails only where the policy says so in words."""
    path = tmp_path / "policy.toml"
    path.write_text(policy)
    new = small_run()
    noisy(new)
    result = judge(tmp_path, new, small_run(), read_policy(path))
    assert result.exit_code == (0 if "report" in policy else 3)
    (case,) = [
        c for c in ElementTree.fromstring(to_junit(result)).iter("testcase") if c.get("name") == LAT[1]
    ]
    (child,) = case
    assert child.tag == tag
    assert "more rounds would tell" in str(child.get("message"))


def test_another_network_is_never_improved_alone(tmp_path: Path) -> None:
    """Fewer MACs with equal widths, as when ReLU became SiLU, pass, but of another network."""
    new, baseline = small_run(), small_run()
    setting(COST, macs=5_210_762)(baseline)
    setting(COST, macs=5_177_994)(new)
    cell = cell_of(judge(tmp_path, new, baseline), COST)
    assert cell.verdict == "pass"
    assert "MACs 5,210,762 → 5,177,994" in cell.reason
    assert "improved, but the network is another one" in cell.reason
    assert "equal widths, other MACs" in cell.reason


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"widths": {"conv1": 30, "layer1.0.conv1": 32}}, "conv1 has 32 → 30 channels"),
        ({"widths": {"conv1": 32}}, "layer1.0.conv1 is gone"),
        ({"dense_widths": {"conv1": 64, "layer1.0.conv1": 64, "x": 8}}, "of the dense model, x is new"),
        ({"params": 5}, "equal widths, other parameters"),
    ],
)
def test_how_a_network_differs_is_said(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    """Layers that came, went or have another width are named, also where costs stayed the same."""
    new = small_run()
    setting(COST, **fields)(new)
    cell = cell_of(judge(tmp_path, new, small_run()), COST)
    assert (cell.verdict, cell.changed) == ("pass", True)
    assert words in cell.reason
    assert "another" in cell.reason


def test_a_smaller_file_of_the_same_network_is_improved(tmp_path: Path) -> None:
    """Fewer bytes alone, by another way of storing, are an improvement of the same network."""
    new = small_run()
    setting(COST, size_bytes=1000)(new)
    reason = cell_of(judge(tmp_path, new, small_run()), COST).reason
    assert reason.endswith("improved")


def test_a_control_is_believed_by_its_rounds(tmp_path: Path) -> None:
    """A control whose rounds say 0.136× does not pass by stored bounds of 0.97 to 1.07."""
    content = small_run(seed=1)
    (control,) = [r for r in factory.records_of(content, "latency") if r["is_control"]]
    stored = {name: control[name] for name in ("speedup", "speedup_low", "speedup_high")}
    factory.set_bounds(control, 0.13, 0.142)
    honest = written(tmp_path, "honest.json", content)
    control.update(stored)
    altered = written(tmp_path, "altered.json", content)
    baseline = written(tmp_path, "baseline.json", small_run())
    assert run_gate(baseline, honest) == 3
    for pair in ((baseline, altered), (altered, baseline)):
        with pytest.raises(RecordError, match="the record is damaged"):
            run_gate(*pair)
