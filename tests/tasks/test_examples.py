"""The shipped tasks run from `pytest bench/` of another project to records, gate and report."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command_line import command_line
from tests.helpers.made_up_scores import set_score

ROOT = Path(__file__).parents[2]
GRID = """
ratios = [0.5]
backends = ["eager"]
threads = [1]
[train]
epochs = {epochs}
precision = "fp32"
learning_rate = {rate}
[fine_tune]
epochs = 2
precision = "fp32"
learning_rate = 0.02
norm_images = 128
"""


EXAMPLES = {
    # task: file and class, model, epochs and rate of the training; score, its good side, its range
    "regression": ("Diabetes", "build", 8, 0.05, "mean absolute error", "lower", 38, 56),
    "segmentation": ("Digits", "UNet", 2, 0.1, "mean IoU", "higher", 0.7, 0.95),
    "detection": ("Digits", "Detector", 6, 0.05, "found at IoU 0.5", "higher", 0.8, 1.0),
}


@pytest.fixture(scope="module", params=EXAMPLES)
def ran(request, tmp_path_factory):
    """Run a task's accuracy suite in a project of its own; give its name and the content of the file."""
    task, (name, model, epochs, rate, *_) = request.param, EXAMPLES[request.param]
    folder = tmp_path_factory.mktemp(task)
    (folder / "bench").mkdir()
    shutil.copy(ROOT / "bench" / "tasks" / f"{task}.py", folder)
    shutil.copy(ROOT / "bench" / "test_accuracy.py", folder / "bench")
    (folder / "conftest.py").write_text('pytest_plugins = ["pruning_core.pytest_plugin"]\n')
    (folder / "small.toml").write_text(GRID.format(epochs=epochs, rate=rate))
    options = ["--task", f"{task}:{name}", "--model", f"{task}:{model}", "--grid", "small.toml"]
    command = [sys.executable, "-m", "pytest", "bench/", *options, "--ratios", "0.5", "--store", "store"]
    command += ["--benchmark-json", "out.json", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return task, json.loads((folder / "out.json").read_text())


def records_of(content):
    """Return the records of the dense and of the pruned network."""
    return tuple(entry["extra_info"] for entry in content["benchmarks"])


def test_a_shipped_task_gives_records(ran):
    """Its file is short, it trains in seconds, and pruned by half it scores as one would believe."""
    task, content = ran
    *_, score, better, low, high = EXAMPLES[task]
    assert len((ROOT / "bench" / "tasks" / f"{task}.py").read_text().splitlines()) <= 80
    dense, pruned = records_of(content)
    assert dense["score_drop"] == 0
    assert pruned["score_drop"] == pytest.approx(
        (pruned["score_dense"] - pruned["score"]) * (1 if better == "higher" else -1)
    )
    for record in (dense, pruned):
        assert (record["score_name"], record["score_better"]) == (score, better)
        assert low <= record["score"] <= high
        assert record["score_low"] < record["score"] < record["score_high"]
        assert record["score_n"] in (142, 200)
        assert not [field for field in record if field.startswith("accuracy")]
        assert ("agreement" in record) == (task != "detection")
    assert pruned["proof"] == "exact"
    assert pruned["score_drop_low"] <= pruned["score_drop"] <= pruned["score_drop_high"]


def test_a_shipped_task_goes_through_gate_and_report(ran, monkeypatch, capsys, tmp_path):
    """The same at another time passes, a worse score regresses; terminal and page show the score."""
    task, content = ran
    *_, score, better, _, _ = EXAMPLES[task]
    same, worse = copy.deepcopy(content), copy.deepcopy(content)
    same["datetime"] = worse["datetime"] = "2030-01-01T00:00:00+00:00"
    pruned = records_of(worse)[1]
    set_score(pruned, pruned["score"] * (0.8 if better == "higher" else 1.25))
    monkeypatch.chdir(tmp_path)
    for name, made in (("baseline", content), ("same", same), ("worse", worse)):
        Path(f"{name}.json").write_text(json.dumps(made))
    run = command_line(monkeypatch, capsys)
    code, out, err = run("gate", "baseline.json", "same.json")
    assert code == 0, out + err
    code, out, _ = run("gate", "baseline.json", "worse.json")
    assert code == 1
    assert f"{score} " in out
    assert "worse by" in out
    code, out, err = run("report", "same.json")
    assert code == 0, err
    assert f"{score} {'↑' if better == 'higher' else '↓'}" in " ".join(out.split())
    code, _, err = run("report", "worse.json", "--format=html", "-o", "page.html", "--baseline=baseline.json")
    assert code == 0, err
    page = Path("page.html").read_text()
    assert "✗ regressed" in page
    assert f"({score} {'↑' if better == 'higher' else '↓'})" in page
    assert "accuracy %" not in page
