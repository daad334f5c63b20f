"""The hash of a recipe: one for all seeds, methods and controls of a run; another where training differs."""

import pytest

from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.recipe_hash import recipe_sha256
from pruning_core.suites.cell_fields import variant_fields
from tests.helpers.factories import write_user_model
from tests.helpers.small_runs import grid_of, open_workspace

BASE = {"train": {"epochs": 3}, "fine_tune": {"epochs": 1}}


@pytest.mark.parametrize(
    "fields",
    [
        {"train": {"epochs": 3, "seed": 7}, "fine_tune": {"epochs": 1, "seed": 8}},
        {"seeds": "3,4"},
        {"method": "slimming,thin", "scope": "global", "schedule": "one-shot", "ratios": "0.4"},
        {"model": "resnet20", "dataset": "cifar10", "backends": "eager:bf16", "batch_sizes": 7},
        {"train": {"epochs": 3, "learning_rate": 0.1}},  # as by default
    ],
)
def test_what_trains_nobody_otherwise_changes_nothing(fields):
    """Seeds, and what a grid says of networks, cuts and times."""
    assert recipe_sha256(make_grid({**BASE, **fields})) == recipe_sha256(make_grid(BASE))


@pytest.mark.parametrize(
    "fields",
    [
        {"train": {"epochs": 4}},
        {"train": {"epochs": 3, "learning_rate": 0.2}},
        {"fine_tune": {"epochs": 2}},
        {"fine_tune": {"epochs": 1, "norm_images": 100}},
        {"epochs_by_ratio": [[0.5, 4]]},
        {"regularize": {"epochs": 2}},
        {"recipe": "long"},
    ],
)
def test_every_stage_of_training_counts(fields):
    """Of the dense model, of the phase before a cut, and of the steps after it."""
    assert recipe_sha256(make_grid({**BASE, **fields})) != recipe_sha256(make_grid(BASE))


def test_methods_and_controls_of_a_run_have_one_recipe(tmp_path, monkeypatch):
    """Also those from new weights, whose own training has other epochs than the steps of a chain."""
    monkeypatch.syspath_prepend(str(tmp_path))
    methods = "magnitude,slimming,random,scratch:magnitude,thin,dense+"
    grid = grid_of(write_user_model(tmp_path, "recipe_nets"), method=methods, seeds="0,1")
    workspace = open_workspace(tmp_path)
    found = {
        (variant.method, variant.seed): variant_fields(
            variant, chain_specs(variant, grid, workspace)[-1], grid
        )["recipe_sha256"]
        for variant in variants(grid)
    }
    assert len(found) == 2 * 7
    assert set(found.values()) == {recipe_sha256(grid)}
