"""Measure how the time of a network depends on the widths of its groups: whole networks, nobody trains them.

dense network  →  its groups, and how each weight follows them  →  networks of many widths, cut
               →  timed in pairs with the dense one (`timing.py`)  →  a model (`time_model.py`)
"""

import random
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from pruning_core.config.latency_options import LatencyOptions
from pruning_core.errors import BackendError
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, run
from pruning_core.pruning.choice import cut_to
from pruning_core.pruning.cutting import cut_channels
from pruning_core.pruning.ranked import RankedNetwork
from pruning_core.shapes.allocation import possible_widths
from pruning_core.shapes.time_model import Dimension, GroupTimes, Weight, WholeTime
from pruning_core.shapes.timing import Advance, Setting, time_shapes

SHORT = LatencyOptions(
    min_rounds=8, max_rounds=16, target_error=0.03, budget_s=1.0, warmup_ms=50.0, sample_ms=5.0
)
"""Rounds for each network: many together make the model, so that none needs to be known closely."""

UNIFORM = (0.25, 0.5, 0.75, 0.875)
"""Ratios of all groups alike."""

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of its channels, what a group keeps in a network of mixed widths."""

MIXED, MAX_MIXED = 24, 48
"""Networks of mixed widths that the model is fitted to: two a group, but no fewer and no more than these."""

ASIDE = 6
"""Networks of any widths that it is checked with, and not fitted to."""

_TRIES = 20

AT_ONCE = 10
"""Networks in memory at the same time, beside the dense one."""


def widths_of_group(ranked: RankedNetwork, index: int) -> tuple[int, ...]:
    """Return the widths that a group may have, rising; the last is the one it begins with."""
    if index in ranked.fixed:
        return (ranked.width_at(index, 0.0),)
    return possible_widths(ranked.groups[index].channels, ranked.unit_of(index))


def sample_widths(ranked: RankedNetwork) -> list[tuple[tuple[int, ...], bool]]:
    """Return the widths of the networks to measure, each with whether the model is fitted to it.

    The first is dense. Mixed ones are drawn by chance, the same in every run.
    """
    choices = [widths_of_group(ranked, index) for index in range(len(ranked.groups))]

    def nearest(index: int, share: float) -> int:
        wanted = share * ranked.groups[index].channels
        return min(choices[index], key=lambda width: (abs(width - wanted), width))

    def of(shares: Sequence[float]) -> tuple[int, ...]:
        return tuple(nearest(index, share) for index, share in enumerate(shares))

    draw = random.Random(0)
    found = {of([1 - ratio] * len(choices)): True for ratio in (0.0, *UNIFORM)}
    mixed = min(max(MIXED, 2 * len(choices)), MAX_MIXED)
    for _ in range(mixed):
        found.setdefault(of([draw.choice(SHARES) for _ in choices]), True)
    fitted = len(found)
    for _ in range(_TRIES * ASIDE):
        if len(found) < fitted + ASIDE:
            found.setdefault(tuple(draw.choice(widths) for widths in choices), False)
    return list(found.items())


def measure_group_times(
    ranked: RankedNetwork,
    example: Inputs,
    setting: Setting,
    options: LatencyOptions = SHORT,
    *,
    advance: Advance = lambda done, planned: None,
) -> GroupTimes:
    """Measure networks of many widths in one setting, and fit a model to their times.

    Args:
        ranked: The dense network and its groups.
        example: What it takes, of one example.
        setting: Where it is to be fast, and on how many examples at once.
        options: Rounds and time for each network.
        advance: Called with the networks done and planned so far.

    Raises:
        OptionError: If the setting is invalid.
        BackendError: If it cannot be measured: the backend is not here, or runs none of the networks.
    """
    weights = follow_weights(ranked, example)
    widest, *samples = sample_widths(ranked)
    wholes = []
    if ranked.fixed:  # the widest that may be is not the dense network
        samples = [widest, *samples]
    else:
        wholes.append(WholeTime(widths=widest[0], measured=1.0, fitted=True))
    reference_ms: list[float] = []
    contention = ""
    for first in range(0, len(samples), AT_ONCE):
        advance(first, len(samples))
        some = samples[first : first + AT_ONCE]
        cut = [(widths, fitted, _cut(ranked, example, widths)) for widths, fitted in some]
        sound = [(widths, fitted, network) for widths, fitted, network in cut if network is not None]
        networks = [network for _, _, network in sound]
        (times,) = time_shapes(ranked.network, networks, example, [setting], options)
        contention = contention or times.problem
        for (widths, fitted, _), found in zip(sound, times.networks, strict=True):
            if found is not None:
                wholes.append(WholeTime(widths=widths, measured=1 / found.speedup, fitted=fitted))
                reference_ms.append(found.reference_ms)
    if sum(whole.fitted for whole in wholes) < 2:
        raise BackendError(f"{setting.label} runs no network that was cut: latency-aware has no times for it")
    advance(len(samples), len(samples))
    return GroupTimes(
        setting=setting.label,
        roots=tuple(group.roots[0] for group in ranked.groups),
        dense_widths=tuple(group.channels for group in ranked.groups),
        weights=weights,
        dense_ms=sorted(reference_ms)[len(reference_ms) // 2],
        wholes=tuple(wholes),
        contention=contention,
    )


def follow_weights(ranked: RankedNetwork, example: Inputs) -> tuple[Weight, ...]:
    """Find how each weight follows the widths of groups: each group is narrowed alone, on a copy.

    Args:
        ranked: The dense network and its groups.
        example: What it takes, of one example.
    """
    dense = _shapes(ranked.network)
    follows: dict[str, list[list[tuple[int, float]]]] = {name: [[] for _ in s] for name, s in dense.items()}
    for index, group in enumerate(ranked.groups):
        widths = widths_of_group(ranked, index)
        if len(widths) < 2:
            continue
        narrower = widths[-2]
        kept = tuple(
            narrower if other == index else each.channels for other, each in enumerate(ranked.groups)
        )
        narrowed = _cut(ranked, example, kept)
        if narrowed is None:
            continue
        gone = group.channels - narrower
        for name, shape in _shapes(narrowed).items():
            for number, (before, after) in enumerate(zip(dense[name], shape, strict=True)):
                if after < before:
                    follows[name][number].append((index, (before - after) / gone))
    uses = dict(_uses(ranked.network, example))
    kinds: dict[tuple[object, ...], int] = {}
    found = []
    for name, shape in dense.items():
        positions = uses.get(name.rpartition(".")[0], 1)
        if any(follows[name]):
            kind = kinds.setdefault((shape, positions), len(kinds))
            dimensions = tuple(
                Dimension(dense=size, follows=tuple(of_dimension))
                for size, of_dimension in zip(shape, follows[name], strict=True)
                if of_dimension
            )
            macs = float(torch.Size(shape).numel() * positions)
            found.append(Weight(kind=kind, macs=macs, dimensions=dimensions))
    return tuple(found)


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of two or more dimensions; a shared one is named once."""
    return {name: tuple(p.shape) for name, p in network.named_parameters() if p.dim() > 1}


