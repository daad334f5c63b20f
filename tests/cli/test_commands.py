"""The command line: each mistake is one clear line and exit code 2, and nothing is half-written."""

import csv
import io
import json
import subprocess
import sys

import pytest

from pruning_core.store import Store
from tests.helpers.command_line import command_line
from tests.helpers.factories import TUTORIAL, dense_spec, made, write_user_model


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)


def test_plan_gives_the_tutorials_table(run):
    """MACs and parameters of all twenty published rows come out, and the last step is exhausted."""
    code, out, _ = run("plan", "--ratios", "0.05:1.0:0.05", "--round-to", "2", "--format", "json")
    steps = json.loads(out)
    assert code == 0
    assert {s["ratio"]: (round(s["macs"] / 1e9, 2), round(s["params"] / 1e6, 2)) for s in steps} == TUTORIAL
    assert [s["ratio"] for s in steps if s["exhausted"]] == [1.0]
    assert steps[14]["widths"]["conv1"] == 16
    assert {"size_bytes", "requested_widths", "achieved_ratio"} <= steps[0].keys()


def test_plan_as_table_and_csv(run, tmp_path):
    """The same numbers come as a table to read and as CSV."""
    name = write_user_model(tmp_path, "cli_nets")
    arguments = ("plan", "--model", name, "--ratios", "0.5,1")
    table = run(*arguments)[1]
    assert "dense" in table
    assert "exhausted: removes nothing more" not in table.splitlines()[3]
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv")[1])))
    steps = json.loads(run(*arguments, "--format", "json")[1])
    assert [(int(r["macs"]), int(r["width:inner"])) for r in rows] == [
        (s["macs"], s["widths"]["inner"]) for s in steps
    ]


def test_plan_shows_both_counts_where_torch_pruning_misreads(run, tmp_path):
    """A convolution by function is counted; torch-pruning's count, without it, stands in a second column."""
    name = write_user_model(tmp_path, "plain_nets")
    assert "by torch-pruning" not in run("plan", "--model", name, "--ratios", "0.5")[1]
    text, stem = (tmp_path / "plain_nets.py").read_text(), "self.stem(images)"
    blurred = "self.stem(nn.functional.conv2d(images, torch.ones(3, 3, 5, 5), padding=2))"
    assert stem in text
    (tmp_path / "blurred_nets.py").write_text(text.replace(stem, blurred))
    arguments = ("plan", "--model", "blurred_nets:tiny_model", "--ratios", "0.5")
    (step,) = json.loads(run(*arguments, "--format", "json")[1])
    assert step["macs"] - step["macs_torch_pruning"] == 32 * 32 * 3 * 3 * 25
    first, second, _, _, half, *_ = run(*arguments)[1].splitlines()
    assert "MACs    by torch-" in first
    assert "(G)      pruning" in second
    assert half.split()[1:3] == [f"{step[name] / 1e9:.4f}" for name in ("macs", "macs_torch_pruning")]


def test_plan_of_a_method_that_masks(run, tmp_path):
    """Masked weights are shown as zeros; MACs and parameters stay those of the dense network."""
    name = write_user_model(tmp_path, "masked_nets")
    code, out, _ = run(
        "plan", "--model", name, "--method", "unstructured-l1", "--ratios", "0.5,0.9", "--format=json"
    )
    half, most = json.loads(out)
    assert (code, half["macs"], half["params"]) == (0, most["macs"], most["params"])
    assert half["sparsity"] == pytest.approx(0.5, abs=0.03)
    assert most["sparsity"] > 0.85
    assert not half["exhausted"]
    assert not most["exhausted"]


def test_plan_of_some_layers(run, tmp_path):
    """--protect and --ratio-of say of single layers what becomes of them, along the whole schedule."""
    name = write_user_model(tmp_path, "some_nets")
    rows = {}
    for options in ((), ("--protect", "inner"), ("--ratio-of", "inner=0.25,stem=0.25")):
        asked = ("plan", "--model", name, "--method=unstructured-l1", "--ratios=0.5,0.9", "--format=json")
        rows[options] = [step["sparsity"] for step in json.loads(run(*asked, *options)[1])]
    plain, protected, own = rows.values()
    assert 0 < protected[0] < protected[1] < plain[1]
    assert protected[0] < plain[0]
    assert own[0] < plain[0]
    assert own[0] < own[1] < plain[1]


