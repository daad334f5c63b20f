"""A chain of quick trainings on a few made-up images."""

import torch

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.datasets.base import Dataset, Split
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.workspace import Workspace
from tests.helpers.factories import DIGITS_8


def small_images():
    """Return forty images in ten classes, as both splits."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 10
    pixels = torch.randint(0, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Dataset(DIGITS_8, tuple("0123456789"), Split(pixels, labels), Split(pixels, labels))


def open_workspace(folder):
    """Open a workspace with the small images as `digits`, as a new process would."""
    workspace = Workspace(Store(folder / "store"), ProgressDisplay())
    workspace._datasets["digits"] = small_images()
    return workspace


def grid_of(model, **fields):
    """Build a grid of quick trainings."""
    train = {"epochs": 2, "batch_size": 16, "precision": "fp32"}
    return make_grid(
        {"model": model, "ratios": "0.25,0.5,0.75", "train": train, "fine_tune": train, **fields}
    )


def make_all(grid, workspace):
    """Make every checkpoint of a grid, in order."""
    return [ensure_variant(variant, grid, workspace) for variant in variants(grid)]
