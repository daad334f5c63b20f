"""Structured methods: whole channels are cut, through all layers that depend on them, and each cut is proved.

A method brings its importance; everything else is here. torch-pruning finds the groups and cuts them
(`groups.py`, `cutting.py`); which channels go is chosen in `choice.py`; what cannot be cut and proved keeps
its width (`trial.py`, `proof.py`). What torch-pruning does that one must know: `pruning/README.md`.

Source of the dependency graph: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

from torch import nn

from pruning_core.config.scopes import SCOPES
from pruning_core.errors import PruningError, first_line
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.models.user import seeded
from pruning_core.pruning.attributes import changed_attributes, is_plain
from pruning_core.pruning.base import LOGITS, KeptWhole, Outcome, PruningStep, reasons_of
from pruning_core.pruning.choice import Wanted, choose_globally, choose_isomorphically, choose_locally
from pruning_core.pruning.groups import Group, Importance, find_groups
from pruning_core.pruning.search import CutSearch
from pruning_core.pruning.shared_weights import link_shared
from pruning_core.pruning.targets import ratio_of_group, ratios_of_layers
from pruning_core.pruning.tensors import first_tensors
from pruning_core.pruning.widths import min_width, multiple_above
from pruning_core.records.cuts import explain_whole_in_line

__all__ = ["Importance", "StructuredMethod", "prune_structured", "rank_groups"]

RatioOf = Callable[[Group], float]
"""Group → fraction of its dense channels that is to be gone."""

Choose = Callable[[Sequence[Group], PruningStep, RatioOf], Wanted]
"""Groups, what is asked for, each group's own ratio → channels that are to stay."""

CUTTING_VERSION = 6
"""Raised whenever other channels would be chosen, or others cut with them; it enters the key."""


