"""The shipped tasks run from `pytest bench/` of another project to the record."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "score", "better", "least", "most"),
    [
        ("regression:Diabetes regression:build", 8, 0.05, "mean absolute error", "lower", 38, 56),
        ("segmentation:Digits segmentation:UNet", 2, 0.1, "mean IoU", "higher", 0.7, 0.95),
        ("detection:Digits detection:Detector", 4, 0.1, "found at IoU 0.5", "higher", 0.6, 1.0),
    ],
)
def test_a_shipped_task_gives_records(tmp_path, name, epochs, rate, score, better, least, most):
    """Its file is short, it trains in seconds, and pruned by half it scores as one would believe."""
    task, model = name.split()
    file = ROOT / "bench" / "tasks" / f"{task.partition(':')[0]}.py"
    assert len(file.read_text().splitlines()) <= 80
    (tmp_path / "bench").mkdir()
    shutil.copy(file, tmp_path)
    shutil.copy(ROOT / "bench" / "test_accuracy.py", tmp_path / "bench")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["pruning_core.pytest_plugin"]\n')
    (tmp_path / "small.toml").write_text(GRID.format(epochs=epochs, rate=rate))
    options = ["--task", task, "--model", model, "--grid", "small.toml", "--ratios", "0.5"]
    command = [sys.executable, "-m", "pytest", "bench/", *options, "--store", "store"]
    command += ["--benchmark-json", "out.json", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "out.json").read_text())
    dense, pruned = (entry["extra_info"] for entry in content["benchmarks"])
    assert dense["score_drop"] == 0
    assert pruned["score_drop"] == pytest.approx(
        (pruned["score_dense"] - pruned["score"]) * (1 if better == "higher" else -1)
    )
    for record in (dense, pruned):
        assert (record["score_name"], record["score_better"]) == (score, better)
        assert least <= record["score"] <= most
        assert record["score_low"] < record["score"] < record["score_high"]
        assert record["score_n"] in (142, 200)
        assert not [field for field in record if field.startswith("accuracy")]
        assert ("agreement" in record) == (task != "detection:Digits")
    assert pruned["proof"] == "exact"
    assert pruned["score_drop_low"] <= pruned["score_drop"] <= pruned["score_drop_high"]
