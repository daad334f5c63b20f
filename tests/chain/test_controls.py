"""Controls: the pruned network with new weights, a uniformly thin one, and the dense one fine-tuned on."""

from itertools import pairwise

import pytest
import torch

from pruning_core.chain import training as chain_training
from pruning_core.chain.cutting import cut_network
from pruning_core.chain.networks import build_network, example_of, load_network
from pruning_core.chain.specs import train_spec_of
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.spec import key_of
from pruning_core.errors import OptionError, UnknownNameError
from pruning_core.measure.fixed_images import check_answer
from pruning_core.pruning import METHODS, find_method
from pruning_core.suites.forecast import announce
from pruning_core.suites.validate import validate_grid
from tests.helpers.factories import write_user_model
from tests.helpers.small_runs import grid_of, make_all, open_workspace


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's small network and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_user_model(tmp_path, "control_nets")


def made(model, folder, method, **fields):
    """Make every checkpoint of a grid of methods; return them by method and ratio."""
    grid = grid_of(model, method=method, **fields)
    checkpoints = make_all(grid, open_workspace(folder))
    return {(v.method, v.ratio): c for v, c in zip(variants(grid), checkpoints, strict=True)}


def test_scratch_has_the_shape_of_its_method_and_other_weights(tmp_path, model):
    """Widths of lamp's networks, which are not uniform; no weight is one of theirs."""
    found = made(model, tmp_path, "lamp,scratch:lamp", scope="global", ratios="0.25,0.5")
    for ratio in (0.25, 0.5):
        pruned, control = found["lamp", ratio], found["scratch:lamp", ratio]
        assert control.plan.widths == pruned.plan.widths
        assert control.metrics.macs == pruned.metrics.macs
        theirs = {name: w for name, w in pruned.weights().items() if w.dim() > 1}
        assert not any(torch.allclose(control.weights()[name], w, atol=1e-3) for name, w in theirs.items())


@pytest.mark.parametrize("schedule", ["iterative", "one-shot"])
def test_what_has_new_weights_gets_all_epochs_of_the_chain(tmp_path, model, schedule):
    """Those of the dense model, and of each step up to the ratio."""
    grid = grid_of(model, method="magnitude,scratch:magnitude,thin", schedule=schedule)
    workspace = open_workspace(tmp_path)
    for variant in variants(grid):
        specs = chain_specs(variant, grid, workspace)
        assert all(child.parent == key_of(parent) for parent, child in pairwise(specs))
        steps = 1 if schedule == "one-shot" else round(variant.ratio / 0.25)
        if variant.method in ("scratch:magnitude", "thin"):
            assert train_spec_of(specs[-1]).epochs == 2 + 2 * steps
            assert train_spec_of(specs[-1]).learning_rate == grid.train.learning_rate
            assert specs[-1].fine_tune.distill_weight == 0


def test_thin_is_uniform_whatever_the_scope(tmp_path, model):
    """With global scope each layer still loses the same fraction: the widths of local magnitude."""
    thin = made(model, tmp_path, "thin", scope="global", ratios="0.5")["thin", 0.5]
    local = made(model, tmp_path, "magnitude", ratios="0.5", schedule="one-shot")["magnitude", 0.5]
    assert thin.plan.widths == local.plan.widths
    assert thin.plan.proof == "exact"


def test_dense_plus_removes_nothing_and_is_trained_on(tmp_path, model):
    """As many steps as a chain has; they are no exhausted ones."""
    found = made(model, tmp_path, "dense+", ratios="0.25,0.5")
    dense = found["dense", 0.0]
    for ratio in (0.25, 0.5):
        on = found["dense+", ratio]
        assert on.metrics.macs == dense.metrics.macs
        assert not on.metrics.exhausted
        assert len(on.metrics.train_losses) == 2
    assert found["dense+", 0.25].key != found["dense+", 0.5].key


def test_dense_plus_is_made_once_where_each_ratio_is_one_step(tmp_path, model, monkeypatch):
    """With a one-shot schedule every ratio has the same further epochs."""
    trainings, train = [], chain_training.train
    monkeypatch.setattr(
        chain_training, "train", lambda *args, **kwargs: (trainings.append(1), train(*args, **kwargs))[1]
    )
    found = made(model, tmp_path, "dense+", ratios="0.25,0.5", schedule="one-shot")
    assert found["dense+", 0.25].key == found["dense+", 0.5].key
    assert len(trainings) == 2


