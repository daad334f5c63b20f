"""One step of pruning: a network → a narrower or sparser one, in place, and its channel plan."""

from dataclasses import dataclass

from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import PruningError
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs
from pruning_core.models.inspect import find_heads
from pruning_core.pruning import find_method
from pruning_core.pruning.base import LOGITS, Losses, Outcome, PruningStep
from pruning_core.pruning.channel_plan import ChannelPlan, make_plan
from pruning_core.pruning.combinations import check_method
from pruning_core.pruning.plain import make_plain, reparametrized
from pruning_core.pruning.sparsity import sparsity_of
from pruning_core.pruning.targets import protected_layers
from pruning_core.pruning.tensors import all_tensors


@dataclass(frozen=True)
class Extent:
    """How wide and how sparse a network is: what a step of pruning may change."""

    shapes: dict[str, tuple[int, ...]]  # of parameters and buffers
    sparsity: float  # weights that are zero, fraction


def extent_of(network: nn.Module) -> Extent:
    """Return how wide and how sparse a network is now."""
    shapes = {name: tuple(tensor.shape) for name, tensor in all_tensors(network).items()}
    return Extent(shapes, sparsity_of(network))


def is_exhausted(network: nn.Module, before: Extent) -> bool:
    """Tell whether a step of pruning removed nothing.

    Args:
        network: As the step left it.
        before: Its extent before the step.
    """
    return extent_of(network) == before


def prune(
    network: nn.Module,
    dense: nn.Module,
    method: MethodSpec,
    ratio: float,
    example: Inputs,
    seed: int,
    earlier: ChannelPlan | None = None,
    losses: Losses | None = None,
) -> ChannelPlan:
    """Prune a network, in place, and return its channel plan.

    Args:
        network: Dense, or pruned before. Weights that it computes (weight norm) become plain ones.
        dense: The same network as built; `ratio` is relative to its widths.
        method: How channels are chosen.
        ratio: Fraction of the dense channels to remove.
        example: What the network takes, of one example.
        seed: For methods that draw by chance.
        earlier: Plan of `network`; None: it is dense, or that is not known.
        losses: On training examples, for methods that rank by them.

    Raises:
        PruningError: If nothing in the network can be pruned, or the ratio leaves nothing.
        OptionError: If the method has no such scope or limit, or a pattern matches no layer.
    """
    check_method(method, [ratio])
    if ratio >= 1 and method.schedule == "one-shot":
        raise PruningError("ratio 1 would remove every channel: with a one-shot schedule ratios are below 1")
    heads = find_heads(dense, example)
    outcome = Outcome()
    if ratio > 0:  # rounding must not remove channels where nothing is asked for
        make_plain(network)
        plain_dense = dense
        if reparametrized(dense):
            plain_dense = copy_network(dense)
            make_plain(plain_dense)
        protected = protected_layers(plain_dense, method) | dict.fromkeys(heads, LOGITS)
        step = PruningStep(method, ratio, plain_dense, example, protected, seed, losses)
        outcome = find_method(method.name).prune(network, step)
    return make_plan(dense, network, outcome, earlier, protected=heads)