class StructuredMethod(ABC):
    """A method that ranks channels, and cuts those that rank lowest."""

    name: str
    scopes: tuple[str, ...] = SCOPES
    masks = False
    uses_data = False

    @abstractmethod
    def importance(self) -> Importance:
        """Return what scores the channels of a group."""

    def importance_of(self, network: nn.Module, step: PruningStep) -> Importance:
        """Return what scores the channels of a network; without data that is the same for all networks."""
        return self.importance()

    def choose(self, groups: Sequence[Group], step: PruningStep, ratio_of: RatioOf) -> Wanted:
        """Return how many channels each group is to keep: as the ratio and the scope of the step say."""
        if step.spec.scope == "global":
            return choose_globally(groups, step.ratio)
        if step.spec.scope == "isomorphic":
            return choose_isomorphically(groups, step.ratio)
        return choose_locally(groups, ratio_of)

    def library_version(self) -> str:
        """Return the name and version of torch-pruning, and of our cutting, which enter the key."""
        return f"torch-pruning {version('torch-pruning')}, cutting {CUTTING_VERSION}"

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Cut the channels that rank lowest; what is drawn by chance is decided by seed and ratio."""
        with seeded(step.sampling_seed):
            return prune_structured(network, step, lambda work: self.importance_of(work, step), self.choose)


def prune_structured(
    network: nn.Module,
    step: PruningStep,
    importance_of: Callable[[nn.Module], Importance],
    choose: Choose,
) -> Outcome:
    """Cut whole channels of `network`, in place, until `step.ratio` of the dense widths is gone.

    Args:
        network: Dense, or pruned before; never wider than `step.dense`.
        step: What is asked for. Ratio 1 would leave nothing: it removes nothing more.
        importance_of: Copy of the network → what scores the channels of its groups.
        choose: Says how many channels each group is to keep.

    Raises:
        PruningError: If torch-pruning cannot trace the network, or no group of it can be cut.
    """
    network.eval()
    if step.ratio >= 1:
        return Outcome()
    own = ratios_of_layers(step.dense, step.spec, step.protected)

    def ratio_of(group: Group) -> float:
        return ratio_of_group(group.outputs, own, step.ratio)

    work, groups, whole = rank_groups(network, step.dense, step.example, step.protected, importance_of)
    _share_memory(network, work)
    max_ratio = step.spec.max_ratio
    groups = [replace(group, min_channels=min_width(group.dense_channels, max_ratio)) for group in groups]
    wanted = choose(groups, step, ratio_of)
    number = len(groups) + sum(kept.reason != LOGITS for kept in whole)
    search = CutSearch(work, step.example, wanted, step.spec.round_to)
    search.run()
    trial = search.best
    whole += _not_cuttable(groups, search, step.spec.round_to)
    whole += [KeptWhole(g.roots[0], g.layers, failure.reason) for g, failure in search.failed.items()]
    if len(search.failed) == len(groups):
        raise PruningError(_nothing_to_prune(whole, step.ratio))
    if trial is not None:
        _become(network, trial.network)
    return Outcome(
        requested=_requested(groups, wanted) if step.spec.scope == "local" else {},
        kept=trial.kept if trial else {},
        attributes=changed_attributes(work, trial.network) if trial else {},
        proof=str(trial.proof) if trial else "",
        kept_whole=tuple(kept for kept in whole if kept.reason != LOGITS),
        groups=number,
    )


def rank_groups(
    network: nn.Module,
    dense: nn.Module,
    example: Inputs,
    protected: Mapping[str, str],
    importance_of: Callable[[nn.Module], Importance],
) -> tuple[nn.Module, list[Group], list[KeptWhole]]:
    """Find the groups of a network that can be ranked, each with the scores of its channels.

    Args:
        network: Dense, or pruned before, without computed weights; it stays as it is.
        dense: The network that it was cut from.
        example: What the network takes, of one example.
        protected: Layer whose outputs stay → why.
        importance_of: Copy of the network → what scores the channels of its groups.

    Returns:
        A copy whose parameters all require gradients, its groups, and those that keep their width.

    Raises:
        PruningError: If torch-pruning cannot trace the network.
    """
    work = copy_network(network)
    _unfreeze(work.parameters())
    importance = importance_of(work)
    try:
        groups, whole = find_groups(work, dense, example, protected, importance)
        work.zero_grad()  # as large as the network
        return work, *link_shared(work, groups, whole)
    except Exception as error:
        raise PruningError(
            f"torch-pruning cannot prune this model: {type(error).__name__}: {first_line(error)}"
        ) from error


def _not_cuttable(groups: Iterable[Group], search: CutSearch, round_to: int) -> Iterator[KeptWhole]:
    """Yield the groups that lose no channel by rounding, and lost none before."""
    for group in groups:
        if group in search.cuts or group.channels < group.dense_channels:
            continue
        unit = math.lcm(round_to, group.blocks)
        if group.channels <= unit:
            reason = f"it keeps multiples of {unit} channels, and has {group.channels}"
            yield KeptWhole(group.roots[0], group.layers, reason)
        elif multiple_above(group.min_channels, unit) >= group.channels:
            reason = f"of its {group.channels} channels max_ratio lets no multiple of {unit} go"
            yield KeptWhole(group.roots[0], group.layers, reason)
        elif group in search.wanted and search.wanted[group] < group.channels:
            together = max(map(len, group.orbits))
            reason = f"up to {together} of its channels can only go together, which is more than were to go"
            yield KeptWhole(group.roots[0], group.layers, reason)


def _requested(groups: Iterable[Group], wanted: Wanted) -> dict[str, int]:
    return {root: wanted.get(group, group.dense_channels) for group in groups for root in group.roots}


def _unfreeze(parameters: Iterable[nn.Parameter]) -> None:
    """Let autograd reach all weights: torch-pruning follows it, and does not see a frozen layer."""
    for parameter in parameters:
        if parameter.is_floating_point():
            parameter.requires_grad_(True)


def _share_memory(network: nn.Module, copied: nn.Module) -> None:
    """Let a network and its copy, whose tensors are alike, hold them once: more may not fit into memory."""
    tensors = first_tensors(copied)
    for name, tensor in first_tensors(network).items():
        tensor.data = tensors[name].data


def _become(network: nn.Module, cut: nn.Module) -> None:
    """Give a network, in place, the tensors and numbers of its cut copy; what was frozen stays frozen."""
    frozen = {name for name, p in network.named_parameters(remove_duplicate=False) if not p.requires_grad}
    for name, parameter in cut.named_parameters(remove_duplicate=False):
        parameter.grad = None
        parameter.requires_grad_(name not in frozen and parameter.is_floating_point())
    modules = dict(cut.named_modules(remove_duplicate=False))
    for name, module in network.named_modules(remove_duplicate=False):
        other = modules[name]
        module._parameters.update(other._parameters)
        module._buffers.update(other._buffers)
        for attribute, value in vars(other).items():
            if not attribute.startswith("_") and is_plain(value) and vars(module).get(attribute) != value:
                setattr(module, attribute, value)


def _nothing_to_prune(whole: list[KeptWhole], ratio: float) -> str:
    reasons = reasons_of(kept for kept in whole if kept.reason != LOGITS)
    if not reasons:
        return "there is no layer to prune in this model besides the one that makes its logits"
    return f"nothing in this model can be pruned to {ratio:g}. {explain_whole_in_line(reasons)}"