def test_new_weights_vary_as_much_as_those_of_a_network_of_that_width(tmp_path, model):
    """Where inputs were cut a weight is scaled, so that outputs vary as the dense network's."""
    grid = grid_of(model, method="thin", ratios="0.75", train={"epochs": 0}, fine_tune={"epochs": 0})
    with pytest.raises(OptionError, match="this one has none"):
        make_all(grid, open_workspace(tmp_path))
    found = made(model, tmp_path, "thin", ratios="0.75")
    workspace, grid = open_workspace(tmp_path), grid_of(model, method="thin", ratios="0.75")
    variant = list(variants(grid))[-1]
    spec = chain_specs(variant, grid, workspace)[-1]
    cut = cut_network(spec, found["dense", 0.0], workspace.task(variant))
    dense, narrow = build_network(spec, 1), dict(cut.network.named_parameters())
    scaled = 0
    for name, weight in dense.named_parameters():
        if weight.dim() > 1 and narrow[name].shape[1:] != weight.shape[1:]:
            inputs = [tensor[0].numel() for tensor in (weight, narrow[name])]
            expected = weight.detach().std() * (inputs[0] / inputs[1]) ** 0.5
            assert float(narrow[name].detach().std()) == pytest.approx(float(expected), rel=0.25)
            scaled += 1
    assert scaled


def test_a_control_loads_and_answers_as_it_did(tmp_path, model):
    """Without what made it."""
    found = made(model, tmp_path, "magnitude,scratch:magnitude,thin,dense+", ratios="0.5")
    for checkpoint in found.values():
        loaded = load_network(checkpoint)
        check_answer(loaded, example_of(checkpoint.spec), checkpoint.metrics.answers, "other answers")
        stored = checkpoint.weights()
        assert all(torch.equal(weight, stored[name]) for name, weight in loaded.named_parameters())


def test_controls_are_forecast(tmp_path, model, capsys):
    """Before the first training, as methods are."""
    grid, workspace = (
        grid_of(model, method="random,scratch:taylor,thin,dense+", ratios="0.5"),
        open_workspace(tmp_path),
    )
    announce(list(variants(grid)), grid, workspace)
    assert "making 6 checkpoints takes about" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scratch", "scratch:magnitude"),
        ("scratch:", "known"),
        ("scratch:magnitud", "Did you mean 'magnitude'"),
        ("scratch:thin", "no pruning method 'thin'"),
        ("scratch:unstructured-l1", "keeps every width"),
        ("dense +", "dense+"),
    ],
)
def test_a_control_of_nothing_is_refused(name, said):
    """In one line and the names there are."""
    with pytest.raises(OptionError, match=said.replace("+", r"\+")) as error:
        validate_grid(grid_of("resnet18", method=[name]))
    assert isinstance(error.value, UnknownNameError) or "\n" not in str(error.value)


def test_every_method_that_cuts_has_a_control_of_its_own():
    """Of the same scopes, and needing the same data."""
    for name, method in METHODS.items():
        if not method.masks:
            control = find_method(f"scratch:{name}")
            assert (control.name, control.scopes) == (f"scratch:{name}", method.scopes)
            assert control.uses_data == method.uses_data


def test_each_seed_is_a_replicate(tmp_path, model):
    """All of a grid is made with each seed; ids say which; keys are those of a grid of that seed."""
    workspace = open_workspace(tmp_path)
    grid = grid_of(model, seeds="3,5", ratios="0.5", method="random,dense+")
    found = list(variants(grid))
    assert [v.seed for v in found] == [3, 3, 3, 5, 5, 5]
    assert len({v.id for v in found}) == 6
    assert found[1].id.endswith("-random-0.5-s3")
    alone = grid_of(model, ratios="0.5", method="random,dense+", **{"train.seed": 5, "fine_tune.seed": 5})
    assert [key_of(chain_specs(v, grid, workspace)[-1]) for v in found[3:]] == [
        key_of(chain_specs(v, alone, workspace)[-1]) for v in variants(alone)
    ]
