"""Training examples that data-driven methods rank by: from the grid to a checkpoint."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pruning_core.chain.ranking import ranking_losses
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import variants
from pruning_core.config.spec import MethodSpec, PrunedSpec
from pruning_core.errors import PruningError
from pruning_core.pruning import METHODS
from pruning_core.pruning.channel_plan import ChannelPlan
from tests.helpers.factories import write_user_model
from tests.helpers.small_runs import grid_of, make_all, open_workspace

DATA_DRIVEN = [name for name, method in METHODS.items() if method.uses_data]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's small network and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_user_model(tmp_path, "ranking_nets")


def task_of(model, tmp_path):
    """Return the task of a small grid."""
    return open_workspace(tmp_path).task(next(iter(variants(grid_of(model)))))


@pytest.mark.parametrize("method", DATA_DRIVEN)
def test_a_chain_is_made_and_found_again(tmp_path, model, method):
    """Each data-driven method gives a pruned checkpoint, the same in another store, and it is found again."""
    grid = grid_of(model, method=method, ratios="0.5", score_examples=4)
    first = make_all(grid, open_workspace(tmp_path / "a"))
    again = make_all(grid, open_workspace(tmp_path / "a"))
    other = make_all(grid, open_workspace(tmp_path / "b"))
    assert [c.key for c in first] == [c.key for c in again] == [c.key for c in other]
    for a, b in zip(first[-1].weights().values(), other[-1].weights().values(), strict=True):
        assert torch.equal(a, b)
    assert isinstance(first[-1].plan, ChannelPlan)
    assert first[-1].plan.proof == "exact"


def test_how_many_examples_is_in_the_key_of_those_that_need_them(tmp_path, model):
    """Another number ranks otherwise; a method that needs none has the key that it always had."""

    def key(method, n):
        grid = grid_of(model, method=method, ratios="0.5", score_examples=n)
        spec = chain_specs(list(variants(grid))[-1], grid, open_workspace(tmp_path))[-1]
        assert isinstance(spec, PrunedSpec)
        return spec.model_dump_json()

    assert key("taylor", 4) != key("taylor", 5)
    assert key("magnitude", 4) == key("magnitude", 5)
    assert "score_examples" not in key("magnitude", 4)


def test_examples_come_one_at_a_time_and_are_the_same_for_every_method(tmp_path, model):
    """As many losses as asked for, each of one example, without chance in them."""
    task = task_of(model, tmp_path)
    network = task.build(model)
    found = []
    for name in ("taylor", "hessian"):
        losses = ranking_losses(task, MethodSpec(name=name, score_examples=5), seed=3)
        found.append([loss.item() for loss in losses(network, False)])
    assert len(found[0]) == 5
    assert len(set(found[0])) == 5
    assert found[0] == found[1]
    other = ranking_losses(task, MethodSpec(name="taylor", score_examples=5), seed=4)
    assert [loss.item() for loss in other(network, False)] != found[0]


def test_statistics_of_batch_norms_do_not_move(tmp_path, model):
    """One example would make a norm's statistics its own."""
    task = task_of(model, tmp_path)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9), nn.Flatten(), nn.LazyLinear(10)
    )
    network(torch.zeros(2, 3, 32, 32))
    before = network[1].running_mean.clone()
    losses = ranking_losses(task, MethodSpec(name="taylor", score_examples=2), seed=0)
    once, twice = ([loss.item() for loss in losses(network, False)] for _ in range(2))
    assert once == twice
    assert torch.equal(network[1].running_mean, before)


class Moody(nn.Module):
    """A network that answers by chance, learns or fails in training, in a way of its own."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv = nn.Conv2d(3, 8, 3, stride=8)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
        self.norm = nn.InstanceNorm2d(8, track_running_stats=True)
        self.head = nn.Linear(8, 10)
        self.register_buffer("seen", torch.zeros(8))
        self.register_buffer("spread", torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.way == "attention":
            tokens = x.flatten(2).transpose(1, 2)
            x = self.attention(tokens, tokens, tokens)[0].transpose(1, 2).unflatten(2, x.shape[2:])
        if self.way == "norm":
            x = self.norm(x)
        x = x.mean((2, 3))
        if self.way == "dropout":
            x = functional.dropout(x, 0.5, self.training)
        if self.way == "statistic" and self.training:
            self.seen += x.detach().mean(0)
        if self.way == "batch":
            x = functional.batch_norm(x, self.seen, self.spread, training=self.training)
        return self.head(x)


@pytest.mark.parametrize("way", ["attention", "norm", "dropout", "statistic", "batch"])
def test_chance_and_what_learns_have_no_part(tmp_path, model, way):
    """Losses are the same twice, and no buffer moves, however a network does in training."""
    network = Moody(way)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    losses = ranking_losses(task_of(model, tmp_path), MethodSpec(name="taylor", score_examples=3), seed=0)
    once, twice = ([loss.item() for loss in losses(network, False)] for _ in range(2))
    assert once == twice
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    assert not any(module.training for module in network.modules())


def test_paths_of_training_count_where_they_are_sound(tmp_path, model):
    """A head that only a training has gets its gradients."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
            self.head = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3072, 10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x) + self.more(x) if self.training else self.head(x)

    losses = ranking_losses(task_of(model, tmp_path), MethodSpec(name="taylor", score_examples=1), seed=0)
    network = Two()
    (loss,) = losses(network, False)
    loss.backward()
    assert network.more[1].weight.grad is not None


@pytest.mark.parametrize("drawn", [False, True])
def test_a_forward_that_fails_is_one_line(tmp_path, model, drawn):
    """It is the user's code: said in a line, with what it says."""

    class Failing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no\nsuch image")

    losses = ranking_losses(task_of(model, tmp_path), MethodSpec(name="obdc", score_examples=1), seed=0)
    with pytest.raises(PruningError, match=r"^obdc: no loss of one training example: ValueError: no such"):
        next(losses(Failing(), drawn))


def test_drawn_labels_are_those_that_the_network_is_sure_of(tmp_path, model):
    """A network that always says 7 learns nothing new from labels that are drawn from what it says."""

    class Sure(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            logits = torch.zeros(len(x), 10)
            logits[:, 7] = 50.0
            return logits * self.scale

    losses = ranking_losses(task_of(model, tmp_path), MethodSpec(name="obdc", score_examples=6), seed=0)
    assert max(loss.item() for loss in losses(Sure(), True)) < 1e-6
    assert max(loss.item() for loss in losses(Sure(), False)) > 1.0


def test_nothing_is_drawn_for_methods_that_need_nothing(tmp_path, model):
    """They are not even given examples."""
    assert ranking_losses(task_of(model, tmp_path), MethodSpec(), seed=0) is None
