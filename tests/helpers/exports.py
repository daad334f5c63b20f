"""A store with quick checkpoints of a network and images of somebody else's, for tests of exports."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from pruning_core.chain.networks import build_network, load_network
from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.datasets.base import Dataset
from pruning_core.export.inputs import Where, load_own_dataset
from pruning_core.export.story import Order, export_checkpoint
from pruning_core.export.subject import Subject
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.workspace import Workspace

HELPERS = Path(__file__).parent


@dataclass(frozen=True)
class Shop:
    """A folder with somebody's modules and a store, and the checkpoints in it: dense, and half of it."""

    folder: Path
    dense: Checkpoint
    pruned: Checkpoint

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.dense.path.parent


@contextmanager
def open_shop(folder: Path, model: str = "build", **fields: object) -> Iterator[Shop]:
    """Make the checkpoints in a folder, and stay in it.

    Args:
        folder: An empty one.
        model: A function of `outside_network.py`, or another network's full name.
        fields: Of the grid.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("outside_network", "outside_images"):
            shutil.copy(HELPERS / f"{name}.py", folder / f"{name}.py")
        name = model if ":" in model else f"outside_network:{model}"
        train = {"epochs": 2, "batch_size": 32, "precision": "fp32", "learning_rate": 0.05}
        chosen = {"train": train, "fine_tune": {**train, "epochs": 1}, "ratios": "0.5", "threads": "1"}
        grid = make_grid({"model": name, "dataset": "outside_images:load", **chosen, **fields})
        workspace = Workspace(Store(folder / "store"), ProgressDisplay())
        dense, pruned = (ensure_variant(variant, grid, workspace) for variant in variants(grid))
        yield Shop(folder, dense, pruned)


def export_to(
    to: str,
    path: Path,
    checkpoint: Checkpoint,
    precision: str | None = None,
    dataset: Dataset | Literal["own"] | None = "own",
    **fields: object,
) -> object:
    """Export a checkpoint of a shop; return how it compares."""
    spec, display = checkpoint.spec, ProgressDisplay()
    if dataset == "own":
        dataset = load_own_dataset(spec.dataset, Where(checkpoint.path.parent / "datasets"), display)
    return export_checkpoint(
        Order(to, path, precision, **fields),
        Subject(checkpoint, None),
        load_network(checkpoint),
        lambda: build_network(spec),
        dataset,
        display,
    )
