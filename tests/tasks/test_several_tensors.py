"""Networks of several inputs and outputs are pruned, proved, trained, stored, loaded, and run on backends."""

import pytest
import torch

from pruning_core.backends import load_executable
from pruning_core.backends.base import missing_packages
from pruning_core.chain import networks
from pruning_core.chain.networks import load_network
from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.errors import ModelError
from pruning_core.models.inputs import join_rows, run, take_rows, tensors_of
from pruning_core.models.inspect import find_heads
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.tasks.user import open_task
from pruning_core.workspace import Workspace
from tests.helpers.own_task import PARTS

TRAIN = {"epochs": 2, "learning_rate": 0.02, "precision": "fp32"}


def chain(module, folder, **fields):
    """Make the checkpoints of a task, dense and 0.5."""
    grid = make_grid(
        {"task": f"{module}:Sums", "model": f"{module}:build", "ratios": "0.5", "train": TRAIN, **fields}
    )
    workspace = Workspace(Store(folder / "store"), ProgressDisplay())
    return [ensure_variant(variant, grid, workspace) for variant in variants(grid)]


@pytest.mark.parametrize("kind", PARTS)
def test_a_chain_of_any_kind(write, tmp_path, monkeypatch, kind):
    """Tuples, lists and dicts: the cut is exact, both heads keep their width, loading gives the answers."""
    module = write(kind)
    fine_tune = {**TRAIN, "norm_images": 24}
    dense, pruned = chain(module, tmp_path, fine_tune=fine_tune)
    assert pruned.metrics.proof == "exact"
    assert pruned.plan.kept_whole == ()
    assert pruned.metrics.macs < 0.5 * dense.metrics.macs
    assert (pruned.metrics.score_name, pruned.metrics.score_better) == ("mean absolute error", "lower")
    assert pruned.metrics.score_n == 16
    assert pruned.metrics.accuracy is None
    assert "accuracy" not in pruned.metrics.model_dump()
    network = load_network(pruned)
    assert (network.one.out_features, network.two.out_features, network.both.out_features) == (1, 3, 6)
    again = chain(module, tmp_path, fine_tune=fine_tune)
    assert [c.metrics.created for c in again] == [dense.metrics.created, pruned.metrics.created]
    monkeypatch.setattr(networks, "_answered", set())
    altered = pruned.metrics.model_copy(update={"answers": tuple(2.0 for _ in pruned.metrics.answers)})
    object.__setattr__(pruned, "metrics", altered)
    with pytest.raises(ModelError, match="does not answer as it did"):
        load_network(pruned)


@pytest.mark.parametrize(
    ("method", "scope"), [("unstructured-l1", "local"), ("random", "local"), ("lamp", "global")]
)
def test_other_methods(write, tmp_path, method, scope):
    """Masks and other ranks do as with images."""
    dense, pruned = chain(write("dict"), tmp_path, method=method, scope=scope, fine_tune=TRAIN)
    assert pruned.metrics.sparsity > 0.4 or pruned.metrics.params < dense.metrics.params


def test_training_is_resumed_and_repeats(write, tmp_path):
    """Two trainings of one key give the same weights, to the last bit."""
    module = write()
    first, second = (chain(module, tmp_path / name, fine_tune=TRAIN)[-1] for name in ("a", "b"))
    assert first.key == second.key
    for name, tensor in first.weights().items():
        assert torch.equal(tensor, second.weights()[name])


def test_the_heads_are_those_of_all_outputs(write):
    """Each output is made by a layer of its own, and all of these keep their outputs."""
    module = write()
    task = open_task(f"{module}:Sums")
    assert set(find_heads(task.build(f"{module}:build"), task.one())) == {"one", "two"}


BACKENDS = [
    *(("eager", "fp32"), ("eager", "bf16"), ("compile", "fp32")),
    *((name, precision) for name in ("onnxruntime", "openvino") for precision in ("fp32", "int8")),
]


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize(("backend", "precision"), BACKENDS)
def test_a_backend_gives_what_the_network_gives(write, kind, backend, precision):
    """Outputs come back in their structure and order, for any number of examples, timed or not."""
    packages = {"onnxruntime": ["onnx", "onnxruntime"], "openvino": ["onnx", "openvino"]}.get(backend, [])
    if reason := missing_packages(*packages):
        pytest.skip(reason)
    if backend == "compile" and kind == "list":
        pytest.skip("as a tuple, and slow")
    module = write(kind)
    task = open_task(f"{module}:Sums")
    network = task.build(f"{module}:build", seed=1).eval()
    calibration = join_rows(list(task.training_inputs(32, torch.Generator().manual_seed(0))))
    executable = load_executable(backend, network, task.one(), precision, "cpu", 1, calibration=calibration)
    tolerance = {"fp32": 1e-4, "bf16": 0.1, "int8": 0.3}[precision]
    for n in (4, 1, 3):
        inputs = take_rows(calibration, slice(0, n))
        with torch.no_grad():
            expected = run(network, inputs)
        for found in (executable.predict(inputs), executable.bind(inputs)()):
            assert type(found) is type(expected)
            if kind == "dict":
                assert list(found) == list(expected)
            for ours, its in zip(tensors_of(found), tensors_of(expected), strict=True):
                assert ours.shape == its.shape
                torch.testing.assert_close(ours.float(), its, rtol=0, atol=tolerance * float(its.abs().max()))


def test_an_output_that_is_cut_shows_in_the_proof(write):
    """A cut that changes the second output alone is found: all outputs are compared."""
    from pruning_core.pruning.proof import _max_difference

    one, two = torch.randn(4, 3), torch.randn(4, 2)
    assert _max_difference([one, two], [one, two]) == 0
    assert _max_difference([one, two], [one, two + 1]) > 0.1
    assert _max_difference([one, two], [one, two[:, :1]]) == float("inf")
    assert _max_difference([one, two], [one, two * float("nan")]) == float("inf")
    assert _max_difference([two * float("nan"), one], [one, one]) == float("inf")
    constant = torch.ones(4, 2)
    assert _max_difference([one, constant], [one, constant]) == 0
    assert _max_difference([one, constant], [one, constant + 1]) == float("inf")
    assert _max_difference([constant], [constant]) == float("inf")
