"""`pruning_core.api.prune`: what it returns, what it leaves alone, what it refuses."""

import copy

import pytest
import torch
from torch import nn

from pruning_core.api import Pruned, PruningBenchError, prune
from pruning_core.errors import ModelError, OptionError, PruningError, UnknownNameError
from pruning_core.pruning.loading import load_pruned, stored_tensors

IMAGE = torch.zeros(1, 3, 8, 8)


def convolutions(bias: bool = True) -> nn.Sequential:
    """Return a small network that is cut exactly."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, bias=bias),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )


class Heads(nn.Module):
    """A network with several answers, in an order, in a container."""

    def __init__(self, order: str, container: type = list) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 1), nn.ReLU())
        self.a, self.b, self.c = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 6, 1), nn.Conv2d(32, 8, 1)
        self.order, self.container = order, container

    def forward(self, images):
        features = self.body(images)
        answers = {"a": self.a(features), "b": self.b(features), "c": self.c(features), "0": torch.ones(5)}
        chosen = {name: answers[name] for name in self.order}
        return chosen if self.container is dict else self.container(chosen.values())


def widths(pruned: Pruned) -> dict[str, int]:
    """Return layer → outputs left."""
    return pruned.plan.widths


def test_a_narrower_copy_with_its_proof_and_cost():
    """Half of the channels go, the cut is proved, and what it cost before and after is said."""
    pruned = prune(convolutions(), IMAGE, 0.5)
    assert widths(pruned) == {"0": 16, "3": 32, "5": 10}
    assert pruned.network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert pruned.proof == "exact"
    assert pruned.kept_whole == ()
    assert pruned.before.params > 2 * pruned.after.params
    assert pruned.before.macs > 2 * pruned.after.macs
    assert str(pruned).splitlines() == [
        "magnitude, 0.5: 29,706 → 10,250 parameters, 0.342 → 0.0972 million MACs for one example",
        "proved: exact",
    ]


def test_the_network_that_is_given_is_left_untouched():
    """Weights, modes, gradients, frozen layers, hooks and the random state of the caller stay as they are."""
    network = convolutions()
    network[1].eval()
    network[3].requires_grad_(False)
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    seen = []
    network[0].register_forward_hook(lambda *_: seen.append(1))
    network[5].weight.grad = torch.ones_like(network[5].weight)
    before, state = copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    modes = [module.training for module in network.modules()]
    pruned = prune(network, IMAGE, 0.5, method="random")
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(after[name].equal(before[name]) for name in before)
    assert [module.training for module in network.modules()] == modes
    assert [module.training for module in pruned.network.modules()] == modes
    assert network[5].weight.grad.equal(torch.ones_like(network[5].weight))
    assert not any(parameter.requires_grad for parameter in pruned.network[3].parameters())
    assert torch.random.get_rng_state().equal(state)
    assert pruned.dense is network
    shared = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    assert shared.isdisjoint(id(tensor) for tensor in pruned.network.state_dict(keep_vars=True).values())


@pytest.mark.parametrize("order", ["abc", "cba", "bac", "a0bc"])
@pytest.mark.parametrize("container", [list, tuple, dict])
def test_every_answer_keeps_its_width(order, container):
    """Of a network with several answers whatever makes one stays, wherever it stands; the body is cut."""
    network = Heads(order, container)
    pruned = prune(network, IMAGE, 0.5)
    assert widths(pruned) == {"body.0": 8, "body.2": 16, "a": 4, "b": 6, "c": 8}
    answers = pruned.network(IMAGE)
    answers = list(answers.values()) if container is dict else answers
    expected = network(IMAGE)
    expected = list(expected.values()) if container is dict else expected
    assert [answer.shape for answer in answers] == [answer.shape for answer in expected]


@pytest.mark.parametrize(
    ("network", "example"),
    [
        (nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1)), torch.zeros(4, 20)),
        (nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16)), torch.zeros(1, 7, 16)),
        (nn.Sequential(nn.Conv1d(2, 64, 3), nn.ReLU(), nn.Conv1d(64, 1, 3)), torch.zeros(1, 2, 50)),
        (nn.Sequential(nn.Conv3d(1, 64, 3), nn.ReLU(), nn.Conv3d(64, 2, 1)), torch.zeros(1, 1, 8, 8, 8)),
    ],
    ids=["regression", "sequence", "signal", "volume"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_any_network_of_one_tensor(network, example, dtype):
    """Regression, sequences, signals and volumes are cut, in any type, and come back in that type."""
    pruned = prune(copy.deepcopy(network).to(dtype), example.to(dtype), 0.5)
    assert pruned.proof == "exact"
    assert widths(pruned)["0"] == 32
    assert {tensor.dtype for tensor in pruned.network.state_dict().values()} == {dtype}


def test_step_by_step_ratios_are_of_the_dense_widths():
    """What `prune` returned is pruned further, and its plan is one of the dense network."""
    network = convolutions()
    first = prune(network, IMAGE, 0.25)
    second = prune(first, IMAGE, 0.75)
    assert widths(first)["0"] == 24
    assert widths(second)["0"] == 8
    assert second.dense is network
    assert second.before == first.before
    loaded = load_pruned(convolutions(), second.plan, stored_tensors(second.network)).eval()
    images = torch.randn(2, 3, 8, 8)
    assert loaded(images).equal(second.network.eval()(images))
    assert widths(first)["0"] == first.network[0].out_channels == 24  # it is a copy each time


def test_less_than_is_gone_cannot_be_asked_for():
    """A network of 0.75 is none of 0.25 when it is pruned to that; zeros are counted apart from channels."""
    narrow = prune(convolutions(), IMAGE, 0.75)
    with pytest.raises(OptionError, match=r"ratio 0\.25: 0\.75 is gone already"):
        prune(narrow, IMAGE, 0.25)
    with_zeros = prune(narrow, IMAGE, 0.25, "unstructured-l1")
    assert with_zeros.sparsity > 0.05
    with pytest.raises(OptionError, match=r"0\.75 is gone already"):
        prune(with_zeros, IMAGE, 0.5)
    assert widths(prune(narrow, IMAGE, 0.75))["0"] == widths(narrow)["0"]


def test_costs_before_and_after_are_of_one_example():
    """A further step may be given larger images: both counts are of those."""
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    first = prune(network, torch.zeros(1, 3, 16, 16), 0.25)
    second = prune(first, torch.zeros(1, 3, 32, 32), 0.5)
    assert second.before.macs > 2 * first.before.macs
    assert second.after.macs < second.before.macs


def test_what_stays_is_named_with_the_reason():
    """Groups kept whole stand in the result and in its text."""
    pruned = prune(convolutions(), IMAGE, 0.5, protect=["0"], ratio_of={"3": 0.75})
    assert widths(pruned) == {"0": 32, "3": 16, "5": 10}
    assert [(group.root, group.reason) for group in pruned.kept_whole] == [("0", "protected by '0'")]
    assert str(pruned).splitlines()[-2:] == ["kept whole: 1 of 2 groups", "  0: protected by '0'"]


def test_masks_are_said_as_zeros():
    """A method that masks leaves widths and MACs, and says how many weights are zero."""
    pruned = prune(convolutions(), IMAGE, 0.5, method="unstructured-l1")
    assert pruned.before == pruned.after
    assert pruned.proof == ""
    assert 0.3 < pruned.sparsity < 0.7
    assert f"zeros: {pruned.sparsity:.1%} of the weights" in str(pruned)


class Lists(nn.Module):
    """Returns something that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, numbers):
        self.layer(numbers)
        return {"found": object()}


