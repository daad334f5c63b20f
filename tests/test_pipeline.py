"""The story: each step is loaded or made, resumed where it was interrupted, said when nothing is left."""

from itertools import pairwise

import pytest
import torch

from pruning_core import pipeline
from pruning_core.chain import training as chain_training
from pruning_core.chain.networks import load_network
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.pictures import PictureOptions
from pruning_core.config.spec import key_of
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.store.resume import ResumeState
from pruning_core.tasks.classification import Classification
from pruning_core.workspace import Workspace
from tests.helpers.factories import TUTORIAL, write_user_model
from tests.helpers.small_runs import grid_of, make_all, open_workspace


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's small network and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_user_model(tmp_path, "pipeline_nets")


@pytest.fixture
def trainings(monkeypatch):
    """Count the trainings."""
    calls = []
    train = chain_training.train

    def counting(*args, **kwargs):
        calls.append(args[2])
        return train(*args, **kwargs)

    monkeypatch.setattr(chain_training, "train", counting)
    return calls


def test_a_second_run_trains_nothing(tmp_path, model, trainings):
    """What is stored is loaded, also by another process."""
    grid = grid_of(model)
    first = make_all(grid, open_workspace(tmp_path))
    assert len(trainings) == 4
    second = make_all(grid, open_workspace(tmp_path))
    assert len(trainings) == 4
    assert [c.key for c in first] == [c.key for c in second]


def test_a_new_ratio_does_not_retrain_dense(tmp_path, model, trainings):
    """A changed ratio trains that step and those after it, never the dense model."""
    make_all(grid_of(model), open_workspace(tmp_path))
    trainings.clear()
    make_all(grid_of(model, ratios="0.25,0.6"), open_workspace(tmp_path))
    assert len(trainings) == 1


def test_iterative_steps_go_on_from_the_one_before(tmp_path, model):
    """Each step's parent is the step before; one-shot steps start from dense."""
    workspace = open_workspace(tmp_path)
    for schedule, expected in (("iterative", 4), ("one-shot", 2)):
        grid = grid_of(model, schedule=schedule)
        specs = chain_specs(list(variants(grid))[-1], grid, workspace)
        assert len(specs) == expected
        assert all(child.parent == key_of(parent) for parent, child in pairwise(specs))


def test_one_shot_and_iterative_reach_the_same_widths(tmp_path, model):
    """A ratio is relative to the dense widths, however it is reached."""
    workspace = open_workspace(tmp_path)
    chains = [make_all(grid_of(model, schedule=s), workspace) for s in ("iterative", "one-shot")]
    assert [c.plan.widths for c in chains[0]] == [c.plan.widths for c in chains[1]]
    assert chains[0][-1].key != chains[1][-1].key


def test_an_exhausted_step_is_said_and_not_trained(tmp_path, model, trainings):
    """A step that removes nothing more keeps its parent's weights and is marked."""
    grid = grid_of(model, ratios="0.9,0.92,1.0")
    checkpoints = make_all(grid, open_workspace(tmp_path))
    assert [c.metrics.exhausted for c in checkpoints] == [False, False, True, True]
    assert len(trainings) == 2
    before, after = checkpoints[1], checkpoints[2]
    assert after.metrics.accuracy == after.metrics.accuracy_pruned == before.metrics.accuracy
    assert all(torch.equal(after.weights()[name], tensor) for name, tensor in before.weights().items())


def test_a_stored_network_has_the_accuracy_it_was_stored_with(tmp_path, model):
    """The network that loads from plan and weights has the accuracy that its metrics say."""
    workspace = open_workspace(tmp_path)
    checkpoint = make_all(grid_of(model), workspace)[-1]
    evaluation = pipeline.evaluate_network(
        load_network(checkpoint), Classification(workspace.dataset("digits")), grid_of(model).fine_tune
    )
    assert evaluation.accuracy == checkpoint.metrics.accuracy
    assert evaluation.n == checkpoint.metrics.accuracy_n == 40


