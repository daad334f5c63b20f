"""Agreement is checked in batches of the size that is timed, not only over the whole split."""

import sys

import pytest
import torch

from pruning_core.backends.base import Executable
from pruning_core.config.cells import accuracy_cells, latency_cells
from pruning_core.config.grid import make_grid
from pruning_core.errors import BackendError
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.suites import batch_agreement
from pruning_core.suites.batch_agreement import batch_agreement_fields
from pruning_core.suites.model_cache import LoadedModel, ModelCache
from pruning_core.workspace import Workspace

NETS = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.a, self.fc = nn.Conv2d(channels, 8, 3, 2), nn.Linear(8, classes)
    def forward(self, x):
        y = self.fc(torch.relu(self.a(x)).mean((2, 3)))
        return {answer}
def build(classes, channels):
    return Net(classes, channels)
"""
ONE_PATH, TWO_PATHS = "y", "-y if x.shape[0] == 1 else y"


def open_models(folder, monkeypatch, module, answer, backends="eager"):
    """Open a small grid of a network, untrained, at batch sizes 1 and 3."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / f"{module}.py").write_text(NETS.format(answer=answer))
    train = {"epochs": 0, "precision": "fp32"}
    options = {"model": f"{module}:build", "ratios": "0.5", "backends": backends, "batch_sizes": "1,3"}
    grid = make_grid({**options, "threads": 1, "train": train, "fine_tune": train})
    return ModelCache(grid, Workspace(Store(folder / "store"), ProgressDisplay()))


def fields_of(models):
    """Return backend and batch size → the fields, of the dense network."""
    cells = [cell for cell in latency_cells(models.grid) if cell.variant.is_dense]
    return {(cell.backend, cell.batch_size): batch_agreement_fields(models, cell) for cell in cells}


def test_a_network_that_answers_one_image_otherwise_is_found(tmp_path, monkeypatch):
    """A path of its own for one image shows at batch size 1, and nowhere else."""
    fields = fields_of(open_models(tmp_path, monkeypatch, "batch_nets_a", TWO_PATHS))
    assert fields["eager", 1]["agreement"] < 0.5
    assert fields["eager", 1]["logit_difference"] > 0.01
    assert fields["eager", 3] == {"agreement": 1.0, "logit_difference": pytest.approx(0.0, abs=1e-5)}


def test_an_export_that_follows_one_path_is_found(tmp_path, monkeypatch):
    """ONNX Runtime answers one image by the path of two, and so otherwise than eager does."""
    pytest.importorskip("onnxruntime")
    models = open_models(tmp_path, monkeypatch, "batch_nets_b", TWO_PATHS, "onnxruntime")
    whole = models.evaluate(next(accuracy_cells(models.grid)))
    assert whole.n == 359
    fields = fields_of(models)
    assert fields["onnxruntime", 1]["agreement"] < 0.5
    assert fields["onnxruntime", 3]["agreement"] > 0.99


def test_few_images_are_enough_where_nothing_differs(tmp_path, monkeypatch):
    """Where the first batches are answered as before, no more are; all of them are of one size."""
    models = open_models(tmp_path, monkeypatch, "batch_nets_c", ONE_PATH)
    seen = []
    get = models.get

    def watch(cell):
        executable = get(cell).executable
        return LoadedModel(Watched(executable, seen), 0, 0.0)

    for cell in accuracy_cells(models.grid):
        models.evaluate(cell)
    monkeypatch.setattr(models, "get", watch)
    assert all(fields["agreement"] == 1.0 for fields in fields_of(models).values())
    assert seen == [("bind", 1), *[("predict", 1)] * 63, ("bind", 3), *[("predict", 3)] * 21]


class Watched(Executable):
    """Notes the size of each batch, and which way it went."""

    memory_format = "contiguous"

    def __init__(self, executable, seen, give=lambda logits: logits):
        self.executable, self.seen, self.give = executable, seen, give

    def predict(self, images):
        self.seen.append(("predict", len(images)))
        return self.executable.predict(images)

    def bind(self, images):
        self.seen.append(("bind", len(images)))
        run = self.executable.bind(images)
        return lambda: self.give(run())


@pytest.mark.parametrize("give", [lambda y: y[0], lambda y: y[:, :5]])
def test_a_timed_call_of_another_shape_is_refused(tmp_path, monkeypatch, give):
    """What is timed must give logits of the right shape."""
    models = open_models(tmp_path, monkeypatch, "batch_nets_d", ONE_PATH)
    get = models.get
    monkeypatch.setattr(
        models, "get", lambda cell: LoadedModel(Watched(get(cell).executable, [], give), 0, 0.0)
    )
    with pytest.raises(BackendError, match=r"eager fp32 in batches of 1: .* must return logits of shape"):
        fields_of(models)


def test_a_timed_call_that_answers_otherwise_is_found(tmp_path, monkeypatch):
    """What is timed must answer as `predict` does, in its first batch at least."""
    models = open_models(tmp_path, monkeypatch, "batch_nets_e", ONE_PATH)
    get = models.get
    monkeypatch.setattr(
        models,
        "get",
        lambda cell: LoadedModel(Watched(get(cell).executable, [], lambda y: -y), 0, 0.0),
    )
    fields = fields_of(models)
    assert fields["eager", 3]["agreement"] < 1.0
    assert fields["eager", 3]["logit_difference"] > 0.01


def test_a_batch_larger_than_the_split_is_filled(tmp_path, monkeypatch):
    """Images are repeated until a batch is full."""
    models = open_models(tmp_path, monkeypatch, "batch_nets_f", ONE_PATH)
    cell = next(cell for cell in latency_cells(models.grid) if cell.batch_size == 3)
    monkeypatch.setattr(batch_agreement, "FEW_IMAGES", 10**6)
    few, _, chosen = batch_agreement._evaluate_both(models, cell, 10**6)
    assert len(chosen) == few.n == 360
    assert torch.equal(chosen[-1:], torch.tensor([0]))


def test_answers_that_are_no_numbers_agree_with_nothing(tmp_path, monkeypatch):
    """A network that answers one image with NaN agrees there with nobody."""
    answer = "y / 0 * 0 if x.shape[0] == 1 else y"
    fields = fields_of(open_models(tmp_path, monkeypatch, "batch_nets_g", answer))
    assert fields["eager", 1] == {"agreement": 0.0}
