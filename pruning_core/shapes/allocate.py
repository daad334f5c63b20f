"""From a dense network and its measured times to the widths that `latency-aware` keeps."""

from collections.abc import Sequence

from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.models.inputs import Inputs
from pruning_core.pruning.latency_aware import LatencyAware
from pruning_core.pruning.ranked import RankedNetwork, rank_network
from pruning_core.pruning.targets import PRUNABLE
from pruning_core.pruning.widths import orbit_scores
from pruning_core.shapes.allocation import Choices, allocate_widths, losses_of
from pruning_core.shapes.group_times import measure_group_times, widths_of_group
from pruning_core.shapes.time_model import GroupTimes
from pruning_core.shapes.timing import Advance, Setting

Allocation = tuple[tuple[str, int], ...]
"""(a layer of a group, channels that the group keeps), sorted by layer."""


def allocate(
    dense: nn.Module,
    example: Inputs,
    method: MethodSpec,
    setting: Setting,
    time_budget_ms: float,
    *,
    advance: Advance = lambda done, planned: None,
) -> Allocation:
    """Measure a network, and return the widths that lose least importance within a time.

    Args:
        dense: Trained, on the CPU; it stays as it is.
        example: What it takes, of one example.
        method: What is protected, has a ratio of its own, and is rounded to.
        setting: Where it is to be fast.
        time_budget_ms: Most time of one call.
        advance: Called with the networks measured and planned so far.

    Raises:
        PruningError: If nothing in the network can be cut, or no widths are as fast.
        BackendError: If it cannot be measured.
    """
    ranked = rank_network(dense, method, example, LatencyAware().importance())
    times = measure_group_times(ranked, example, setting, advance=advance)
    return named(ranked, allocate_widths(choices_of(ranked), times, time_budget_ms, starting_widths(ranked)))


def allocate_ratio(
    ranked: RankedNetwork, times: GroupTimes, ratio: float, before: Allocation = ()
) -> Allocation:
    """Return an allocation as fast, by the model, as `magnitude` with local scope is at a ratio.

    Args:
        ranked: The dense network and its groups.
        times: Of these groups.
        ratio: In (0, 1).
        before: Allocation of the step before in a chain: no group becomes wider.
    """
    uniform = [ranked.width_at(index, ratio) for index in range(len(ranked.groups))]
    dense, earlier = starting_widths(ranked), dict(before)
    start = [earlier.get(group.roots[0], width) for group, width in zip(ranked.groups, dense, strict=True)]
    return named(ranked, allocate_widths(choices_of(ranked), times, times.time_ms(uniform), start))


def starting_widths(ranked: RankedNetwork) -> tuple[int, ...]:
    """Return the dense widths, or of a group with a ratio of its own the one at that."""
    return tuple(ranked.width_at(index, 0.0) for index in range(len(ranked.groups)))


def choices_of(ranked: RankedNetwork) -> list[Choices]:
    """Return what each group may keep, and what it loses at each width."""
    layers = dict(ranked.network.named_modules())
    found = []
    for index, group in enumerate(ranked.groups):
        widths = widths_of_group(ranked, index)
        scores = orbit_scores(group.scores, group.orbits)
        weight = sum(isinstance(layers[name], PRUNABLE) for name in group.outputs)
        losses = losses_of(scores, [len(orbit) for orbit in group.orbits], widths, max(weight, 1))
        found.append(Choices(widths, tuple(losses)))
    return found


def named(ranked: RankedNetwork, widths: Sequence[int]) -> Allocation:
    """Return widths by a layer of each group; groups that stay whole are left out, but one if all do."""
    pairs = [(g.roots[0], width) for g, width in zip(ranked.groups, widths, strict=True)]
    narrowed = [
        (root, width)
        for (root, width), group in zip(pairs, ranked.groups, strict=True)
        if width < group.dense_channels
    ]
    return tuple(sorted(narrowed or pairs[:1]))  # an empty one would be none
