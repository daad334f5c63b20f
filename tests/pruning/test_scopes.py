"""Scopes on a network in which it is known by hand which channels go; and limits of what a layer loses."""

import copy
import random

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import OptionError
from pruning_core.models import build_model
from pruning_core.pruning import METHODS
from pruning_core.pruning.graph import build_graph, group_of
from pruning_core.pruning.step import extent_of, is_exhausted, prune
from pruning_core.pruning.structure import structure_of
from tests.helpers.kinds_of_networks import KINDS
from tests.helpers.losses import losses_for
from tests.helpers.torch_pruning_alone import prune as prune_alone

EXAMPLE = torch.zeros(1, 1, 8, 8)

EVEN = [100.0, 101.0, 102.0, 103.0]
TWO_SMALL = [100.0, 10.0, 100.0, 11.0]
THREE_SMALL = [100.0, 1.0, 1.2, 1.1]


def chain_of_three(first: list[float], second: list[float], third: list[float]) -> nn.Module:
    """Return three convolutions: the first two are bound alike (norm, convolution), the third otherwise.

    The weights that make a channel, and those that read it, are as large as the number it is given.
    """
    network = nn.Sequential(
        *(nn.Conv2d(1, len(first), 1, bias=False), nn.BatchNorm2d(len(first)), nn.ReLU()),
        *(nn.Conv2d(len(first), len(second), 1, bias=False), nn.BatchNorm2d(len(second)), nn.ReLU()),
        *(nn.Conv2d(len(second), len(third), 1, bias=False), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(len(third), 2, bias=False)),
    )
    with torch.no_grad():
        made, read = torch.ones(1), network[0]
        for layer, scales in zip((0, 3, 6, 10), (first, second, third, [1.0, 1.0]), strict=True):
            read = network[layer]
            weight = torch.outer(torch.tensor(scales), made)
            read.weight.copy_(weight.reshape(read.weight.shape))
            made = torch.tensor(scales)
    return network.eval()


def kept_channels(
    network: nn.Module, scope: str, ratio: float, method: str = "magnitude", **fields: object
) -> list[list[int]]:
    """Prune a copy; return for each of the three convolutions which channels stay, by what reads them."""
    named = {layer: torch.arange(float(network[layer].out_channels)) for layer in (0, 3, 6)}
    work = copy.deepcopy(network)
    for layer, numbers in named.items():
        work[layer].register_parameter("bias", nn.Parameter(numbers))  # is not ranked, and says which stay
    spec = MethodSpec(name=method, scope=scope, **{"round_to": 1, **fields})
    prune(work, copy.deepcopy(work), spec, ratio, EXAMPLE, seed=0)
    return [work[layer].bias.int().tolist() for layer in (0, 3, 6)]


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        ("local", [[1, 2, 3], [0, 2, 3], [0, 2, 3]]),  # one of each
        ("global", [[0, 1, 2, 3], [0, 1, 2, 3], [0]]),  # the three that are smallest of all
        ("isomorphic", [[0, 1, 2, 3], [0, 2], [0, 2, 3]]),  # two of those bound alike, one of the other
    ],
)
def test_which_channels_go_in_each_scope(scope: str, kept: list[list[int]]) -> None:
    """A quarter of each layer, of all layers, or of all that are bound alike."""
    assert kept_channels(chain_of_three(EVEN, TWO_SMALL, THREE_SMALL), scope, 0.25) == kept


def test_kinds_of_layers_and_how_they_are_bound_decide_not_widths() -> None:
    """Of two layers bound alike, the wide one and the narrow one are still ranked together."""
    network = chain_of_three(EVEN, [*TWO_SMALL, *TWO_SMALL], THREE_SMALL)
    assert kept_channels(network, "isomorphic", 0.25) == [[0, 1, 2, 3], [0, 2, 4, 6, 7], [0, 2, 3]]


def test_the_same_layers_bound_in_another_order_are_ranked_apart() -> None:
    """A norm before the activation, or behind it: each of the two layers loses its own quarter."""
    network = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
    network[4], network[5] = network[5], network[4]
    kept = kept_channels(network, "isomorphic", 0.25)
    assert kept == [[1, 2, 3], [0, 2, 3], [0, 2, 3]]


