"""From a folder of photographs, as people have it, to a report: many sizes and modes, some broken."""

import shutil
from pathlib import Path

import pytest

# pytester forgets what is first imported inside a test, and compiled libraries cannot be imported twice.
import sklearn.datasets  # noqa: F401

import pruning_core.backends.eager
import pruning_core.suites.harness
import pruning_core.suites.validate
import pruning_core.system.machine
import pruning_core.system.roofline
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.writers import render
from tests.helpers.photographs import write_photographs
from tests.helpers.plugin_run import SHORT_LATENCY

ROOT = Path(__file__).parents[2]
GRID = f"""
ratios = [0.5]
batch_sizes = 1
threads = 1
[train]
epochs = 6
batch_size = 16
precision = "fp32"
[fine_tune]
epochs = 1
batch_size = 16
precision = "fp32"
{SHORT_LATENCY}"""
NETS = """
from torch import nn


def tiny(classes, channels):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )
"""


@pytest.fixture
def suites(pytester, monkeypatch):
    """Lay suites and a user's model into a project; return a function that runs them on a folder."""
    shutil.copytree(ROOT / "bench", pytester.path / "bench")
    pytester.makeconftest('pytest_plugins = ["pruning_core.pytest_plugin"]')
    (pytester.path / "bench" / "thresholds.toml").write_text("")
    (pytester.path / "bench" / "grids" / "quick.toml").write_text(GRID)
    (pytester.path / "photo_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(pytester.path))
    monkeypatch.setattr(pruning_core.system.roofline, "REPEAT_S", 1e-3)

    def run(*arguments):
        return pytester.runpytest_inprocess(
            "bench",
            "--store=store",
            "--model=photo_nets:tiny",
            "--dataset=folder:photographs",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            *arguments,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 224])
def test_photographs_are_measured(suites, pytester, side, capfd):
    """Undivided, of 120 sizes and six modes, two broken: each suite measures them, and they are learnt."""
    write_photographs(pytester.path / "photographs", count=200, sizes=120, broken=2)
    options = [f"--image-size={side}", "--test-share=0.2", "--normalize=imagenet", "--skip-broken=2"]
    result = suites(*options, "--benchmark-json=out.json", "-s")
    result.assert_outcomes(passed=2 + 2 + 2 + 1)
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert "2 broken pictures are left out" in said
    assert "divided by content into" in said
    run = read_run(pytester.path / "out.json")
    assert {record["suite"] for record in run.records} == {"cost", "accuracy", "latency", "training"}
    assert all(record["status"] == "ok" for record in run.records)
    dense = next(r for r in run.records if r["suite"] == "accuracy" and r["method"] == "dense")
    assert 20 <= dense["accuracy_n"] <= 60
    assert dense["accuracy"] > 0.8
    assert {record["pictures"] for record in run.records if record["suite"] != "training"} == {
        f"{side}×{side}, 2 classes: bright, dark"
    }
    report = render(build_report([run]), "markdown")
    assert "on folder-photographs" in report
    assert f"pictures: {side}×{side}, 2 classes: bright, dark" in report


MISTAKES = {
    "broken": (["--image-size=64", "--test-share=0.5"], "1 of 24 pictures cannot be decoded: dark/023"),
    "sizes": (["--test-share=0.5", "--skip-broken=1"], "resize and crop pictures of several sizes"),
    "undivided": (["--image-size=64"], "has no train/"),
    "side": (["--image-size=0"], "image_size: a side, or height x width"),
    "too large": (["--image-size=5000"], "from 1 to 2048 pixels; got '5000'"),
    "share": (["--test-share=1.5"], "test_share: input should be less than 1"),
    "lacking": (["--image-size=64", "--test-share=0.001"], "no picture for testing of bright, dark"),
    "normalize": (["--normalize=imagnet"], "normalize: input should be 'dataset', 'imagenet' or '[-1,1]'"),
    "broken below 0": (["--skip-broken=-1"], "skip_broken: input should be greater than or equal to 0"),
    "not of a folder": (["--dataset=digits", "--image-size=64"], "only a folder of pictures"),
    "size of a network": (
        ["--model=torchvision:inception_v3", "--image-size=64", "--test-share=0.5", "--skip-broken=1"],
        "its own input size is 3×299×299 (--image-size 299, of pictures in a folder)",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line(suites, pytester, mistake):
    """What is wrong with a folder or an option ends the run with exit code 2 and no traceback."""
    write_photographs(pytester.path / "photographs", count=24, sizes=9, broken=1)
    arguments, said = MISTAKES[mistake]
    result = suites("-k", "cost", *arguments)
    output = result.stdout.str() + result.stderr.str()
    assert result.ret == 2
    assert said in output
    assert "Traceback" not in output