def _uses(network: nn.Module, example: Inputs) -> Iterator[tuple[str, int]]:
    """Yield each layer with the positions, of all its calls, that one example gives it to work on."""
    positions: dict[str, int] = {}
    hooks = []

    def count(name: str, layer: nn.Module, answer: object) -> None:
        if isinstance(answer, torch.Tensor) and answer.numel():
            last = isinstance(layer, nn.Linear)
            channels = answer.shape[-1] if last else answer.shape[1] if answer.dim() > 1 else 1
            positions[name] = positions.get(name, 0) + answer.numel() // channels

    for name, layer in network.named_modules():
        if name and any(p.dim() > 1 for p in layer.parameters(recurse=False)):
            hooks.append(
                layer.register_forward_hook(lambda layer, _, answer, name=name: count(name, layer, answer))
            )
    try:
        with torch.no_grad():
            run(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    yield from positions.items()


def _cut(ranked: RankedNetwork, example: Inputs, widths: Sequence[int]) -> nn.Module | None:
    """Return a copy cut to some widths; None where that fails. Nothing is proved: it is only timed."""
    network = copy_network(ranked.network)
    wanted = zip(ranked.groups, widths, strict=True)
    cuts = [cut for group, width in wanted if (cut := cut_to(group, width, 1)) is not None]
    if cuts:
        try:
            cut_channels(network, ranked.network, example, cuts)
        except Exception:
            return None
    return network.eval()
