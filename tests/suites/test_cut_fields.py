"""What the proof of a cut found, and which groups kept their width: how it gets to the user."""

import csv
import io
import json

import pytest
import torch

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.store.checkpoint import Metrics
from pruning_core.suites.harness import Harness
from pruning_core.workspace import Workspace
from tests.helpers.command_line import command_line
from tests.helpers.factories import write_user_model
from tests.helpers.kept_whole_networks import write_shuffled

NEW = ("proof", "kept_whole", "groups_kept_whole", "groups")
OTHERWISE = "the network answers otherwise"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make an empty folder the working one, whose modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def harness_of(folder, model, **fields):
    """Open a harness over a grid without training."""
    train = {"epochs": 0, "precision": "fp32"}
    settings = {"model": model, "ratios": "0.5,0.75", "threads": 1, "train": train, "fine_tune": train}
    grid = make_grid({**settings, **fields})
    return Harness(grid, Workspace(Store(folder / "store"), ProgressDisplay()), ())


def test_records_say_what_was_proved_and_what_was_kept(folder):
    """A pruned cell's record has the proof and each group kept whole; the dense one has none of these."""
    harness = harness_of(folder, write_shuffled(folder, "fields_shuffled"))
    dense, *pruned = [harness.cost_record(variant) for variant in variants(harness.grid)]
    assert not dense.keys() & set(NEW)
    for record in pruned:
        assert record["proof"] == "statistics change: layer norm"
        assert (record["groups_kept_whole"], record["groups"]) == (1, 3)
        (reason,) = record["kept_whole"].values()
        assert record["kept_whole"].keys() == {"a"}
        assert reason.startswith(OTHERWISE)


@pytest.mark.parametrize("method", ["magnitude", "unstructured-l1"])
def test_the_ordinary_record_has_a_proof_at_most(folder, method):
    """Where no group keeps its width nothing is said of groups; where nothing is cut, nothing of a proof."""
    harness = harness_of(folder, write_user_model(folder, f"fields_{method[:4]}"), method=method)
    _, *pruned = [harness.cost_record(variant) for variant in variants(harness.grid)]
    wanted = {"proof": "exact"} if method == "magnitude" else {}
    assert [{name: r[name] for name in NEW if name in r} for r in pruned] == [wanted] * 2


def test_metrics_have_the_proof_of_the_plan(folder):
    """What is stored of a checkpoint tells its proof, also beside others of it; an exhausted one has none."""
    harness = harness_of(folder, write_shuffled(folder, "fields_metrics"), ratios="0.5,0.9,0.92")
    made = [ensure_variant(variant, harness.grid, harness.workspace) for variant in variants(harness.grid)]
    proofs = [checkpoint.metrics.proof for checkpoint in made]
    assert proofs == ["", "statistics change: layer norm", "statistics change: layer norm", ""]
    assert [checkpoint.metrics.exhausted for checkpoint in made] == [False, False, False, True]
    for checkpoint in made:
        assert checkpoint.metrics.proof == checkpoint.plan.proof
        stored = json.loads((checkpoint.path / "metrics.json").read_text())
        assert stored["proof"] == checkpoint.plan.proof
    assert [len(checkpoint.plan.kept_whole) for checkpoint in made] == [0, 1, 1, 1]


def test_metrics_of_earlier_versions_are_read(folder):
    """A checkpoint whose metrics do not tell of a proof is read, with none."""
    harness = harness_of(folder, write_user_model(folder, "fields_old"), ratios="0.5")
    _, pruned = variants(harness.grid)
    fields = json.loads(harness.models.checkpoint(pruned).metrics.model_dump_json())
    assert fields.pop("proof") == "exact"
    assert Metrics.model_validate_json(json.dumps(fields)).proof == ""


GRID = """
dataset = ["digits"]
train = {epochs = 0, precision = "fp32"}
fine_tune = {epochs = 0, precision = "fp32"}
"""


def test_prepare_names_groups_kept_whole(folder, monkeypatch, capsys):
    """One line more for each checkpoint with such groups, none for others."""
    (folder / "grid.toml").write_text(GRID)
    arguments = ("prepare", "--grid", "grid.toml", "--store", "store", "--threads", "1", "--ratios", "0.5")
    run = command_line(monkeypatch, capsys)
    code, out, _ = run(*arguments, "--model", write_shuffled(folder, "fields_prepare"))
    assert code == 0
    _, pruned, kept = out.splitlines()
    assert "0.5" in pruned
    assert kept.startswith(f"  kept whole: 1 of 3 groups: a: {OTHERWISE}")
    code, out, _ = run(*arguments, "--model", write_user_model(folder, "fields_plain"))
    assert code == 0
    assert len(out.splitlines()) == 2


def test_plan_names_groups_kept_whole(folder, monkeypatch, capsys):
    """`plan` says it below the table; CSV and JSON have it for programs."""
    run = command_line(monkeypatch, capsys)
    arguments = ("plan", "--model", write_shuffled(folder, "fields_plan"), "--ratios", "0.5,0.75")
    lines = run(*arguments)[1].splitlines()
    assert lines[5:7] == [
        "proved but for statistics over channels that change: layer norm",
        "kept whole: 1 of 3 groups",
    ]
    assert lines[7].startswith(f"  a: {OTHERWISE}, by")
    assert len(lines) == 8
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv")[1])))
    assert [row["groups_kept_whole"] for row in rows] == ["1", "1"]
    steps = json.loads(run(*arguments, "--format", "json")[1])
    assert [[kept["root"] for kept in step["kept_whole"]] for step in steps] == [["a"], ["a"]]


@pytest.mark.slow
def test_a_matrix_has_them_in_its_rows(folder, monkeypatch, capsys):
    """Each row of a matrix has proof and groups kept whole, and its table counts them."""
    run = command_line(monkeypatch, capsys)
    arguments = ("plan", "--model", write_shuffled(folder, "fields_matrix"), "--ratios", "0.5")
    arguments += ("--method", "magnitude,unstructured-l1")
    cut, masked = json.loads(run(*arguments, "--format", "json")[1])
    assert (cut["proof"], cut["groups"]) == ("statistics change: layer norm", 3)
    assert [(kept["root"], kept["layers"]) for kept in cut["kept_whole"]] == [("a", ["a", "b"])]
    assert (masked["proof"], masked["groups"], masked["kept_whole"]) == ("", None, [])
    code, out, _ = run(*arguments)
    assert code == 0
    assert out.splitlines()[2].split()[-2] == "1"
    assert out.rstrip().endswith("proofs of cuts: 0 exact; 1 in which statistics change")
