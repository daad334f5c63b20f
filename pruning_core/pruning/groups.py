"""The groups of a network: layers that must lose the same channels together, as torch-pruning finds them."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.errors import first_line
from pruning_core.models.copying import largeness
from pruning_core.models.inputs import Inputs
from pruning_core.pruning.attention import blocks_of_heads, heads_of_layers
from pruning_core.pruning.base import AUXILIARY, LOGITS, PER_HEAD, KeptWhole
from pruning_core.pruning.graph import (
    ROOT_TYPES,
    blocks_of,
    build_graph,
    group_of,
    identity_of,
    is_depthwise,
    misplaced,
    width_of,
)
from pruning_core.pruning.structure import structure_of
from pruning_core.pruning.unreached import layers_in_no_group
from pruning_core.pruning.widths import Orbits, merged_orbits, orbits_of_blocks
from pruning_core.system.time_limit import OutOfTimeError, time_limit
from pruning_core.torchvision_compat import torch_pruning as tp

Importance = Callable[[object], Tensor | None]
"""torch-pruning's function of a group → (channels,) scores; the lowest go."""

MAX_GROUP_S = 5.0
"""CPU time, longer for large networks: torch-pruning follows some without end; then a group is kept whole."""

ENDLESS = "torch-pruning does not come to an end"