def test_in_which_order_a_group_is_walked_over_does_not_matter() -> None:
    """Its structure is that of its graph."""
    network = build_model("resnet20", 10, (3, 32, 32)).eval()
    graph = build_graph(network, torch.zeros(1, 3, 32, 32))
    group = group_of(graph, network.layer2[0].conv2, list(range(32)))
    known = structure_of(graph, group)
    random.Random(0).shuffle(group.items)
    assert structure_of(graph, group) == known
    group.items.pop()
    assert structure_of(graph, group) != known


@pytest.mark.parametrize("name", ["resnet20", "vgg16_bn", "wrn_16_2"])
def test_the_widths_are_torch_prunings_own(name: str) -> None:
    """`isomorphic=True` with `global_pruning=True` removes as many channels of each layer."""
    image = torch.zeros(1, 3, 32, 32)
    dense = build_model(name, 10, (3, 32, 32)).eval()
    ours, theirs = copy.deepcopy(dense), copy.deepcopy(dense)
    prune(ours, dense, MethodSpec(scope="isomorphic", round_to=1), 0.5, image, seed=0)
    logits = [layer for layer in theirs.modules() if isinstance(layer, nn.Linear)][-1]
    prune_alone(theirs, image, global_pruning=True, isomorphic=True, ignored_layers=[logits])
    assert extent_of(ours).shapes == extent_of(theirs).shapes


