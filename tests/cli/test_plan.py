"""`pruning-bench plan` for networks of a zoo, and for many at once."""

import csv
import io
import json

import pytest

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.shapes import plan_times
from pruning_core.system.machine import describe_machine
from tests.helpers.command_line import command_line
from tests.helpers.factories import write_user_model


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)


def test_one_network_is_planned_at_its_own_size(run):
    """Without --image the network's own size is taken: SqueezeNet has its published parameters and MACs."""
    arguments = ("plan", "--model", "torchvision:squeezenet1_1", "--ratios", "0.5", "--classes", "1000")
    code, out, _ = run(*arguments)
    assert code == 0
    name, macs, params, *_ = out.splitlines()[2].split()
    assert (name, params) == ("dense", "1.24")
    assert 0.34 < float(macs) < 0.37  # torchvision publishes 0.349, and counts no pooling
    small = json.loads(run(*arguments, "--image", "3x64x64", "--format", "json")[1])
    assert small[0]["macs"] < 50e6


@pytest.mark.slow
def test_a_matrix_goes_on_past_failures_and_resumes(run, tmp_path):
    """Rows are kept as they are done; exit code 2 tells that some failed; a second run plans those alone."""
    write_user_model(tmp_path, "plan_own")
    (tmp_path / "plan_late.py").write_text(
        "def build(classes, channels):\n    raise RuntimeError('not yet')\n"
    )
    arguments = (
        *("plan", "--model", "plan_late:build,plan_own:tiny_model", "--method", "magnitude,random"),
        *("--ratios", "0.5", "-o", "rows.json"),
    )
    code, out, err = run(*arguments, "--format", "json")
    assert code == 2
    assert err.splitlines()[-1] == "error: 2 of 4 could not be planned; their rows say why"
    rows = json.loads(out)
    assert rows == json.loads((tmp_path / "rows.json").read_text())
    assert [bool(row["error"]) for row in rows] == [True, True, False, False]
    (tmp_path / "plan_late.py").write_text("from plan_own import tiny_model as build\n")
    code, out, err = run(*arguments, "--format", "csv")
    assert code == 0
    assert [line.endswith("done before") for line in err.splitlines()] == [False, False, True, True]
    assert [row["error"] for row in csv.DictReader(io.StringIO(out))] == [""] * 4


@pytest.mark.slow
def test_one_network_with_a_limit(run, tmp_path):
    """A limit of time holds for one network too; its error is the command's."""
    (tmp_path / "plan_slow.py").write_text(
        "import time\ndef build(classes, channels):\n    time.sleep(600)\n"
    )
    code, out, err = run("plan", "--model", "plan_slow:build", "--ratios", "0.5", "--limit-s", "6")
    assert code == 2
    assert err.splitlines()[-1] == "error: not done after 6 s"
    assert "failed" in out


@pytest.fixture
def few_rounds(monkeypatch):
    """Time in this process no longer than a test should."""
    few = LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=1.0, sample_ms=0.5, confidence=0.9)
    monkeypatch.setattr(plan_times, "QUICK", few)


MEASURED = ("--ratios", "0.5,0.9", "--measure", "--backends", "eager,onnxruntime:int8", "--batch-sizes", "2")


def test_shapes_are_timed(run, tmp_path, few_rounds):
    """Each ratio has its time on each backend, in a table, in CSV and in JSON, which names the machine."""
    write_user_model(tmp_path, "plan_timed")
    arguments = ("plan", "--model", "plan_timed:tiny_model", *MEASURED)
    code, out, err = run(*arguments)
    assert code == 0
    assert [line.partition(": dense")[0] for line in out.splitlines() if ": dense " in line] == [
        "eager:fp32, batch 2",
        "onnxruntime:int8, batch 2",
    ]
    assert "time: done in" in err
    rows = json.loads(run(*arguments, "--format", "json")[1])
    assert [(row["ratio"], len(row["times"])) for row in rows] == [(0.5, 2), (0.9, 2)]
    first = rows[0]["times"][0]
    assert 0 < first["low"] <= first["speedup"] <= first["high"]
    assert 0 < first["control_low"] <= first["control_high"]
    assert rows[0]["machine_fingerprint"] == describe_machine(0)["fingerprint"]
    (_, row) = csv.DictReader(io.StringIO(run(*arguments, "--format", "csv")[1]))
    assert float(row["speedup:onnxruntime:int8, batch 2"]) > 0
    assert row["machine"] == rows[0]["machine"]