MISTAKES = {
    "model": (("plan", "--model", "resnet81"), "no model 'resnet81'. Did you mean 'resnet18'"),
    "method": (("plan", "--method", "magnitud"), "no pruning method 'magnitud'. Did you mean 'magnitude'"),
    "ratio": (
        ("plan", "--ratios", "0.5,1.5"),
        "a ratio is the fraction of channels removed, in [0, 1]; got 1.5",
    ),
    "schedule down": (("plan", "--ratios", "0.5,0.25"), "a schedule only goes up; 0.25 follows 0.5"),
    "image": (("plan", "--image", "32"), "--image: channels, height and width as 3x32x32; got '32'"),
    "option": (("plan", "--ratio", "0.5"), "No such option"),
    "command": (("plna",), "No such command 'plna'"),
    "round": (("plan", "--round-to", "0"), "--round-to"),
    "scope": (
        ("plan", "--method", "ln-structured", "--scope", "global"),
        "ln-structured has no scope 'global'; it has: local",
    ),
    "isomorphic masks": (
        ("plan", "--method", "unstructured-l1", "--scope", "isomorphic"),
        "unstructured-l1 has no scope 'isomorphic'; it has: local, global",
    ),
    "isomorphic masks to prepare": (
        ("prepare", "--method", "ln-structured", "--scope", "isomorphic"),
        "ln-structured has no scope 'isomorphic'; it has: local",
    ),
    "scope of one that allocates": (
        (
            "explain",
            "--model",
            "resnet20",
            "--ratio",
            "0.5",
            "--method",
            "latency-aware",
            "--scope=isomorphic",
        ),
        "latency-aware has no scope 'isomorphic'; it has: local",
    ),
    "limit of masks": (
        ("plan", "--method", "unstructured-l1", "--max-ratio", "0.95"),
        "max_ratio: unstructured-l1 sets weights to zero and removes no channel",
    ),
    "limit of an allocation": (
        ("prepare", "--method=latency-aware", "--optimize-for=eager", "--max-ratio=0.9"),
        "max_ratio: latency-aware allocates widths by their time and takes no limit",
    ),
    "limit of the networks of an allocation": (
        ("plan", "--method", "scratch:latency-aware", "--max-ratio", "0.9"),
        "allocates widths by their time and takes no limit",
    ),
    "ratio beyond a limit": (
        ("prepare", "--ratios", "0.5,0.75", "--max-ratio", "0.6"),
        "max_ratio: no layer may lose more than 0.6 of its width, so no network can lose 0.75",
    ),
    "ratio of a layer beyond a limit": (
        ("plan", "--ratios", "0.5", "--ratio-of", "layer4=0.8", "--max-ratio", "0.6"),
        "so no network can lose by ratio_of 0.8",
    ),
    "limit": (("explain", "--model=resnet20", "--ratio=0.5", "--max-ratio=1.5"), "max_ratio: input should"),
    "limit of nothing": (("plan", "--max-ratio", "0"), "max_ratio: input should be greater than 0; got 0.0"),
    "examples to plan": (
        ("plan", "--model", "resnet20", "--method", "taylor", "--ratios", "0.5"),
        "taylor ranks channels by training examples, which `prepare` and the suites have, and this has not",
    ),
    "schedule of ratios": (
        ("plan", "--ratios", "linear:0.9"),
        "ratios: linear:stop:steps, such as linear:0.9:6",
    ),
    "schedule to nothing": (
        ("prepare", "--ratios", "exponential:1:4"),
        "exponential: the last ratio is above 0 and below 1",
    ),
    "scope to prepare": (
        ("prepare", "--scope", "globl"),
        "'globl' is not one of 'local', 'global', 'isomorphic'",
    ),
    "layer": (
        ("plan", "--method", "unstructured-l1", "--protect", "layr1.*"),
        "protect: no layer 'layr1.*' in this model. Did you mean 'layer1.*'?",
    ),
    "no layer at all": (("plan", "--protect", "fc,,conv1"), "protect: needs at least one name, and no empty"),
    "layer without a ratio": (("plan", "--ratio-of", "layer4"), "ratio_of: write layer4.*=0.8, several"),
    "ratio of a layer": (("plan", "--ratio-of", "layer4=2"), "in [0, 1]; got 2.0 for 'layer4'"),
    "two ratios": (
        ("plan", "--method", "unstructured-l1", "--ratio-of", "layer4=0.5,*.conv1=0.2"),
        "both match layer4.0.conv1, and neither is within the other",
    ),
    "ratio of a layer, global": (
        ("prepare", "--ratio-of", "layer4=0.5", "--scope", "global"),
        "ratio_of: a layer's own ratio needs local scope",
    ),
    "protect to prepare": (("prepare", "--protect", "a,a"), "protect: has duplicates: a"),
    "dataset": (("prepare", "--dataset", "digit"), "no dataset 'digit'. Did you mean 'digits'"),
    "dataset not there": (("prepare", "--dataset", "folder:nowhere"), "nowhere"),
    "dataset not had": (("prepare", "--dataset", "cifar10", "--data-root", "."), "cifar10"),
    "grid name": (("prepare", "--grid", "quik"), "no grid 'quik'"),
    "no store": (("store", "ls", "--store", "none"), "no store at none"),
    "store is a file": (("prepare", "--store", "file/store"), "cannot write the store"),
    "report of nothing": (("report", "none.json"), "cannot read none.json"),
    "report of an empty file": (("report", "empty.json"), "empty.json is empty"),
    "report of a cut file": (("report", "cut.json"), "cut.json is no complete JSON"),
    "report of another tool": (("report", "other.json"), "other.json is not a pytest-benchmark file"),
    "report of a newer schema": (("report", "newer.json"), "newer.json has schema 99"),
    "gate of an empty file": (("gate", "empty.json", "empty.json"), "empty.json is empty"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(run, tmp_path, name):
    """A user's mistake is said with what came and what is allowed; exit code 2, no traceback."""
    (tmp_path / "file").write_text("")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "cut.json").write_text('{"benchmarks": [{"extra')
    (tmp_path / "other.json").write_text('{"results": []}')
    (tmp_path / "newer.json").write_text('{"benchmarks": [{"extra_info": {"schema_version": 99}}]}')
    arguments, expected = MISTAKES[name]
    if arguments[0] == "prepare" and "--store" not in arguments:
        arguments = (*arguments, "--store", "store")
    code, out, err = run(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert expected in err
    assert "Traceback" not in err + out


def test_a_grid_mistake_names_file_and_line(run, tmp_path):
    """A wrong key in a grid file is found by line."""
    (tmp_path / "my.toml").write_text('model = "resnet18"\nratio = [0.5]\n')
    code, _, err = run("prepare", "--grid", "my.toml", "--store", "store")
    assert code == 2
    assert "no option 'ratio' in a grid. Did you mean 'ratios'?" in err
    assert "(in grid my.toml, line 2)" in err
    assert not (tmp_path / "store").exists()


GRID = """
ratios = [0.5]
model = "{model}"
[train]
epochs = 1
batch_size = 256
[fine_tune]
epochs = 1
batch_size = 256
"""


def test_prepare_then_look_at_the_store(run, tmp_path):
    """prepare makes what a grid needs and says it; store ls, verify and gc show the store."""
    (tmp_path / "my.toml").write_text(GRID.format(model=write_user_model(tmp_path, "cli_nets_b")))
    code, out, err = run("prepare", "--grid", "my.toml", "--store", "store")
    assert code == 0, err
    assert len(out.splitlines()) == 2
    code, out, _ = run("store", "ls", "--store", "store")
    assert "dense" in out
    assert "magnitude 0.5" in out
    assert run("store", "verify", "--store", "store")[:2] == (0, "store: 2 sound, 0 damaged\n")
    weights = next((tmp_path / "store").glob("*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    code, out, err = run("store", "verify", "--store", "store")
    assert (code, out) == (2, "store: 1 sound, 1 damaged\n")
    assert "was altered or is truncated" in err
    assert "damaged" in run("store", "ls", "--store", "store")[1]
    assert run("store", "gc", "--store", "store")[0] == 0


def test_a_checkpoint_that_was_set_aside_is_collected(run, tmp_path):
    """gc frees what damaged checkpoints take."""
    store = Store(tmp_path / "store")
    path = store.get_or_make(dense_spec(), lambda _: made()).path / "plan.json"
    path.write_text("{")
    assert store.find(dense_spec()) is None
    code, out, _ = run("store", "gc", "--store", "store")
    assert code == 0
    assert "1 deleted" in out


def test_help_names_every_command(run):
    """--help lists what there is."""
    _, out, _ = run("--help")
    for name in ("prepare", "plan", "report", "gate", "store"):
        assert name in out


def test_it_runs_as_a_module():
    """`python -m pruning_core` is the same program."""
    done = subprocess.run(
        [sys.executable, "-m", "pruning_core", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("pruning-bench, version ")