MLP = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3))
ROW = torch.zeros(1, 20)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((3, ROW, 0.5), OptionError, "takes an nn.Module"),
        ((MLP, (ROW, ROW), 0.5), OptionError, "Wrap a network of several inputs"),
        ((MLP, torch.zeros(20), 0.5), OptionError, "must be a batch"),
        ((MLP, torch.zeros(0, 20), 0.5), OptionError, "must be a batch"),
        ((MLP, torch.zeros(1, 20, dtype=torch.int64), 0.5), OptionError, "token ids"),
        ((MLP, torch.zeros(1, 20, device="meta"), 0.5), OptionError, "neither meta nor sparse"),
        ((MLP, torch.zeros(1, 20).to_sparse(), 0.5), OptionError, "neither meta nor sparse"),
        ((MLP, torch.zeros(1, 21), 0.5), ModelError, "cannot take a batch of shape (2, 21)"),
        ((MLP, ROW.double(), 0.5), ModelError, "torch.float64"),
        ((Lists(), torch.zeros(1, 4), 0.5), ModelError, "returns a object"),
        ((MLP, ROW, 1.0), OptionError, "from 0 to below 1; got 1.0"),
        ((MLP, ROW, "half"), OptionError, "'half'"),
        ((MLP, ROW, float("nan")), OptionError, "nan"),
        ((MLP, ROW, 0.5, "thin"), OptionError, "thin is a control"),
        ((MLP, ROW, 0.5, "scratch:magnitude"), OptionError, "scratch:magnitude is a control"),
        ((MLP, ROW, 0.5, "slimming"), OptionError, "take bn-scale, which ranks alike"),
        ((MLP, ROW, 0.5, "magnitud"), UnknownNameError, "Did you mean 'magnitude'"),
        ((nn.Sequential(nn.ReLU()), ROW, 0.5), ModelError, "nothing can be pruned"),
        ((nn.Linear(20, 3), ROW, 0.5), PruningError, "no layer to prune"),
        ((nn.LSTM(20, 8), torch.zeros(1, 5, 20), 0.5), ModelError, "no convolution or linear layer"),
        ((nn.Linear(20, 3, device="meta"), ROW, 0.5), OptionError, "lies on meta"),
    ],
)
def test_what_cannot_be_pruned_is_refused_in_one_line(arguments, error, text):
    """A mistake of the caller is an error of ours, in one line, never an exception of a library."""
    with pytest.raises(error) as found:
        prune(*arguments)
    assert isinstance(found.value, PruningBenchError)
    assert text in str(found.value)
    if error is not UnknownNameError:
        assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seed": -1}, "seed"),
        ({"round_to": 0}, "round_to"),
        ({"scope": "all"}, "scope"),
        ({"protect": ["layer9"]}, "no layer 'layer9'"),
        ({"ratio_of": {"0": 2}}, "in [0, 1]"),
        ({"method": "lamp"}, "lamp has no scope 'local'"),
        ({"method": "ln-structured", "scope": "isomorphic"}, "ln-structured has no scope 'isomorphic'"),
        ({"method": "ln-structured", "max_ratio": 0.9}, "max_ratio: ln-structured sets weights to zero"),
        ({"max_ratio": 0.25}, "max_ratio: no layer may lose more than 0.25 of its width"),
        ({"max_ratio": 2.0}, "max_ratio: input should be less than or equal to 1"),
        ({"max_ratio": 0.9, "ratio_of": {"0": 0.95}}, "no network can lose by ratio_of 0.95"),
        ({"ratio_of": {"0": 0.5}, "scope": "isomorphic"}, "a layer's own ratio needs local scope"),
    ],
)
def test_an_invalid_option_is_named(options, text):
    """Each option's error says what is allowed."""
    with pytest.raises(OptionError, match=text.replace("[", r"\[")):
        prune(convolutions(), IMAGE, 0.5, **options)
