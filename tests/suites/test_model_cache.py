"""Models that stay loaded: once each, for as many threads as the cell asks for."""

import pytest
import torch

from pruning_core.config.cells import latency_cells
from pruning_core.config.grid import make_grid
from pruning_core.datasets.batches import normalise
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.suites import model_cache
from pruning_core.suites.model_cache import ModelCache
from pruning_core.tasks.calibration import CALIBRATION_EXAMPLES
from pruning_core.workspace import Workspace
from tests.helpers.factories import write_user_model


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Open a small grid of a user's network on one and on two threads."""
    monkeypatch.syspath_prepend(str(tmp_path))
    train = {"epochs": 0, "precision": "fp32"}
    grid = make_grid(
        {
            "model": write_user_model(tmp_path, "resident_nets"),
            "ratios": "0.5",
            "backends": "eager",
            "batch_sizes": "2",
            "threads": "1,2",
            "train": train,
            "fine_tune": train,
        }
    )
    threads = torch.get_num_threads()
    yield ModelCache(grid, Workspace(Store(tmp_path / "store"), ProgressDisplay()))
    torch.set_num_threads(threads)


def test_a_cell_runs_on_its_own_number_of_threads(models):
    """Each number of threads has a model of its own; answers are evaluated once for both."""
    cells = [cell for cell in latency_cells(models.grid) if cell.variant.is_dense]
    assert [models.threads_of(cell) for cell in cells] == [1, 2]
    one, two = (models.get(cell) for cell in cells)
    assert one is not two
    assert models.get(cells[0]) is one
    assert models.evaluate(cells[0]) is models.evaluate(cells[1])
    assert torch.get_num_threads() == 2  # evaluated on the most there are


def test_calibration_images_are_training_images_always_the_same(models):
    """int8 never sees a test image, and two runs see the same ones."""
    cell = next(latency_cells(models.grid))
    dataset = models.workspace.dataset("digits")
    one, two = models._calibration(cell), models._calibration(cell)
    assert torch.equal(one, two)
    assert len(one) == CALIBRATION_EXAMPLES
    every = normalise(dataset.train.images, dataset.spec).flatten(1)
    assert all(bool((every == image.flatten()).all(dim=1).any()) for image in one[:8])


def test_int8_is_calibrated(models, monkeypatch):
    """A backend gets calibration images for int8 and none for other precisions."""
    seen = []

    def noting(*arguments, calibration):
        seen.append(None if calibration is None else len(calibration))
        raise InterruptedError

    monkeypatch.setattr(model_cache, "load_executable", noting)
    for precision in ("fp32", "int8"):
        cell = model_cache.replace(next(latency_cells(models.grid)), precision=precision)
        with pytest.raises(InterruptedError):
            models.load_copy(cell)
    assert seen == [None, 128]


def test_time_is_counted_by_what_it_went_into(models):
    """Making checkpoints, making models ready and running them are three counters."""
    budget, cell = models.budget, next(latency_cells(models.grid))
    models.checkpoint(cell.variant)
    assert budget.checkpoints_s > 0 == budget.backend_setup_s == budget.timed_s
    models.get(cell)
    assert budget.backend_setup_s > 0 == budget.timed_s
    models.evaluate(cell)
    assert budget.timed_s > 0


def test_a_checkpoint_is_asked_for_once(models, monkeypatch):
    """Whatever asks again for a variant gets what is there: its specs are hashed once in a run."""
    asked = []
    ensure = model_cache.ensure_variant
    monkeypatch.setattr(model_cache, "ensure_variant", lambda *some: asked.append(some) or ensure(*some))
    cell = next(latency_cells(models.grid))
    models.evaluate(cell)
    models.get(cell)
    assert models.checkpoint(cell.variant) is models.checkpoint(cell.variant)
    assert len(asked) == 1


def test_calls_can_be_wrapped(models):
    """What is timed of a cell is what the hook returns for it; without one, the backend's own call."""
    cell = next(latency_cells(models.grid))
    model = models.get(model_cache.replace(cell, batch_size=None))  # as its accuracy was evaluated
    images = models.inputs(cell)
    own = models.bind(model, cell, images)()
    seen = []
    models.wrap_call = lambda wrapped, call: lambda: (seen.append(wrapped), call())[1]
    assert torch.equal(models.bind(model, cell, images)(), own)
    assert seen == [cell]
