"""What pruning would give, in seconds, without training: the rows of `pruning-bench plan`.

Without weights the network is untrained. With local scope the widths do not depend on the weights, so these
are the widths that a trained network gets; with global scope they do, and these are an example.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from pruning_core.config.cells import DENSE
from pruning_core.config.spec import MethodSpec
from pruning_core.config.weights import WeightsChoice
from pruning_core.models.copying import copy_network
from pruning_core.models.weights import build_with_weights
from pruning_core.pruning.base import KeptWhole
from pruning_core.pruning.channel_plan import ChannelPlan, make_plan
from pruning_core.pruning.cost import count_cost, serialised_size_bytes
from pruning_core.pruning.preview_times import StepTime
from pruning_core.pruning.sparsity import sparsity_of
from pruning_core.pruning.step import extent_of, is_exhausted, prune
from pruning_core.records.mac_counts import MacCounts

Check = Callable[[torch.nn.Module, ChannelPlan], dict[str, bool | str]]
"""Tries a pruned network in further ways: name of a check → true, or in words why not."""

NOTED = ("onnx",)
"""Checks that a good network need not pass: not all that PyTorch runs can be written as ONNX."""


@dataclass(frozen=True)
class PreviewStep:
    """What one ratio of a schedule would give."""

    model: str
    method: str
    ratio: float
    macs: int
    macs_products: int  # of these, in convolutions and matrix products
    macs_torch_pruning: int | None  # what its own counter says; None where that fails
    params: int
    size_bytes: int
    achieved_ratio: float
    sparsity: float  # weights of convolutions and linear layers that are zero, fraction
    exhausted: bool  # removes nothing that the step before had not
    narrowest: int  # kept outputs of the narrowest convolution …
    widest: int  # … and of the widest
    widths: dict[str, int]  # layer → kept outputs, convolutions and linear layers
    requested_widths: dict[str, int]  # layer → outputs asked for, before rounding; local scope only
    proof: str  # of the cut: `exact`, or the statistics that change; empty where nothing was cut
    kept_whole: tuple[KeptWhole, ...]  # groups that kept their width, and why
    groups: int | None  # that there are; None where nothing is cut
    checks: dict[str, bool | str] = field(default_factory=dict)  # asked for → true, or why not
    check_seconds: float = 0.0
    times: tuple[StepTime, ...] = ()  # of this shape against the dense one, where it was timed

    @property
    def mac_counts(self) -> MacCounts:
        """All counts of its multiply-adds."""
        return MacCounts(self.macs, self.macs_products, self.macs_torch_pruning)

    @property
    def error(self) -> str:
        """What is wrong with this network; empty where nothing is known to be."""
        failed = {name: found for name, found in self.checks.items() if found is not True}
        return "; ".join(f"{name}: {why}" for name, why in failed.items() if name not in NOTED)


def preview_networks(
    model: str,
    method: MethodSpec,
    ratios: Sequence[float],
    *,
    classes: int = 10,
    image: tuple[int, int, int] = (3, 32, 32),
    with_dense: bool = False,
    check: Check | None = None,
    weights: WeightsChoice | None = None,
) -> Iterator[tuple[PreviewStep, torch.nn.Module]]:
    """Prune a network along a schedule: untrained, or with weights that are on this machine.

    Args:
        model: A name in MODELS, or module:function.
        method: How channels are chosen; iterative steps go on from the one before, one-shot ones from dense.
        ratios: Rising, in [0, 1].
        classes: Width of the last layer.
        image: Channels, height, width.
        with_dense: Begin with the dense network, ratio 0.
        check: Run on each network that was pruned.
        weights: Of the dense network; None: from a seed.

    Returns:
        Each step with its network, which is pruned further when the next one is asked for.
    """
    dense = build_with_weights(model, weights, classes, image)
    example = torch.zeros(1, *image)
    network = copy_network(dense)
    before = extent_of(network)
    plan = make_plan(dense, network)
    if with_dense:
        yield _step(model, DENSE, 0.0, network, plan, False, example), network
    for ratio in ratios:
        earlier: ChannelPlan | None = plan
        if method.schedule == "one-shot":
            network, earlier = copy_network(dense), None
        plan = prune(network, dense, method, ratio, example, seed=0, earlier=earlier)
        step = _step(model, method.name, ratio, network, plan, is_exhausted(network, before), example)
        if check is not None:
            started = time.perf_counter()
            checks = check(network, plan)
            step = replace(step, checks=checks, check_seconds=round(time.perf_counter() - started, 2))
        yield step, network
        before = extent_of(network)


def _step(
    model: str,
    method: str,
    ratio: float,
    network: torch.nn.Module,
    plan: ChannelPlan,
    exhausted: bool,
    example: torch.Tensor,  # (1, C, H, W)
) -> PreviewStep:
    cost = count_cost(network, example)
    convolutions = [layer.outputs for layer in plan.layers.values() if layer.kind.startswith("Conv")]
    return PreviewStep(
        model=model,
        method=method,
        ratio=ratio,
        macs=cost.macs,
        macs_products=cost.macs_products,
        macs_torch_pruning=cost.macs_torch_pruning,
        params=cost.params,
        size_bytes=serialised_size_bytes(network),
        achieved_ratio=plan.achieved_ratio,
        sparsity=sparsity_of(network),
        exhausted=exhausted,
        narrowest=min(convolutions, default=0),
        widest=max(convolutions, default=0),
        widths=plan.widths,
        requested_widths={
            name: layer.requested_outputs
            for name, layer in plan.layers.items()
            if layer.requested_outputs is not None
        },
        proof=plan.proof,
        kept_whole=plan.kept_whole,
        groups=plan.groups,
    )
