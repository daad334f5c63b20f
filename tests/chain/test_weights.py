"""A dense model that comes with its weights is evaluated, and not trained; what is pruned goes on from it."""

import io

import pytest
import safetensors.torch
import torch

from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.spec import key_of
from pruning_core.errors import ModelError
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.suites.forecast import announce
from pruning_core.workspace import Workspace
from tests.helpers.factories import Tiny, bright_images, write_user_model
from tests.helpers.small_runs import grid_of

AS_IT_IS = {"epochs": 0, "norm_images": 40, "precision": "fp32"}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's network and weights for it; return its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(7)
    state = Tiny().state_dict()
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, "best.pt")
    safetensors.torch.save_file(state, "same.safetensors")
    torch.manual_seed(8)
    torch.save(Tiny().state_dict(), "other.pt")
    return write_user_model(tmp_path, "weighted_nets")


@pytest.fixture
def workspace(tmp_path):
    """Open a workspace whose messages can be read."""
    workspace = Workspace(Store(tmp_path / "store"), ProgressDisplay(io.StringIO()))
    workspace._datasets["digits"] = bright_images()
    return workspace


def specs_of(grid, workspace):
    """Return the specs of the last variant."""
    return chain_specs(list(variants(grid))[-1], grid, workspace)


def keys_of(grid, workspace):
    """Return the keys of a chain."""
    return [key_of(spec) for spec in specs_of(grid, workspace)]


def test_the_key_is_of_the_content_and_of_nothing_without_effect(model, workspace):
    """Path, format and how a dense model would be trained do not count; its numbers and the device do."""
    first = keys_of(grid_of(model, weights="best.pt"), workspace)
    train = {"epochs": 7, "batch_size": 3, "seed": 5, "learning_rate": 0.5, "precision": "bf16"}
    fine_tune = grid_of(model).fine_tune
    assert (
        keys_of(grid_of(model, weights="same.safetensors", train=train, fine_tune=fine_tune), workspace)
        == first
    )
    assert keys_of(grid_of(model, weights=f"{model}=best.pt"), workspace) == first
    for fields in (
        {"weights": "other.pt"},
        {},
        {"weights": "best.pt", "new_head": True},
        {"weights": "best.pt", "train": {"device": "cpu"}, "fine_tune": fine_tune},
    ):
        assert not set(first) & set(keys_of(grid_of(model, **fields), workspace)), fields


def test_with_a_new_head_the_key_is_also_of_the_training(model, workspace):
    """The network is then trained, from its weights on."""
    grids = [
        grid_of(model, weights="best.pt", new_head=True, train={"epochs": 2, "seed": seed}, fine_tune={})
        for seed in (0, 1)
    ]
    dense = [specs_of(grid, workspace)[0] for grid in grids]
    assert key_of(dense[0]) != key_of(dense[1])
    assert dense[0].train == grids[0].train


def test_a_chain_goes_on_from_the_weights_without_any_training(model, workspace):
    """Dense is as in the file; what is pruned has its norms recalibrated and nothing else trained."""
    grid = grid_of(model, weights="best.pt", ratios="0.5", fine_tune=AS_IT_IS)
    wanted = list(variants(grid))
    workspace.before_first_training = lambda: announce(wanted, grid, workspace)
    dense, pruned = [ensure_variant(variant, grid, workspace) for variant in wanted]
    expected = safetensors.torch.load_file("same.safetensors")
    assert all(torch.equal(dense.weights()[name], tensor) for name, tensor in expected.items())
    for metrics in (dense.metrics, pruned.metrics):
        assert (metrics.train_s, metrics.train_losses, metrics.train_precision) == (0.0, (), "")
        assert metrics.accuracy == metrics.accuracy_pruned
    weights = pruned.weights()
    kept = [
        row
        for row in expected["stem.weight"]
        if any(torch.equal(row, other) for other in weights["stem.weight"])
    ]
    assert weights["stem.weight"].shape[0] == len(kept) == 8  # half of the filters, as they were
    means = expected["norm.running_mean"]
    assert not means.any()  # it was never trained
    assert weights["norm.running_mean"].all()
    said = workspace.display._stream.getvalue()
    assert "making 2 checkpoints takes about" in said
    assert "train " not in said
    assert all(
        ensure_variant(variant, grid, workspace).key == c.key
        for variant, c in zip(wanted, (dense, pruned), strict=True)
    )


def test_steps_are_fine_tuned_by_the_recipe(model, workspace):
    """Only the dense model is taken as it is."""
    grid = grid_of(model, weights="best.pt", ratios="0.5")
    dense, pruned = [ensure_variant(variant, grid, workspace) for variant in variants(grid)]
    assert dense.metrics.train_losses == ()
    assert len(pruned.metrics.train_losses) == 2


