"""One step of pruning: a network → a narrower one, in place, and its channel plan."""

from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.models import find_classifier
from pruning_core.pruning import PruningStep, find_method
from pruning_core.pruning.channel_plan import ChannelPlan, make_plan


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


def removed_nothing(before: tuple[ChannelPlan, float], after: tuple[ChannelPlan, float]) -> bool:
    """Tell whether a step of pruning is exhausted: as wide, and as sparse, as the network before it.

    Args:
        before: ChannelPlan and sparsity of the network that the step started from.
        after: The same of what it left.
    """
    return before[0].kept_widths == after[0].kept_widths and before[1] == after[1]
