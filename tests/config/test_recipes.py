"""Recipes: what they hold, what goes before them, and how the shipped grids differ."""

from pathlib import Path

import pytest

from pruning_core.config.grid import make_grid, read_grid
from pruning_core.config.recipes import RECIPES
from pruning_core.errors import OptionError
from tests.helpers.grid_file import write


def test_the_tutorials_recipe_is_the_tutorials():
    """Plain SGD at 0.01 and 0.9 in fp32, no variation of images, 10 epochs and 1, pixels in [−1, 1]."""
    grid = make_grid({"recipe": "tutorial"})
    for spec, epochs in ((grid.train, 10), (grid.fine_tune, 1)):
        assert (spec.epochs, spec.batch_size, spec.learning_rate, spec.momentum) == (epochs, 128, 0.01, 0.9)
        assert (spec.lr_schedule, spec.nesterov, spec.weight_decay) == ("constant", False, 0.0)
        assert (spec.label_smoothing, spec.augment, spec.precision) == (0.0, False, "fp32")
    assert (grid.normalize, grid.round_to) == ("[-1,1]", 2)
    assert (grid.fine_tune.norm_images, grid.fine_tune.distill_weight) == (0, 0.0)


def test_the_long_recipe_is_that_of_published_comparisons():
    """200 epochs and 40 of cosine, Nesterov, cut-out as for CIFAR-10; the dense model teaches."""
    grid = make_grid({"recipe": "long"})
    for spec, epochs in ((grid.train, 200), (grid.fine_tune, 40)):
        assert (spec.epochs, spec.lr_schedule, spec.nesterov, spec.cut_out) == (epochs, "cosine", True, 16)
        assert (spec.augment, spec.label_smoothing, spec.precision) == (True, 0.0, "auto")
    assert grid.fine_tune.distill_weight > 0


@pytest.mark.parametrize("name", RECIPES)
def test_a_grid_goes_before_its_recipe(tmp_path, name):
    """What a file says replaces the recipe's value, field by field; the rest is the recipe's."""
    text = f'recipe = "{name}"\nround_to = 4\n[train]\nepochs = 3\n[fine_tune]\nseed = 5\n'
    grid, plain = read_grid(write(tmp_path, text)), make_grid({"recipe": name})
    assert grid.round_to == 4
    assert grid.train == plain.train.model_copy(update={"epochs": 3})
    assert grid.fine_tune == plain.fine_tune.model_copy(update={"seed": 5})


def test_an_unknown_recipe_is_named(tmp_path):
    """A recipe that there is not gets one line with the known ones."""
    with pytest.raises(OptionError, match=r"no recipe 'tutorail'\. Did you mean 'tutorial'"):
        read_grid(write(tmp_path, 'recipe = "tutorail"\n'))


def test_epochs_can_depend_on_the_ratio():
    """From each ratio of `epochs_by_ratio` on a step has that many epochs; before the first, fine_tune's."""
    grid = make_grid({"fine_tune": {"epochs": 1}, "epochs_by_ratio": [[0.5, 2], [0.9, 0]]})
    assert [grid.fine_tune_at(ratio).epochs for ratio in (0.25, 0.5, 0.75, 0.9, 1.0)] == [1, 2, 2, 0, 0]
    assert grid.fine_tune_at(0.5) == grid.fine_tune.model_copy(update={"epochs": 2})


@pytest.mark.parametrize("value", [[[0.9, 1], [0.5, 2]], [[0.5, -1]], [0.5, 1], [[0.5, 1.5]]])
def test_epochs_from_that_cannot_be_are_refused(value):
    """Ratios rise, epochs are whole numbers of 0 or more."""
    with pytest.raises(OptionError, match="epochs_by_ratio"):
        make_grid({"epochs_by_ratio": value})


def test_distillation_is_no_option_of_dense_training():
    """There is no dense model to learn from yet: the error says which options there are."""
    with pytest.raises(OptionError, match=r"no option 'train\.distill_weight'"):
        make_grid({"train": {"distill_weight": 0.5}})


def test_post_fast_takes_no_more_epochs_than_post():
    """Both grids visit the tutorial's 20 ratios and train for 30 epochs; ours has nothing to train at 1.0."""
    folder = Path(__file__).parents[2] / "bench" / "grids"
    post, fast = (read_grid(folder / f"{name}.toml") for name in ("post", "post-fast"))
    assert post.ratios == fast.ratios == tuple(round(0.05 * i, 2) for i in range(1, 21))
    assert post.train.epochs + sum(post.fine_tune_at(ratio).epochs for ratio in post.ratios) == 30
    assert fast.train.epochs + sum(fast.fine_tune_at(ratio).epochs for ratio in fast.ratios[:-1]) == 30


def test_post_bf16_is_post_but_for_the_precision():
    """What is published as the tutorial's run departs from its recipe in one thing only."""
    folder = Path(__file__).parents[2] / "bench" / "grids"
    post, bf16 = (read_grid(folder / f"{name}.toml") for name in ("post", "post-bf16"))
    assert (bf16.train.precision, bf16.fine_tune.precision) == ("bf16", "bf16")
    like_post = {
        name: getattr(bf16, name).model_copy(update={"precision": "fp32"}) for name in ("train", "fine_tune")
    }
    assert bf16.model_copy(update=like_post) == post


def test_post_long_is_post_fast_with_more_epochs_at_its_end():
    """To 0.70 it is the same chain, whose checkpoints it takes; with 24 epochs at 0.75 they are 40."""
    folder = Path(__file__).parents[2] / "bench" / "grids"
    fast, long = (read_grid(folder / f"{name}.toml") for name in ("post-fast", "post-long"))
    *shared, last = long.ratios
    assert tuple(long.ratios) == tuple(fast.ratios[: len(long.ratios)])
    assert [long.fine_tune_at(ratio) for ratio in shared] == [fast.fine_tune_at(ratio) for ratio in shared]
    assert long.train.epochs + sum(long.fine_tune_at(ratio).epochs for ratio in long.ratios) == 40
    assert (last, long.fine_tune_at(last).epochs) == (0.75, 24)
    assert long.model_copy(update={"ratios": fast.ratios, "epochs_by_ratio": fast.epochs_by_ratio}) == fast


def test_post_muon_is_post_fast_but_for_the_dense_training():
    """Muon for as many epochs, then the same chain: what it gives is told apart from all else."""
    folder = Path(__file__).parents[2] / "bench" / "grids"
    fast, muon = (read_grid(folder / f"{name}.toml") for name in ("post-fast", "post-muon"))
    assert (fast.train.optimizer, muon.train.optimizer) == ("sgd", "muon")
    assert muon.train.epochs == fast.train.epochs
    assert muon.model_copy(update={"train": fast.train}) == fast


def test_post_lamp_is_post_muon_but_for_what_is_cut():
    """The same dense model, ratios and epochs: what the other ranking gives is told apart from all else."""
    folder = Path(__file__).parents[2] / "bench" / "grids"
    muon, lamp = (read_grid(folder / f"{name}.toml") for name in ("post-muon", "post-lamp"))
    assert ((muon.method, muon.scope), (lamp.method, lamp.scope)) == (
        (("magnitude",), "local"),
        (("lamp",), "global"),
    )
    assert lamp.model_copy(update={"method": muon.method, "scope": muon.scope}) == muon
