"""The hash of a recipe: how a grid trains and fine-tunes, which its checkpoints share, whatever the seed."""

import hashlib

from pruning_core.config.grid import Grid
from pruning_core.config.regularize import RegularizeOptions
from pruning_core.config.spec import RECIPE_VERSION, FineTuneSpec, TrainSpec, canonical_json
from pruning_core.config.validation import StrictModel


class _Recipe(StrictModel):
    """What a grid says of training, of every stage."""

    train: TrainSpec
    fine_tune: FineTuneSpec
    epochs_by_ratio: tuple[tuple[float, int], ...]
    regularize: RegularizeOptions


def recipe_sha256(grid: Grid) -> str:
    """Return the hash of a grid's training options: of methods and controls of one run, and of all its seeds.

    Not of a checkpoint's own spec: what is trained from new weights has other epochs than what is fine-tuned.
    """
    unseeded = grid.of_seed(0)
    recipe = _Recipe(
        train=unseeded.train,
        fine_tune=unseeded.fine_tune,
        epochs_by_ratio=grid.epochs_by_ratio,
        regularize=grid.regularize,
    )
    text = f"pruning-bench/{RECIPE_VERSION}/recipe/{canonical_json(recipe)}"
    return hashlib.sha256(text.encode()).hexdigest()