def test_zeroed_weights_save_no_macs(run, few_rounds):
    """A masking method is timed like any other: its shapes are the dense ones."""
    arguments = ("--model", "resnet18", "--image", "3x32x32", "--method", "unstructured-l1")
    code, out, _ = run("plan", *arguments, "--ratios", "0.5", "--measure", "--batch-sizes", "1")
    assert code == 0
    assert "   0.5       1.00×  " in out


@pytest.mark.slow
def test_a_measured_matrix_resumes(run, tmp_path):
    """Each network is timed in its own process, one after the other; what was timed is not timed again."""
    write_user_model(tmp_path, "plan_matrix_timed")
    arguments = ("plan", "--model", "plan_matrix_timed:tiny_model", *MEASURED[2:], "--ratios", "0.5")
    arguments = (*arguments, "--method", "magnitude,random", "-o", "rows.json", "--format", "json")
    code, out, err = run(*arguments)
    assert code == 0
    rows = json.loads(out)
    assert [len(row["times"]) for row in rows] == [2, 2]
    assert "1/2 plan_matrix_timed:tiny_model, magnitude: time: done in" in err
    code, again, err = run(*arguments)
    assert json.loads(again) == rows
    assert [line.endswith("done before") for line in err.splitlines()] == [True, True]


MISTAKES = {
    "pattern": (("--model", "torchvision:zz*"), "no model's name matches 'torchvision:zz*'"),
    "name in a list": (("--model", "resnet18,torchvision:resnet81"), "Did you mean 'torchvision:resnet18'"),
    "bare name": (("--model", "swin_t"), "Did you mean 'torchvision:swin_t'"),
    "twice": (("--model", "resnet18,resnet18"), "duplicates: resnet18"),
    "method in a list": (("--method", "magnitude,randm"), "Did you mean 'random'"),
    "scope of one": (
        ("--method", "magnitude,ln-structured", "--scope", "global"),
        "ln-structured has no scope 'global'",
    ),
    "channels": (("--model", "torchvision:squeezenet1_1", "--image", "1x64x64"), "3 channels, not 1"),
    "output": (("--model", "resnet18", "-o", "none/rows.json"), "there is no folder none"),
    "other file": (("--model", "resnet18", "-o", "notes.json"), "holds no rows of a matrix"),
    "settings without times": (
        ("--backends", "eager"),
        "--backends says on what shapes are timed: ",
    ),
    "threads without times": (("--threads", "2"), "--threads says on what shapes are timed: give --measure"),
    "backend": (("--measure", "--backends", "opnvino"), "Did you mean 'openvino'"),
    "precision": (("--measure", "--backends", "eager:int8"), "has no precision 'int8'"),
    "device": (("--measure", "--devices", "cuda:99"), "device 'cuda:99' is not on this machine"),
    "batch size": (("--measure", "--batch-sizes", "0"), "batch sizes are at least 1"),
    "limit that is none": (("--model", "resnet18", "--limit-s", "nan"), "'nan' is not a number"),
    "limit": (("--model", "resnet18", "--limit-s", "0"), "--limit-s"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(run, tmp_path, name):
    """What is wrong is said before anything is planned."""
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    arguments, expected = MISTAKES[name]
    code, out, err = run("plan", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(("error: ", "Usage: "))
    assert expected in err
    assert (tmp_path / "notes.json").read_text() == '{"mine": 1}'
