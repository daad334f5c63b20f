"""`pruning_core.api.load`: by key, by the beginning of one, or from the folder of one checkpoint."""

import shutil

import pytest
import torch

from pruning_core.api import load
from pruning_core.chain.networks import load_network
from pruning_core.errors import DamagedCheckpointError, ModelError, PruningBenchError
from tests.helpers.small_runs import grid_of, make_all, open_workspace

MODEL = """
from torch import nn

def build(classes, channels):
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, classes),
    )
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Store a small network of a user's, dense and pruned; return the store's folder and its checkpoints."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "nets_to_load.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workspace = open_workspace(folder)
        checkpoints = make_all(grid_of("nets_to_load:build", ratios="0.5"), workspace)
    return folder, workspace.store.root, checkpoints


@pytest.fixture(autouse=True)
def _in_the_project(stored, monkeypatch):
    monkeypatch.chdir(stored[0])


def answers(network):
    """Return what a network says to two fixed images."""
    with torch.no_grad():
        return network(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_by_key_by_a_prefix_and_from_a_folder(stored, tmp_path, monkeypatch):
    """A key, so much of it that it is the only one, and a copied folder load the same network."""
    _, root, checkpoints = stored
    for checkpoint in checkpoints:
        expected = answers(load_network(checkpoint))
        copied = shutil.copytree(checkpoint.path, tmp_path / f"best-{checkpoint.key[:4]}")
        for network in (
            load(root, checkpoint.key),
            load(str(root), checkpoint.key[:6].upper()),
            load(checkpoint.path),
            load(copied),
            load(copied, checkpoint.key[:3]),
        ):
            assert not network.training
            assert answers(network).equal(expected)
    monkeypatch.setenv("PRUNING_BENCH_STORE", str(root))
    assert answers(load(key=checkpoints[1].key)).equal(answers(load(root, checkpoints[1].key)))


def test_nothing_is_written(stored):
    """Loading changes nothing in a store."""
    _, root, checkpoints = stored
    before = sorted(str(path) for path in root.rglob("*"))
    load(root, checkpoints[0].key)
    assert sorted(str(path) for path in root.rglob("*")) == before


def test_what_is_not_there_is_named(stored, tmp_path):
    """A wrong key, one that several begin with, no folder, no store: one line that says what there is."""
    _, root, checkpoints = stored
    keys = sorted(checkpoint.key[:12] for checkpoint in checkpoints)
    for arguments, text in (
        ((root, "zz"), "a key is 32 hexadecimal digits, of which the first 6 will do; got 'zz'"),
        ((root, "0" * 12), f"known: {', '.join(keys)}, in {root}; see `pruning-bench store ls`"),
        ((root,), f"2 checkpoints in {root}: name one by its key"),
        ((tmp_path / "gone", "a"), "no folder"),
        ((tmp_path, "a"), "is not a store"),
        ((root, 0.5), "a key as text; got"),
        ((5,), "name a folder"),
        (("",), "got an empty text"),
        ((checkpoints[0].path, "zz"), "does not begin with 'zz'"),
    ):
        with pytest.raises(PruningBenchError) as found:
            load(*arguments)
        assert text in str(found.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "plan.json", "spec.json"])
def test_a_damaged_folder_is_refused(stored, tmp_path, name):
    """What was altered after it was stored is not loaded."""
    copied = shutil.copytree(stored[2][1].path, tmp_path / "copied")
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-20] + b"x" * 20)
    with pytest.raises(DamagedCheckpointError):
        load(copied)


def test_a_network_that_is_not_here_is_said(stored, tmp_path, monkeypatch):
    """Without the file of the user's module there is one line about it."""
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "nets_to_load")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(stored[0])])
    with pytest.raises(ModelError, match="cannot import 'nets_to_load'"):
        load(stored[1], stored[2][0].key)