def test_a_new_head_is_trained_from_the_weights_on(model, workspace):
    """The network keeps what it has learnt elsewhere: before the first step only the head is of the seed."""
    train = {
        "epochs": 1,
        "learning_rate": 1e-30,
        "batch_size": 16,
        "precision": "fp32",
        "lr_schedule": "constant",
    }
    grid = grid_of(model, weights="best.pt", new_head=True, ratios="0.5", train=train)
    dense = ensure_variant(next(variants(grid)), grid, workspace)
    expected, found = safetensors.torch.load_file("same.safetensors"), dense.weights()
    assert torch.allclose(found["inner.weight"], expected["inner.weight"])
    assert not torch.allclose(found["fc.weight"], expected["fc.weight"])
    assert len(dense.metrics.train_losses) == 1


def test_a_file_that_changes_during_a_run_is_refused(model, workspace):
    """The key would be that of other weights."""
    grid = grid_of(model, weights="best.pt", ratios="0.5", fine_tune=AS_IT_IS)
    specs_of(grid, workspace)
    torch.save(torch.load("other.pt", weights_only=True), "best.pt")
    with pytest.raises(
        ModelError, match=r"weights best\.pt have changed since this run began; nothing was stored"
    ):
        ensure_variant(next(variants(grid)), grid, workspace)
    assert not list(workspace.store.stored_keys())


def test_what_is_stored_is_found_by_the_content_of_another_file(model, workspace, tmp_path):
    """A second run, from a copy of the weights elsewhere, makes nothing."""
    grid = grid_of(model, weights="best.pt", ratios="0.5", fine_tune=AS_IT_IS)
    keys = [ensure_variant(variant, grid, workspace).key for variant in variants(grid)]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "best.pt").rename(tmp_path / "elsewhere" / "copy.pth")
    again = Workspace(Store(tmp_path / "store"), ProgressDisplay(io.StringIO()))
    again._datasets["digits"] = bright_images()
    again.announce_training = None  # to call it would fail
    grid = grid_of(model, weights="elsewhere/copy.pth", ratios="0.5", fine_tune=AS_IT_IS)
    assert [ensure_variant(variant, grid, again).key for variant in variants(grid)] == keys


def test_notes_on_a_file_are_said_once(model, workspace):
    """Of several state dicts one is taken; the line is not repeated for every checkpoint."""
    state = safetensors.torch.load_file("same.safetensors")
    torch.save({"model": state, "ema": {name: tensor.half() for name, tensor in state.items()}}, "two.pt")
    grid = grid_of(model, weights="two.pt", ratios="0.25,0.5", fine_tune=AS_IT_IS)
    for variant in variants(grid):
        ensure_variant(variant, grid, workspace)
    said = workspace.display._stream.getvalue()
    assert said.count("weights two.pt: the weights under 'ema' were taken, not those under 'model'") == 1
    assert said.count("weights two.pt: 16 tensors of float16 turned into the network's type") == 1


def test_weights_for_images_of_another_range_get_a_note(model, workspace, monkeypatch):
    """Published weights tell how images were normalised; where it is done otherwise here, a line says so."""
    import pruning_core.chain.weights as chain_weights

    read = chain_weights.read_weights

    def read_with(expected):
        from dataclasses import replace

        return lambda *arguments, **options: replace(read(*arguments, **options), normalization=expected)

    images = bright_images().spec
    for source, mean, found in (("best.pt", (0.4, 0.4, 0.4), 1), ("other.pt", images.mean, 1)):
        monkeypatch.setattr(chain_weights, "read_weights", read_with((mean, images.std)))
        specs_of(grid_of(model, weights=source), workspace)
        said = workspace.display._stream.getvalue()
        assert said.count("were trained on images normalised by mean 0.4, 0.4, 0.4") == found


def test_a_network_that_cannot_be_trained_comes_through(model, workspace, tmp_path):
    """Where nothing is trained nothing needs a gradient, not even the forecast."""
    source = (tmp_path / "weighted_nets.py").read_text()
    frozen = (
        source
        + "\n\ndef frozen(classes, channels):\n    return Tiny(classes, channels).requires_grad_(False)\n"
    )
    (tmp_path / "untrainable_nets.py").write_text(frozen)
    grid = grid_of("untrainable_nets:frozen", weights="best.pt", ratios="0.5", fine_tune=AS_IT_IS)
    wanted = list(variants(grid))
    workspace.before_first_training = lambda: announce(wanted, grid, workspace)
    assert [ensure_variant(variant, grid, workspace).metrics.train_s for variant in wanted] == [0.0, 0.0]