def test_a_step_loads_without_its_parent(tmp_path, model, trainings):
    """A finished checkpoint is used even when the ones it came from are gone."""
    import shutil

    grid = grid_of(model)
    checkpoints = make_all(grid, open_workspace(tmp_path))
    for parent in checkpoints[:-1]:
        shutil.rmtree(parent.path)
    trainings.clear()
    assert ensure_variant(list(variants(grid))[-1], grid, open_workspace(tmp_path)).key == checkpoints[-1].key
    assert trainings == []


def test_the_tutorials_chain_resumed_at_every_step(tmp_path):
    """Made by processes that each start afresh, the chain has the tutorial's MACs and parameters."""
    no_training = {"epochs": 0}
    grid = make_grid({"ratios": "0.05:1.0:0.05", "train": no_training, "fine_tune": no_training})
    found = {}
    for variant in variants(grid):
        metrics = ensure_variant(variant, grid, open_workspace(tmp_path)).metrics
        if not variant.is_dense:
            found[variant.ratio] = (round(metrics.macs / 1e9, 2), round(metrics.params / 1e6, 2))
            assert metrics.exhausted == (variant.ratio == 1.0)
    assert found == TUTORIAL


class StandInError(Exception):
    """Stands for a process that ends."""


@pytest.mark.parametrize("method", ["magnitude", "unstructured-l1"])
def test_interrupted_after_every_epoch_gives_the_same_weights(tmp_path, model, monkeypatch, method):
    """However often a chain is interrupted, it ends with the weights of an undisturbed one."""
    taught = {"epochs": 2, "batch_size": 16, "distill_weight": 0.5, "norm_images": 20}
    grid = grid_of(model, ratios="0.5", method=method, fine_tune=taught)
    undisturbed = make_all(grid, open_workspace(tmp_path / "a"))
    train = chain_training.train
    interruptions = 0

    def interrupting(network, dataset, spec, *, on_epoch, **others):
        def save_then_die(state):
            on_epoch(state)
            raise StandInError

        return train(network, dataset, spec, on_epoch=save_then_die, **others)

    monkeypatch.setattr(chain_training, "train", interrupting)
    monkeypatch.setattr(chain_training, "SAVE_EVERY_S", 0.0)
    while True:
        try:
            resumed = make_all(grid, open_workspace(tmp_path / "b"))
            break
        except StandInError:
            interruptions += 1
    assert interruptions == 2
    for first, second in zip(undisturbed, resumed, strict=True):
        weights = second.weights()
        assert all(torch.equal(weights[name], tensor) for name, tensor in first.weights().items())
        assert first.metrics.train_losses == second.metrics.train_losses
    assert list((tmp_path / "b" / "store" / "unfinished").iterdir()) == []


def test_a_state_is_not_saved_after_every_short_epoch(tmp_path, model, monkeypatch):
    """These epochs take no half a minute: nothing is saved between them."""
    saved = []
    save = ResumeState.save
    monkeypatch.setattr(
        ResumeState, "save", lambda self, state: (saved.append(state.epoch), save(self, state))
    )
    assert chain_training.SAVE_EVERY_S >= 10
    monkeypatch.setattr(chain_training, "SAVE_EVERY_S", 3600.0)  # as if this machine were always quick
    make_all(grid_of(model, ratios="0.5"), open_workspace(tmp_path / "a"))
    assert saved == []
    monkeypatch.setattr(chain_training, "SAVE_EVERY_S", 0.0)
    make_all(grid_of(model, ratios="0.5"), open_workspace(tmp_path / "b"))
    assert saved == [1, 1]


def test_progress_says_what_how_far_and_how_long(tmp_path, model, capsys, monkeypatch):
    """Long work is visible where standard error is no terminal."""
    monkeypatch.setattr("pruning_core.progress._LINE_EVERY_S", 0.0)
    make_all(grid_of(model, ratios="0.5"), open_workspace(tmp_path))
    shown = capsys.readouterr().err
    assert "train pipeline_nets:tiny_model on digits, 2 epochs: 2/6 (33%)" in shown
    assert "s left" in shown
    assert "magnitude 0.5, 2 epochs: done in" in shown


