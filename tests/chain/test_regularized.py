"""The stage before the cut in a chain: one checkpoint for all ratios, resumed, counted, refused in a line."""

import io
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from pruning_core.api import prune
from pruning_core.chain import training as chain_training
from pruning_core.chain.networks import evaluate_network, load_network
from pruning_core.chain.specs import epochs_of, train_spec_of, training_label
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.spec import RegularizedSpec, key_of
from pruning_core.config.stages import stage_words
from pruning_core.errors import OptionError, PruningError, UnknownNameError
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.store.checkpoint import describe
from pruning_core.suites.cell_fields import epoch_fields
from pruning_core.suites.forecast import announce
from pruning_core.suites.model_cache import ModelCache
from pruning_core.suites.validate import validate_grid
from pruning_core.tasks.classification import Classification
from pruning_core.workspace import Workspace
from tests.helpers.factories import Tiny, write_user_model
from tests.helpers.own_task import write_task
from tests.helpers.small_runs import grid_of, make_all, open_workspace

PREPARED = ["slimming", "group-norm", "growing-reg"]
PHASE = {"epochs": 3, "learning_rate": 0.02}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's small network and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_user_model(tmp_path, "regularized_nets")


def specs_of(grid, workspace):
    """Return the specs of the chain to the last variant of a grid."""
    return chain_specs(list(variants(grid))[-1], grid, workspace)


@pytest.mark.parametrize("method", PREPARED)
def test_it_stands_between_dense_and_the_first_cut(tmp_path, model, method):
    """Each stage is the parent of the next; a label says what is done; epochs of all of them are counted."""
    grid = grid_of(model, method=method, regularize=PHASE)
    specs = specs_of(grid, open_workspace(tmp_path))
    assert [spec.stage for spec in specs] == ["dense", "regularized", "pruned", "pruned", "pruned"]
    assert all(child.parent == key_of(parent) for parent, child in pairwise(specs))
    assert training_label(specs[1]) == f"regularize {model} on digits for {method}, 3 epochs"
    assert stage_words(specs[1]) == f"{method}, uncut"
    assert f"digits, {method}, uncut)" in describe(key_of(specs[1]), specs[1])
    assert epochs_of(specs) == 2 + 3 + 3 * 2


def test_one_serves_all_ratios_schedules_and_scopes(tmp_path, model):
    """What does not decide which channels are pushed does not decide its key; what does, does."""
    workspace = open_workspace(tmp_path)

    def key(**fields):
        grid = grid_of(model, **{"method": "slimming", "regularize": PHASE, **fields})
        return key_of(specs_of(grid, workspace)[1])

    alike = [
        {},
        {"ratios": "0.4"},
        {"schedule": "one-shot"},
        {"scope": "global"},
        {"epochs_by_ratio": [[0, 1]]},
    ]
    other = [
        *({"protect": "inner"}, {"ratio_of": "inner=0"}, {"round_to": 8}, {"method": "group-norm"}),
        *({"regularize": {**PHASE, **change}} for change in ({"strength": 0.5}, {"epochs": 4})),
        *({"train": {"epochs": 1}}, {"regularize": {**PHASE, "learning_rate": 0.01}}),
    ]
    assert len({key(**fields) for fields in alike}) == 1
    assert len({key(**fields) for fields in [{}, *other]}) == 1 + len(other)


def test_only_a_penalty_that_grows_has_growth_in_its_key(tmp_path, model):
    """The key `growth` of a grid changes nothing of the methods that do not grow."""
    workspace = open_workspace(tmp_path)

    def key(method, growth):
        grid = grid_of(model, method=method, regularize={"growth": growth})
        return key_of(specs_of(grid, workspace)[1])

    for method in PREPARED:
        assert (key(method, 1.0) != key(method, 2.0)) == (method == "growing-reg")


