"""A trained network from its file to records and report; and each mistake in one line, exit code 2."""

import os
import shutil
from pathlib import Path

import pytest

# pytester forgets what is first imported inside a test, and compiled libraries cannot be imported twice.
import sklearn.datasets  # noqa: F401
import torch

import pruning_core.backends.eager
import pruning_core.suites.harness
import pruning_core.suites.validate
import pruning_core.system.machine
import pruning_core.system.roofline  # noqa: F401
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.writers import render
from tests.helpers.factories import Tiny, write_user_model

ROOT = Path(__file__).parents[2]
GRID = """
dataset = "digits"
batch_sizes = 1
threads = 1
[train]
epochs = 40
seed = 3
[fine_tune]
epochs = 0
norm_images = 200
precision = "fp32"
"""


@pytest.fixture
def suites(pytester, monkeypatch):
    """Lay suites, a user's model and its weights into a project; return a function that runs them."""
    shutil.copytree(ROOT / "bench", pytester.path / "bench")
    pytester.makeconftest('pytest_plugins = ["pruning_core.pytest_plugin"]')
    (pytester.path / "bench" / "thresholds.toml").write_text("")
    (pytester.path / "bench" / "grids" / "quick.toml").write_text(GRID)
    monkeypatch.syspath_prepend(str(pytester.path))
    model = write_user_model(pytester.path, "suite_weight_nets")
    torch.manual_seed(7)
    torch.save({"state_dict": Tiny().state_dict()}, pytester.path / "best.pt")

    def run(*arguments):
        return pytester.runpytest_inprocess(
            "bench",
            "--store=store",
            f"--model={model}",
            "--ratios=0.5",
            "-pno:randomly",
            "-pno:cacheprovider",
            *arguments,
        )

    return run


def test_records_and_report_say_which_weights(suites, pytester):
    """Cost and accuracy are of the file's network, nothing is trained, and no folder stands in the JSON."""
    suites(
        f"--weights={pytester.path}/best.pt", "-k", "cost or accuracy", "--benchmark-json=run.json"
    ).assert_outcomes(passed=4)
    run = read_run(pytester.path / "run.json")
    assert {record["weights"] for record in run.records} == {"best.pt"}
    (sha256,) = {record["weights_sha256"] for record in run.records}
    assert len(sha256) == 64
    assert {(r["train_s"], r["epochs"]) for r in run.records if r["suite"] == "cost"} == {(0.0, 0)}
    assert {(r["ratio"], r["seed"]) for r in run.records} == {(0.0, 3), (0.5, 0)}
    accuracies = {r["ratio"]: r["accuracy"] for r in run.records if r["suite"] == "accuracy"}
    assert max(accuracies.values()) < 0.3  # it was never trained, not even for the forty epochs of the grid
    assert str(pytester.path) not in (pytester.path / "run.json").read_text()
    assert "weights best.pt · " in render(build_report([run]), "markdown")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights=gone.pt"], "weights gone.pt: No such file or directory"),
        (["--weights="], "weights: a file's name has 1 to 1000 characters"),
        (["--strip-prefix=net."], "strip_prefix: needs weights"),
        (["--new-head"], "new_head: needs weights"),
        (
            ["--weights=evil.pt"],
            r"weights evil.pt: it holds more than tensors (posix.system), and no code is run",
        ),
        (["--weights=best.pt", "--strip-prefix=net."], "no name begins with 'net.'"),
        (
            ["--weights=other.pt"],
            "they are of 7 classes, and here are 10 (fc.weight, fc.bias). With --new-head",
        ),
        (["--weights=torchvision:DEFAULT"], "is no network of torchvision"),
        (["--weights=timm"], "write --model timm:NAME --weights timm"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_ends_the_run_in_one_line(suites, pytester, arguments, said):
    """Exit code 2, before anything is trained; nothing of the file is run."""

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {pytester.path}/evil",)

    torch.save({"state_dict": Tiny().state_dict(), "note": Evil()}, pytester.path / "evil.pt")
    torch.save(Tiny(7).state_dict(), pytester.path / "other.pt")
    result = suites("-k", "cost", *arguments)
    assert result.ret == 2
    text = "\n".join([*result.outlines, *result.errlines])
    assert said in text
    assert "Traceback" not in text
    assert not (pytester.path / "evil").exists()