def zeros_in(checkpoint, name):
    """Return the fraction of a weight that is exactly zero."""
    return (checkpoint.weights()[name] == 0).float().mean().item()


def test_masked_weights_stay_zero_along_a_chain(tmp_path, model):
    """After each fine-tuning just the fraction asked for is zero; widths and MACs are the dense ones."""
    made = make_all(grid_of(model, method="unstructured-l1"), open_workspace(tmp_path))
    dense, *steps = made
    for step, ratio in zip(steps, (0.25, 0.5, 0.75), strict=True):
        assert zeros_in(step, "inner.weight") == pytest.approx(ratio, abs=1e-3)
        assert zeros_in(step, "fc.weight") == 0
        assert step.metrics.sparsity == pytest.approx(ratio, abs=0.05)
        assert (step.plan.widths, step.metrics.macs) == (dense.plan.widths, dense.metrics.macs)
        assert not step.metrics.exhausted
    assert dense.metrics.sparsity == 0


def test_normalising_to_minus_one_and_one_changes_what_is_trained(tmp_path, model):
    """With `normalize = "[-1,1]"` images are normalised by 0.5 and 0.5, and the key is another one."""
    grid = grid_of(model)
    plain, halved = (
        open_workspace(tmp_path),
        Workspace(Store(tmp_path / "store"), ProgressDisplay(), pictures=PictureOptions(normalize="[-1,1]")),
    )
    dense = next(iter(variants(make_grid({"dataset": "digits", "model": model}))))
    specs = [chain_specs(dense, grid, workspace)[0] for workspace in (plain, halved)]
    assert specs[1].dataset.mean == specs[1].dataset.std == (0.5, 0.5, 0.5)
    assert key_of(specs[0]) != key_of(specs[1])
    assert halved.dataset("digits").spec == specs[1].dataset


def test_batch_norms_are_recalibrated_before_the_pruned_network_is_evaluated(tmp_path, model):
    """`norm_images` changes the statistics of the pruned network before any fine-tuning."""
    variances = []
    for images in (0, 40):
        fine_tune = {"epochs": 0, "norm_images": images}
        grid = grid_of(model, ratios="0.75", fine_tune=fine_tune)
        made = make_all(grid, open_workspace(tmp_path))[-1]
        variances.append(made.weights()["norm.running_var"])
    assert variances[0].shape == variances[1].shape
    assert not torch.equal(*variances)


def test_epochs_of_a_step_follow_the_grid(tmp_path, model):
    """A step has the epochs that `epochs_by_ratio` gives its ratio."""
    grid = grid_of(model, epochs_by_ratio=[[0.5, 0], [0.75, 1]])
    losses = [len(made.metrics.train_losses) for made in make_all(grid, open_workspace(tmp_path))]
    assert losses == [2, 2, 0, 1]


def test_a_step_without_epochs_is_evaluated_once(tmp_path, model, monkeypatch):
    """What was not trained after pruning is not evaluated again: its two accuracies are one."""
    evaluated = []
    evaluate = pipeline.evaluate_network
    monkeypatch.setattr(pipeline, "evaluate_network", lambda *a: evaluated.append(a) or evaluate(*a))
    step = make_all(grid_of(model, ratios="0.5", epochs_by_ratio=[[0.5, 0]]), open_workspace(tmp_path))[-1]
    assert len(evaluated) == 2  # dense, and pruned
    assert step.metrics.accuracy == step.metrics.accuracy_pruned


def test_a_checkpoint_is_made_on_the_grids_threads_however_it_is_started(tmp_path, model):
    """`prepare` trains on as many threads as the suites do: the most that the grid names."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        grid = grid_of(model, ratios="0.5", threads=1)
        assert {c.metrics.train_threads for c in make_all(grid, open_workspace(tmp_path))} == {1}
        torch.set_num_threads(1)
        grid = grid_of(model, ratios="0.5", threads=[1, 2])
        assert make_all(grid, open_workspace(tmp_path / "b"))[-1].metrics.train_threads == 2
    finally:
        torch.set_num_threads(before)