class TestMaxRatio:
    """No layer loses more than `max_ratio` of its dense width."""

    @pytest.mark.parametrize("scope", ["local", "global", "isomorphic"])
    @pytest.mark.parametrize("schedule", ["iterative", "one-shot"])
    @pytest.mark.parametrize(("max_ratio", "round_to"), [(0.5, 1), (0.5, 3), (0.7, 2), (0.55, 5)])
    def test_it_holds(self, scope: str, schedule: str, max_ratio: float, round_to: int) -> None:
        """In every scope, in a chain and at once, whatever widths are rounded to; without it, no."""
        dense = uneven()
        ratios = (0.25, 0.4, max_ratio) if schedule == "iterative" else (max_ratio,)
        fields = {"scope": scope, "schedule": schedule, "round_to": round_to}
        held = lost(dense, ratios, MethodSpec(max_ratio=max_ratio, **fields))
        free = lost(dense, ratios, MethodSpec(**fields))
        assert max(held.values()) <= max_ratio
        assert max(free.values()) > max_ratio or (scope == "local" and round_to == 1)

    @pytest.mark.parametrize("scope", ["local", "global", "isomorphic"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_holds_in_any_kind_of_network(self, kind: str, scope: str) -> None:
        """Where channels go together in blocks, halves or heads, too."""
        torch.manual_seed(0)
        dense = KINDS[kind][0]().eval()
        with torch.no_grad():
            for parameter in dense.parameters():
                if parameter.dim() > 1:
                    parameter *= torch.rand(len(parameter), *[1] * (parameter.dim() - 1)) ** 4
        spec = MethodSpec(scope=scope, max_ratio=0.5)
        plan = prune(copy.deepcopy(dense), dense, spec, 0.5, torch.zeros(1, 3, 16, 16), seed=0)
        assert all(2 * kept >= plan.dense_widths[layer] for layer, kept in plan.widths.items())

    def test_others_lose_more_where_one_may_not(self) -> None:
        """The ratio of all is reached all the same, as long as there is somebody to lose."""
        network = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
        assert kept_channels(network, "global", 0.25) == [[0, 1, 2, 3], [0, 1, 2, 3], [0]]
        assert kept_channels(network, "global", 0.25, max_ratio=0.5) == [[0, 1, 2, 3], [0, 2, 3], [0, 2]]
        assert kept_channels(network, "global", 0.25, max_ratio=0.25) == [[1, 2, 3], [0, 2, 3], [0, 2, 3]]

    def test_isomorphic_holds_it_too(self) -> None:
        """Of two layers bound alike the second has both that are smallest, and may lose one."""
        network = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
        kept = kept_channels(network, "isomorphic", 0.25, max_ratio=0.25)
        assert kept == [[1, 2, 3], [0, 2, 3], [0, 2, 3]]

    def test_torch_prunings_own_does_not_hold(self) -> None:
        """Pins torch-pruning: a limit of a half, and a layer loses three quarters."""
        network = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
        options = {"pruning_ratio": 0.25, "max_pruning_ratio": 0.5, "global_pruning": True}
        prune_alone(network, EXAMPLE, ignored_layers=[network[10]], **options)
        assert network[6].out_channels == 1

    def test_a_step_at_the_limit_is_exhausted_afterwards(self) -> None:
        """A chain that has reached the limit everywhere removes nothing more."""
        dense = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
        spec = MethodSpec(scope="global", round_to=1, max_ratio=0.5)
        network = copy.deepcopy(dense)
        plan = prune(network, dense, spec, 0.5, EXAMPLE, seed=0)
        assert set(plan.widths.values()) == {2}
        before = extent_of(network)
        prune(network, dense, spec, 0.5, EXAMPLE, seed=0, earlier=plan)
        assert is_exhausted(network, before)

    def test_a_layer_that_may_lose_no_multiple_is_named(self) -> None:
        """Of 4 channels at most a quarter, rounded to multiples of 2: none."""
        dense = chain_of_three(EVEN, TWO_SMALL, [100.0, *([1.0] * 15)])
        plan = prune(
            copy.deepcopy(dense), dense, MethodSpec(max_ratio=0.25, round_to=2), 0.25, EXAMPLE, seed=0
        )
        assert plan.widths["6"] == 12
        assert {kept.root: kept.reason for kept in plan.kept_whole} == dict.fromkeys(
            ("0", "3"), "of its 4 channels max_ratio lets no multiple of 2 go"
        )

    @pytest.mark.parametrize(
        ("fields", "ratio", "expected"),
        [
            ({"max_ratio": 0.5}, 0.75, "may lose more than 0.5 of its width, so no network can lose 0.75"),
            ({"max_ratio": 0.5, "ratio_of": {"0": 0.6}}, 0.25, "no network can lose by ratio_of 0.6"),
            ({"max_ratio": 0.5, "name": "unstructured-l1"}, 0.25, "sets weights to zero and removes no"),
            (
                {"max_ratio": 0.5, "name": "ln-structured"},
                0.25,
                "sets weights to zero and removes no",
            ),
            (
                {"max_ratio": 0.5, "name": "latency-aware"},
                0.25,
                "latency-aware allocates widths by their",
            ),
        ],
    )
    def test_what_it_contradicts_is_one_line(self, fields: dict[str, object], ratio: float, expected: str):
        """A ratio beyond the limit, or a method that knows none, is refused and not taken for another."""
        dense = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
        with pytest.raises(OptionError, match=expected) as caught:
            prune(copy.deepcopy(dense), dense, MethodSpec(**fields), ratio, EXAMPLE, seed=0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", METHODS)
def test_a_scope_that_a_method_has_not_is_one_line(name: str) -> None:
    """Whatever asks for it: masks rank in no structure, `lamp` not within a layer."""
    dense = chain_of_three(EVEN, TWO_SMALL, THREE_SMALL)
    for scope in {"local", "global", "isomorphic"} - set(METHODS[name].scopes):
        spec = MethodSpec(name=name, scope=scope)
        with pytest.raises(OptionError, match=rf"{name} has no scope '{scope}'; it has: \w+"):
            prune(copy.deepcopy(dense), dense, spec, 0.5, EXAMPLE, seed=0, losses=losses_for(name))
    assert not METHODS[name].masks or "isomorphic" not in METHODS[name].scopes


def uneven() -> nn.Module:
    """Return a network whose layers differ in width, and some of which nearly all channels are small."""
    torch.manual_seed(0)
    widths = (3, 17, 40, 23)
    layers: list[nn.Module] = []
    for inputs, outputs in zip((1, *widths), widths, strict=False):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        with torch.no_grad():
            convolution.weight[1:] *= 0.02 * torch.rand(outputs - 1, 1, 1, 1)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 2)).eval()


def lost(dense: nn.Module, ratios: tuple[float, ...], spec: MethodSpec) -> dict[str, float]:
    """Prune a copy along a chain; return the share of its width that each layer has lost."""
    network, plan = copy.deepcopy(dense), None
    for ratio in ratios:
        plan = prune(network, dense, spec, ratio, EXAMPLE, seed=0, earlier=plan)
    assert plan is not None
    return {name: 1 - width / plan.dense_widths[name] for name, width in plan.widths.items()}
