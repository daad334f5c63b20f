"""One step of pruning: a network → a narrower or sparser one, in place, and its channel plan."""

from dataclasses import dataclass

from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.models.inspect import find_classifier
from pruning_core.pruning import find_method
from pruning_core.pruning.base import PruningStep
from pruning_core.pruning.channel_plan import ChannelPlan, layer_widths, make_plan
from pruning_core.pruning.sparsity import sparsity_of


@dataclass(frozen=True)
class Extent:
    """How wide and how sparse a network is: what a step of pruning may change."""

    widths: dict[str, int]  # layer → output channels or features
    sparsity: float  # weights that are zero, fraction


def extent_of(network: nn.Module) -> Extent:
    """Return how wide and how sparse a network is now."""
    widths = {name: outputs for name, (_, outputs, _) in layer_widths(network).items()}
    return Extent(widths, sparsity_of(network))


def is_exhausted(network: nn.Module, before: Extent) -> bool:
    """Tell whether a step of pruning removed nothing.

    Args:
        network: As the step left it.
        before: Its extent before the step.
    """
    return extent_of(network) == before


def prune(
    network: nn.Module, dense: nn.Module, method: MethodSpec, ratio: float, example: Tensor, seed: int
) -> ChannelPlan:
    """Prune a network, in place, and return its channel plan.

    Args:
        network: Dense, or pruned before.
        dense: The same network as built; `ratio` is relative to its widths.
        method: How channels are chosen.
        ratio: Fraction of the dense channels to remove.
        example: (1, C, H, W).
        seed: For methods that draw by chance.
    """
    classifier = find_classifier(dense, example)
    step = PruningStep(method, ratio, dense, example, protected=(classifier,), seed=seed)
    # Ratio 0 asks for nothing; rounding must not remove channels all the same.
    requested = find_method(method.name).prune(network, step) if ratio > 0 else {}
    return make_plan(dense, network, requested)