class _NotRankedError(Exception):
    """A group was found, and cannot be ranked."""

    def __init__(self, layers: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.layers = layers


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that can go: outputs of a root layer, and what depends on them."""

    roots: tuple[str, ...]  # layers that it is cut from; several where they share weights
    layers: tuple[str, ...]  # names of all layers in it
    outputs: frozenset[str]  # those whose outputs are cut …
    inputs: frozenset[str]  # … and inputs
    ignored: frozenset[object]  # what torch-pruning takes for dependent, though it has fewer channels
    channels: int
    dense_channels: int
    blocks: int  # the channels are so many equal blocks, which lose alike
    heads: int  # of the attentions that it is in: some divide whatever they get by this
    orbits: Orbits
    scores: Tensor  # (channels,) float64
    structure: str = ""  # a hash: groups that are bound alike have the same
    min_channels: int = 0  # stay, whatever is asked for


def find_groups(
    network: nn.Module,
    dense: nn.Module,
    example: Inputs,
    protected: Mapping[str, str],
    importance: Importance,
) -> tuple[list[Group], list[KeptWhole]]:
    """Find the groups that can be ranked, and those that keep their width, with the reason.

    Args:
        network: All its parameters require gradients.
        dense: The network that it was cut from, or the same.
        example: What the network takes, of one example.
        protected: Layer whose outputs stay → why.
        importance: What ranks the channels.
    """
    finder = _Finder(network, dense, example, importance)
    protected = {**finder.per_head, **protected}
    groups, whole = list[Group](), list[KeptWhole]()
    for name, layer in finder.roots():
        if name in protected:
            layers = (name,) if protected[name] == LOGITS else finder.layers_with(name, layer)
            whole.append(KeptWhole(name, layers, protected[name]))
            continue
        try:
            with time_limit(finder.limit_s):
                group = finder.group(name, layer)
        except OutOfTimeError:
            whole.append(KeptWhole(name, (name,), ENDLESS))
            continue
        except _NotRankedError as error:
            whole.append(KeptWhole(name, error.layers, str(error)))
            continue
        except Exception as error:
            lost = "torch-pruning loses track of where its channels go"
            whole.append(KeptWhole(name, (name,), f"{lost} ({type(error).__name__}: {first_line(error)})"))
            continue
        kept = [layer for layer in sorted(group.outputs) if layer in protected]
        wider = [n for n in sorted(group.outputs) if finder.width(n) > group.channels == 1]
        if layer in finder.in_training and not group.inputs:
            reason = AUXILIARY
        elif kept:
            reason = protected[name] if name in kept else f"{kept[0]} is in it: {protected[kept[0]]}"
        elif wider:
            number = finder.width(wider[0])
            reason = f"the one channel of {name} is multiplied with the {number} of {wider[0]}"
        else:
            groups.append(group)
            continue
        whole.append(KeptWhole(name, group.layers, reason))
    known = set(protected).union(*(group.layers for group in groups), *(kept.layers for kept in whole))
    return groups, [*whole, *layers_in_no_group(network, known, finder.reached)]


class _Finder:
    """Asks torch-pruning for the groups of one network."""

    def __init__(self, network: nn.Module, dense: nn.Module, example: Inputs, importance: Importance) -> None:
        self._graph = build_graph(network, example)
        self.in_training = self._graph.in_training
        self._names = {module: name for name, module in network.named_modules()}
        self._dense = dict(dense.named_modules(remove_duplicate=False))
        self._heads = blocks_of_heads(dense)
        self._attended = heads_of_layers(dense)
        self.reached = {self._names[m] for m in self._graph.module2node if m in self._names}
        self.per_head = {self._names[m]: PER_HEAD for m in self._graph.per_head if m in self._names}
        self._importance = importance
        self.limit_s = MAX_GROUP_S * largeness(network)
        self._seen: set[nn.Module] = set()

    def roots(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield layers that no group has so far; last those that say least of the group they are in."""
        layers = [m for m in self._graph.module2node if isinstance(m, ROOT_TYPES) and m in self._names]
        for layer in sorted(layers, key=lambda layer: (width_of(layer) == 1, is_depthwise(layer))):
            if layer not in self._seen:
                self._seen.add(layer)
                yield self._names[layer], layer

    def width(self, name: str) -> int:
        """Return the outputs of a dense layer; 0 of one that is no convolution and not linear."""
        return width_of(self._dense[name]) if isinstance(self._dense[name], ROOT_TYPES) else 0

    def layers_with(self, name: str, layer: nn.Module) -> tuple[str, ...]:
        """Return the layers in the group of a layer; the layer alone where no group can be found."""
        try:
            with time_limit(self.limit_s):
                return self._layers_of(self._follow(layer)[0])
        except Exception:
            return (name,)

    def _follow(self, layer: nn.Module) -> tuple["tp.Group", frozenset[object], list[Any]]:
        """Return the group of all outputs of a layer, what is ignored in it, and whose outputs are cut."""
        graph = self._graph
        group = group_of(graph, layer, list(range(width_of(layer))))
        ignored = misplaced(graph, group)
        group.items[:] = [item for item in group.items if identity_of(graph, item.dep) not in ignored]
        outputs = [d.target.module for d, _ in group if graph.is_out_channel_pruning_fn(d.handler)]
        self._seen.update(module for module in outputs if isinstance(module, nn.Module))
        return group, ignored, outputs

    def _layers_of(self, group: "tp.Group") -> tuple[str, ...]:
        modules = (dependency.target.module for dependency, _ in group)
        return tuple(dict.fromkeys(self._names[module] for module in modules if module in self._names))

    def group(self, name: str, layer: nn.Module) -> Group:
        """Return the group of all outputs of a layer.

        Raises:
            Exception: Whatever torch-pruning raises while it looks for the group.
            _NotRankedError: If it has no scores for it.
        """
        graph, width = self._graph, width_of(layer)
        group, ignored, outputs = self._follow(layer)
        inputs = [d.target.module for d, _ in group if graph.is_in_channel_pruning_fn(d.handler)]
        layers = self._layers_of(group)
        scores = self._scores(group, layers, width)
        cut = frozenset(self._names[module] for module in outputs if module in self._names)
        blocks = math.lcm(
            *(blocks_of(self._dense[layer]) for layer in layers),
            *(self._heads.get(layer, 1) for layer in cut),
        )
        return Group(
            roots=(name,),
            layers=layers,
            outputs=cut,
            inputs=frozenset(self._names[module] for module in inputs if module in self._names),
            ignored=ignored,
            channels=width,
            dense_channels=width_of(self._dense[name]),
            blocks=blocks,
            heads=math.lcm(1, *(self._attended.get(layer, 1) for layer in layers)),
            orbits=self._bound(layer, width, orbits_of_blocks(width, blocks)),
            scores=scores,
            structure=structure_of(graph, group),
        )

    def _scores(self, group: "tp.Group", layers: tuple[str, ...], width: int) -> Tensor:
        try:
            scores = self._importance(group)
        except OutOfTimeError:
            raise
        except Exception as error:
            reason = f"torch-pruning cannot rank it: {type(error).__name__}: {first_line(error)}"
            raise _NotRankedError(layers, reason) from error
        if scores is None or len(scores) != width:
            raise _NotRankedError(layers, "torch-pruning has no scores for it")
        scores = scores.detach().cpu().double()
        if scores.isnan().all():  # divided by their mean, which is 0: no channel of it has any effect
            return torch.zeros(width, dtype=torch.double)
        if not scores.isfinite().all():
            raise _NotRankedError(layers, "its scores are no finite numbers")
        return scores

    def _bound(self, layer: nn.Module, width: int, orbits: Orbits) -> Orbits:
        """Return the outputs of a layer that go together: of blocks, and those that a split makes partners.

        Args:
            layer: The root of a group.
            width: Its outputs.
            orbits: Of its blocks.
        """
        ends = [orbit for orbit in orbits if orbit[0] == 0 or orbit[-1] == width - 1]
        if all(set(self._goes_with(layer, orbit[0])) <= set(orbit) for orbit in ends):
            return orbits
        return merged_orbits(width, orbits, [self._goes_with(layer, orbit[0]) for orbit in orbits])

    def _goes_with(self, layer: nn.Module, channel: int) -> list[int]:
        found = {channel}
        for dependency, indices in group_of(self._graph, layer, [channel]):
            if dependency.target.module is layer and self._graph.is_out_channel_pruning_fn(
                dependency.handler
            ):
                found.update(indices)
        return sorted(found)