def test_other_methods_have_no_such_stage(tmp_path, model):
    """The section `[regularize]` does not touch their keys."""
    workspace = open_workspace(tmp_path)
    keys = [
        [key_of(spec) for spec in specs_of(grid_of(model, **fields), workspace)]
        for fields in ({}, {"regularize": {"strength": 0.3}})
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 4


def test_it_is_trained_like_dense_but_for_what_the_section_says(tmp_path, model):
    """Seed, batches and precision are those of `[train]`; always by SGD, which Muon would undo."""
    train = {"epochs": 2, "batch_size": 16, "precision": "fp32", "seed": 7, "optimizer": "muon"}
    grid = grid_of(model, method="slimming", regularize=PHASE, train=train)
    how = train_spec_of(specs_of(grid, open_workspace(tmp_path))[1])
    assert (how.seed, how.batch_size, how.precision, how.optimizer) == (7, 16, "fp32", "sgd")
    assert (how.epochs, how.learning_rate, how.weight_decay) == (3, 0.02, 0.0)


@pytest.mark.parametrize("method", PREPARED)
def test_its_checkpoint_is_like_any_other(tmp_path, model, method):
    """Made once, found again, with the score of the uncut network; what is cut of it is proved."""
    grid = grid_of(model, method=method, ratios="0.25,0.5", regularize=PHASE)
    workspace = open_workspace(tmp_path)
    made = make_all(grid, workspace)
    specs = specs_of(grid, workspace)
    checkpoint = open_workspace(tmp_path).find(specs[1])
    metrics = checkpoint.metrics
    assert len(metrics.train_losses) == 3
    assert checkpoint.plan.widths == checkpoint.plan.dense_widths
    task = Classification(workspace.dataset("digits"))
    assert evaluate_network(load_network(checkpoint), task, specs[1].train).accuracy == metrics.accuracy
    assert metrics.accuracy == metrics.accuracy_pruned
    assert [c.plan.proof for c in made[1:]] == ["exact", "exact"]
    assert len(list(workspace.store.stored_keys())) == 4
    assert [c.key for c in make_all(grid, open_workspace(tmp_path))] == [c.key for c in made]


def test_a_second_ratio_does_not_train_it_again(tmp_path, model, monkeypatch):
    """With another ratio and another schedule one training is added: that of the new step."""
    calls = []
    train = chain_training.train
    monkeypatch.setattr(chain_training, "train", lambda *a, **k: calls.append(a[2]) or train(*a, **k))
    make_all(grid_of(model, method="slimming", ratios="0.5", regularize=PHASE), open_workspace(tmp_path))
    assert len(calls) == 3
    more = grid_of(model, method="slimming", ratios="0.75", schedule="one-shot", regularize=PHASE)
    make_all(more, open_workspace(tmp_path))
    assert len(calls) == 4


class StandInError(Exception):
    """Stands for a process that ends."""


@pytest.mark.parametrize("method", ["slimming", "growing-reg"])
def test_interrupted_after_every_epoch_gives_the_same_weights(tmp_path, model, monkeypatch, method):
    """However often it is interrupted, in the stage too, a chain ends as an undisturbed one."""
    grid = grid_of(model, ratios="0.5", method=method, regularize=PHASE)
    undisturbed = make_all(grid, open_workspace(tmp_path / "a"))
    train = chain_training.train
    interruptions = []

    def interrupting(network, dataset, spec, *, on_epoch, **others):
        def save_then_die(state):
            on_epoch(state)
            interruptions.append(spec.epochs)
            raise StandInError

        return train(network, dataset, spec, on_epoch=save_then_die, **others)

    monkeypatch.setattr(chain_training, "train", interrupting)
    monkeypatch.setattr(chain_training, "SAVE_EVERY_S", 0.0)
    resumed = None
    while resumed is None:
        with suppress(StandInError):
            resumed = make_all(grid, open_workspace(tmp_path / "b"))
    assert interruptions == [2, 3, 3, 2]
    for first, second in zip(undisturbed, resumed, strict=True):
        assert first.key == second.key
        weights = second.weights()
        assert all(torch.equal(weights[name], tensor) for name, tensor in first.weights().items())


def test_the_record_counts_the_epochs_of_the_chain(tmp_path, model):
    """Dense, the stage, and each step that was not exhausted; without a stage what it was."""
    for method, stage in (("slimming", 3), ("magnitude", 0)):
        grid = grid_of(model, method=method, ratios="0.5,0.9,0.92", regularize=PHASE)
        workspace = open_workspace(tmp_path)
        models = ModelCache(grid, workspace)
        *_, dense, half, most, exhausted = variants(grid)
        assert [c.metrics.exhausted for c in make_all(grid, workspace)] == [False, False, False, True]
        assert epoch_fields(models, dense) == {"epochs": 2, "epochs_spent": 2}
        assert epoch_fields(models, half) == {"epochs": 2, "epochs_spent": 4 + stage}
        for variant in (most, exhausted):
            assert epoch_fields(models, variant) == {"epochs": 2, "epochs_spent": 6 + stage}
        again = epoch_fields(models, replace(half, method=f"scratch:{method}"))
        assert again == {"epochs": 4 + stage, "epochs_spent": 4 + stage}


def watched(folder, grid):
    """Open a workspace that says how long a grid takes before it trains; and what it says."""
    workspace, stream = open_workspace(folder), io.StringIO()
    workspace.display = ProgressDisplay(stream)
    workspace.before_first_training = partial(announce, list(variants(grid)), grid, workspace)
    return workspace, stream


def test_the_forecast_counts_it(tmp_path, model):
    """It is one of the checkpoints that are said to be made."""
    grid = grid_of(model, method="growing-reg", ratios="0.5", regularize=PHASE)
    workspace, stream = watched(tmp_path, grid)
    make_all(grid, workspace)
    assert stream.getvalue().startswith("making 3 checkpoints takes about ")


def test_slimming_without_batch_norms_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    """In one line; nothing is stored. Another method needs none."""
    body = (
        "from torch import nn\n\n\ndef build(classes, channels):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))\n"
    )
    (tmp_path / "no_norms.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    for method in ("slimming", "group-norm"):
        grid = grid_of("no_norms:build", method=method, ratios="0.5", regularize=PHASE)
        workspace, _ = watched(tmp_path / method, grid)
        if method == "slimming":
            with pytest.raises(
                PruningError, match="this network has no batch norm; take group-norm"
            ) as caught:
                make_all(grid, workspace)
            assert "\n" not in str(caught.value)
            assert list(workspace.store.stored_keys()) == []
        else:
            assert len(make_all(grid, workspace)) == 2


def test_weights_that_are_computed_become_plain_before_it(tmp_path, monkeypatch):
    """Weight norm: what is pushed is what is cut later, and the checkpoint loads as any other."""
    body = (
        "from torch import nn\nfrom torch.nn.utils.parametrizations import weight_norm\n\n\n"
        "def build(classes, channels):\n"
        "    return nn.Sequential(weight_norm(nn.Conv2d(channels, 8, 3, stride=2)), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))\n"
    )
    (tmp_path / "computed.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    grid = grid_of("computed:build", method="group-norm", ratios="0.5", regularize=PHASE)
    workspace = open_workspace(tmp_path)
    pruned = make_all(grid, workspace)[-1]
    uncut = workspace.find(specs_of(grid, workspace)[1])
    assert uncut.plan.made_plain == pruned.plan.made_plain == ("0",)
    assert load_network(pruned)[0].weight.shape[0] == 4


def test_a_task_of_ones_own_is_regularised(tmp_path, monkeypatch):
    """Two inputs, a loss of the user's: its network is trained on, cut, and scored by the task."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = write_task(tmp_path)
    grid = make_grid(
        {
            "train": (train := {"epochs": 1, "learning_rate": 0.01, "precision": "fp32"}),
            "fine_tune": train,
            "task": f"{module}:Sums",
            "model": f"{module}:build",
            "method": "growing-reg",
            "ratios": "0.5",
            "regularize": {"epochs": 2},
        }
    )
    workspace = Workspace(Store(tmp_path / "store"), ProgressDisplay())
    pruned = [ensure_variant(variant, grid, workspace) for variant in variants(grid)][-1]
    uncut = workspace.find(specs_of(grid, workspace)[1])
    assert isinstance(uncut.spec, RegularizedSpec)
    assert uncut.metrics.score is not None
    assert pruned.plan.proof == "exact"
    sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("regularize", "kind", "said"),
    [
        (
            {"strength": {"magnitude": 0.1}},
            OptionError,
            "magnitude cuts the dense network as it is, .* slimming,",
        ),
        ({"strength": {"sliming": 0.1}}, UnknownNameError, "Did you mean 'slimming'"),
    ],
)
def test_strengths_of_what_is_not_prepared_are_refused(regularize, kind, said):
    """A strength that nothing uses is a mistake."""
    with pytest.raises(kind, match=said):
        validate_grid(make_grid({"regularize": regularize}))


@pytest.mark.parametrize("method", PREPARED)
def test_a_cut_in_memory_alone_is_refused(method):
    """`prune()` does not train: it says so, and which method ranks alike."""
    with pytest.raises(
        OptionError, match=f"{method} trains the network on .* take (bn-scale|magnitude), which"
    ):
        prune(nn.Sequential(Tiny()), torch.zeros(1, 3, 32, 32), 0.5, method)
