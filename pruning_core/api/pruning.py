"""A network pruned in memory: no store, no dataset, no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pruning_core.records.cuts import count_words, describe_proof, explain_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pruning_core.pruning.base import KeptWhole
    from pruning_core.pruning.channel_plan import ChannelPlan
    from pruning_core.pruning.cost import Cost


@dataclass(frozen=True, repr=False, eq=False)
class Pruned:
    """A pruned network, and what is known of it; `print` shows it in a few lines.

        magnitude, 0.5: 10,218 → 2,874 parameters, 0.594 → 0.16 million MACs for one example
        proved: exact
        kept whole: 1 of 3 groups
          1: protected by '1'

    Attributes:
        network: A network of its own, on the device, in the types and in the mode of the one it was made of.
        plan: Which channels were kept, layer by layer, and the widths.
        dense: The network that was given, as it was; not a copy.
        method: Name of the method.
        ratio: Fraction removed, relative to `dense`.
        before: Multiply-adds and parameters of `dense`, for one example: `macs`, `params`.
        after: The same of `network`.
        sparsity: Weights of its convolutions and linear layers that are zero, a fraction.
        gone: Highest ratio so far by methods that cut (False) and that mask (True).
    """

    network: nn.Module
    plan: ChannelPlan
    dense: nn.Module = field(repr=False)
    method: str
    ratio: float
    before: Cost
    after: Cost
    sparsity: float
    gone: Mapping[bool, float] = field(default_factory=dict)

    @property
    def proof(self) -> str:
        """`exact`, or which statistics over channels change; empty where nothing was cut."""
        return self.plan.proof

    @property
    def kept_whole(self) -> Sequence[KeptWhole]:
        """Groups of layers that kept their width: `root`, `layers` and `reason` of each."""
        return self.plan.kept_whole

    def __str__(self) -> str:
        """A few lines."""
        lines = [
            f"{self.method}, {self.ratio:g}: {self.before.params:,} → {self.after.params:,} parameters, "
            f"{self.before.macs / 1e6:.3g} → {self.after.macs / 1e6:.3g} million MACs for one example"
        ]
        if self.sparsity:
            lines.append(f"zeros: {self.sparsity:.1%} of the weights")
        if self.proof:
            lines.append(describe_proof(self.proof))
        if self.kept_whole:
            lines.append(f"kept whole: {count_words(len(self.kept_whole), self.plan.groups)}")
            whole = {kept.root: kept.reason for kept in self.kept_whole}
            lines += [f"  {text}" for text in explain_whole(whole)]
        return "\n".join(lines)

    __repr__ = __str__


def prune(
    module: nn.Module | Pruned,
    example: Tensor,
    ratio: float,
    method: str = "magnitude",
    *,
    protect: Sequence[str] = (),
    ratio_of: Mapping[str, float] | None = None,
    max_ratio: float = 1.0,
    scope: Literal["local", "global", "isomorphic"] = "local",
    round_to: int = 2,
    seed: int = 0,
) -> Pruned:
    """Return a narrower copy of a network; the one that is given stays as it is.

    Half of the channels of each layer, but of those that make the answer:

        >>> net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.Flatten(),
        ...                     nn.Linear(64 * 4 * 4, 10))
        >>> pruned = prune(net, torch.zeros(1, 3, 8, 8), 0.5)
        >>> print(pruned)
        magnitude, 0.5: 29,642 → 10,218 parameters, 0.34 → 0.0961 million MACs for one example
        proved: exact
        >>> pruned.network[0].out_channels, net[0].out_channels
        (16, 32)

    Some layers stay; what they cannot be cut without stays, too, and says why:

        >>> pruned = prune(net, torch.zeros(1, 3, 8, 8), 0.5, protect=["0"])
        >>> [(group.root, group.reason) for group in pruned.kept_whole]
        [('0', "protected by '0'")]

    Step by step, fine-tuned in between; ratios are always relative to the dense widths:

        >>> step = prune(net, torch.zeros(1, 3, 8, 8), 0.25)
        >>> fine_tune(step.network)  # doctest: +SKIP
        >>> prune(step, torch.zeros(1, 3, 8, 8), 0.75).network[0].out_channels
        8

    Any network that takes one tensor of numbers, a batch of examples, and returns a tensor, or tuples, lists
    or dicts of them: what makes any of these keeps its width. It is copied to the CPU and pruned there.

    Args:
        module: The dense network, in any mode, on any device; or what `prune` returned, to prune further.
        example: A batch that it takes, (N, …); the first of it is used.
        ratio: Fraction of the dense channels (masks: of the weights) to remove, from 0 to below 1.
        method: `magnitude`, `lamp`, `random`; masks: `unstructured-l1`, `ln-structured`, …
        protect: Patterns of layers that keep their width: `["head", "layer1.*"]`.
        ratio_of: Pattern → ratio of its layers, `{"layer4.*": 0.8}`; with local scope.
        max_ratio: No layer loses more than this share of its dense width.
        scope: Ranks channels of a layer (`local`), of all (`global`), of those bound alike (`isomorphic`).
        round_to: Kept widths are multiples of this.
        seed: Of what a method draws by chance.

    Raises:
        OptionError: If an argument is invalid, or a pattern matches no layer.
        ModelError: If the network does not take the example, or cannot be copied.
        PruningError: If nothing in it can be pruned.
    """
    import torch

    from pruning_core.api import pruning_inputs
    from pruning_core.models.copying import copy_network
    from pruning_core.pruning import step
    from pruning_core.pruning.cost import count_cost
    from pruning_core.pruning.sparsity import sparsity_of

    spec = pruning_inputs.method_spec(method, ratio, scope, round_to, protect, ratio_of, max_ratio, seed)
    earlier = module if isinstance(module, Pruned) else None
    if earlier is not None:
        pruning_inputs.check_goes_on(earlier.gone, spec.name, ratio)
    given = pruning_inputs.check_network(earlier.network if earlier else module)
    dense_given = earlier.dense if earlier else given
    origin = pruning_inputs.Origin.of(given)
    with torch.random.fork_rng(devices=[]):
        dense = pruning_inputs.copy_to_cpu(dense_given)
        one = pruning_inputs.example_for(dense, example)
        network = pruning_inputs.copy_to_cpu(given) if earlier else copy_network(dense)
        before = count_cost(dense, one)  # of an earlier step it may be of another example
        plan = step.prune(network, dense, spec, ratio, one, seed, earlier.plan if earlier else None)
        after, sparsity = count_cost(network, one), sparsity_of(network)
    gone = pruning_inputs.highest_ratios(earlier.gone if earlier else {}, spec.name, ratio)
    return Pruned(
        origin.restore(network), plan, dense_given, spec.name, float(ratio), before, after, sparsity, gone
    )
