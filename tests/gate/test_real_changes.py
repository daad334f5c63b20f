"""The gate before real changes: networks that answer worse, and networks that keep one channel more."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pruning_core.chain.networks import load_network
from pruning_core.config.cells import accuracy_cells
from pruning_core.config.grid import make_grid
from pruning_core.config.spec import MethodSpec
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.measure.accuracy import evaluate
from pruning_core.models import build_model
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning import search
from pruning_core.pruning.choice import cut_to
from pruning_core.pruning.cost import count_cost, serialised_size_bytes
from pruning_core.pruning.cutting import Cut
from pruning_core.pruning.groups import Group
from pruning_core.pruning.step import prune
from pruning_core.records.run import Run
from pruning_core.store import Store
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.suites import model_cache
from pruning_core.suites.harness import Harness
from pruning_core.workspace import Workspace
from tests.helpers.factories import write_user_model
from tests.helpers.gate_changes import COST, judge, setting, small_run

SEEDS = range(20)
EXAMPLE = torch.zeros(1, 3, 32, 32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A small network, trained on digits, and pruned to a half."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        model = write_user_model(folder, "real_nets")
        train = {"epochs": 6, "batch_size": 32, "precision": "fp32"}
        grid = make_grid({"model": model, "ratios": "0.5", "train": train, "fine_tune": train, "threads": 1})
        yield open_harness(grid, folder)


def open_harness(grid, folder: Path) -> Harness:
    """Open a harness over the store, as a new run would."""
    return Harness(grid, Workspace(Store(folder / "store"), ProgressDisplay()))


def accuracy_run(harness: Harness) -> Run:
    """Evaluate every cell of the grid."""
    records = tuple(harness.accuracy_record(cell, None) for cell in accuracy_cells(harness.grid))
    return Run(Path("run.json"), "", {}, "", records)


def degraded(harness: Harness, checkpoint: Checkpoint, seed: int, points: int) -> nn.Module:
    """Return a checkpoint's network with just so much noise on its weights that it loses `points`."""
    network, dataset = load_network(checkpoint), harness.workspace.dataset("digits")
    noise = torch.Generator().manual_seed(seed)
    directions = [torch.randn(p.shape, generator=noise) * p.detach().std() for p in network.parameters()]

    def at(scale: float) -> nn.Module:
        moved = copy.deepcopy(network)
        with torch.no_grad():
            for parameter, direction in zip(moved.parameters(), directions, strict=True):
                if parameter.ndim > 1:
                    parameter.add_(scale * direction)
        return moved

    def correct(candidate: nn.Module) -> int:
        with torch.inference_mode():
            return evaluate(candidate, dataset.test, dataset.spec).correct

    lost = round(points / 100 * len(dataset.test.labels))
    enough, low, high = correct(network) - lost, 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if correct(at(middle)) <= enough else (middle, high)
    return at(high)


def test_the_same_networks_pass(trained: Harness, tmp_path: Path) -> None:
    """Evaluated again, nothing has changed."""
    again = open_harness(trained.grid, trained.workspace.store.root.parent)
    assert compare(accuracy_run(trained), accuracy_run(again), Policy()).exit_code == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_three_points_of_accuracy_are_found(
    trained: Harness, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A network whose weights were damaged until it answers three points worse is a regression."""
    before = accuracy_run(trained)
    worse = open_harness(trained.grid, trained.workspace.store.root.parent)
    monkeypatch.setattr(
        model_cache,
        "load_network",
        lambda c: degraded(trained, c, seed, 3) if is_pruned(c) else load_network(c),
    )
    result = compare(before, accuracy_run(worse), Policy())
    assert {"dense" in cell.cell: cell.verdict for cell in result.cells} == {True: "pass", False: "regressed"}
    assert result.exit_code == 1


def is_pruned(checkpoint: Checkpoint) -> bool:
    """Tell a pruned checkpoint from the dense one."""
    return checkpoint.plan.widths != checkpoint.plan.dense_widths


def groups_of_resnet() -> list[int]:
    """Number the groups of layers that are cut together in ResNet-18."""
    seen: list[int] = []
    prune_but_keep_one_more(-1, 0.5, seen)
    return seen


def prune_but_keep_one_more(group: int, ratio: float, seen: list[int] | None = None) -> nn.Module:
    """Prune ResNet-18, and let one group of layers keep a channel more than asked for."""
    network, dense = (build_model("resnet18", 10, (3, 32, 32)) for _ in range(2))
    cuts: list[Cut] = []

    def cut_one_less(cut_group: Group, wanted: int, round_to: int, multiple: int = 1) -> Cut | None:
        cut = cut_to(cut_group, wanted, round_to, multiple)
        assert cut is not None
        cuts.append(cut)
        if seen is not None:
            seen.append(len(cuts) - 1)
        return replace(cut, channels=cut.channels[:-1]) if len(cuts) - 1 == group else cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "cut_to", cut_one_less)
        prune(network, dense, MethodSpec(), ratio, EXAMPLE, seed=0)
    return network


def cost_of(network: nn.Module) -> dict[str, int]:
    """Count what a network costs, as its record says it."""
    cost = count_cost(network, EXAMPLE)
    return {"macs": cost.macs, "params": cost.params, "size_bytes": serialised_size_bytes(network)}


def test_one_channel_more_in_one_layer_is_found(tmp_path: Path) -> None:
    """Whichever group of layers keeps one channel too many, at either ratio, the run is a regression."""
    groups = groups_of_resnet()
    found = []
    for ratio in (0.5, 0.75):
        asked = setting(COST, **cost_of(prune_but_keep_one_more(-1, ratio)))
        for group in [-1, *groups]:  # −1: none keeps more
            baseline, new = small_run(suites=("cost",)), small_run(suites=("cost",))
            asked(baseline)
            setting(COST, **cost_of(prune_but_keep_one_more(group, ratio)))(new)
            found.append(judge(tmp_path, new, baseline).exit_code)
    assert len(found) - 2 >= 20
    assert found == [0, *[1] * len(groups)] * 2
