"""Which layers the patterns of a method's spec mean: those that stay, and those with a ratio of their own.

A pattern (`*`, `?`, `[ab]`, case-sensitive; `*` goes over dots) matches the name of a layer, or of a module
around it: "layer1", "layer1.*" and "layer*1" all mean every layer inside of layer1. Which of two patterns
counts depends on what they match, not on their order: see `ratios_of_layers`.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import translate
from itertools import accumulate

from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.console.shown import shortened, shown
from pruning_core.errors import OptionError, PruningError

PRUNABLE = (nn.modules.conv._ConvNd, nn.Linear, nn.MultiheadAttention)
"""Layers that a ratio says something of."""

Kinds = tuple[type[nn.Module], ...]
"""Types of layers."""

MAX_KNOWN = 20
"""Layers that an error lists."""


def protected_layers(network: nn.Module, spec: MethodSpec) -> dict[str, str]:
    """Return the layers whose outputs stay, and why: those of `protect`, and those with a ratio of 0.

    Norms and all other layers with parameters are among them where a pattern matches them.

    Raises:
        OptionError: If a pattern matches no layer, or two patterns give a layer different ratios.
    """
    own = _own_ratios(network, spec, PRUNABLE)
    found = {name: "its own ratio is 0" for name, ratio in own.items() if ratio == 0}
    for pattern in spec.protect:
        found |= dict.fromkeys(sorted(match_layers(network, [pattern])), f"protected by {shown(pattern)}")
    return found


def ratios_of_layers(
    network: nn.Module, spec: MethodSpec, kept: Collection[str] = (), kinds: Kinds = PRUNABLE
) -> dict[str, float]:
    """Return the ratios above 0 of the layers that have one of their own and are not protected.

    Where several patterns match a layer, one that matches only some of the layers of another goes before it:
    "layer1.0.conv1" before "layer1.*" before "*".

    Args:
        network: Dense.
        spec: Says which patterns are protected, and which have a ratio.
        kept: Names of layers whose outputs stay anyway: the classifier.
        kinds: Types of layers that the method prunes.

    Raises:
        OptionError: If a pattern matches no layer of these kinds, or only layers that stay; or if two
            patterns, neither of which is within the other, give a layer different ratios.
    """
    stays = {*protected_layers(network, spec), *kept}
    for pattern, ratio in spec.ratio_of:
        layers = _of_kinds(network, pattern, kinds)
        if ratio and layers <= stays:
            raise OptionError(
                f"ratio_of: {shown(pattern)} = {ratio:g} matches only layers that stay as they are: "
                f"{_listed(layers)}; leave it out, or do not protect them"
            )
    own = _own_ratios(network, spec, kinds)
    return {name: ratio for name, ratio in own.items() if ratio > 0 and name not in stays}


def ratio_of_group(layers: Iterable[str], own: Mapping[str, float], ratio: float) -> float:
    """Return the ratio of layers that can only be pruned alike: one group, or one weight that they share.

    Args:
        layers: Names of those whose outputs are cut, or weights masked.
        own: What `ratios_of_layers` found.
        ratio: That of layers without one of their own.

    Raises:
        PruningError: If two of them have different ratios of their own.
    """
    found = {own[name]: name for name in sorted(layers, reverse=True) if name in own}
    if len(found) > 1:
        (first, one), (second, other), *_ = sorted(found.items())
        raise PruningError(
            f"{one} and {other} can only be pruned alike, but have ratios of their own that differ, "
            f"{first:g} and {second:g}; give both the same in ratio_of"
        )
    return next(iter(found), ratio)


def match_layers(network: nn.Module, patterns: Iterable[str], option: str = "protect") -> frozenset[str]:
    """Return the names of all layers that one of the patterns matches.

    A layer is a module that has parameters of its own, or is `PRUNABLE`. One that stands in a network under
    several names is found by each, and returned by its first.

    Args:
        network: Any network.
        patterns: Of names of layers, or of modules around them.
        option: Where the patterns are from, for the message.

    Raises:
        OptionError: If a pattern matches no layer: it names close ones.
    """
    names = _names_of_layers(network)
    found: frozenset[str] = frozenset()
    for pattern in patterns:
        matches = re.compile(translate(pattern)).match
        layers = {first for name, first in names if any(matches(around) for around in _paths(name))}
        if not layers:
            raise OptionError(_unknown(pattern, [name for name, _ in names], option))
        found |= layers
    return found


def _own_ratios(network: nn.Module, spec: MethodSpec, kinds: Kinds) -> dict[str, float]:
    """Return the ratio of each layer that a pattern of `ratio_of` matches."""
    layers_of = {pattern: _of_kinds(network, pattern, kinds) for pattern, _ in spec.ratio_of}
    ratios = dict(spec.ratio_of)
    found: dict[str, float] = {}
    for name in sorted(set().union(*layers_of.values())):
        matching = [pattern for pattern, layers in layers_of.items() if name in layers]
        narrowest = [p for p in matching if not any(layers_of[other] < layers_of[p] for other in matching)]
        first, *others = narrowest
        for other in others:
            if ratios[other] != ratios[first]:
                raise OptionError(
                    f"ratio_of: {shown(first)} = {ratios[first]:g} and {shown(other)} = {ratios[other]:g} "
                    f"both match {name}, and neither is within the other; say {name!r} = … as well"
                )
        found[name] = ratios[first]
    return found


def _of_kinds(network: nn.Module, pattern: str, kinds: Kinds) -> frozenset[str]:
    layers = match_layers(network, [pattern], "ratio_of")
    found = frozenset(name for name in layers if isinstance(network.get_submodule(name), kinds))
    if not found:
        raise OptionError(
            f"ratio_of: {shown(pattern)} matches no layer that this method prunes, only {_listed(layers)}"
        )
    return found


def _names_of_layers(network: nn.Module) -> list[tuple[str, str]]:
    """Return (name, first name) of each layer; one that stands under several names has several."""
    firsts = {module: name for name, module in network.named_modules()}
    return [
        (name, firsts[module])
        for name, module in network.named_modules(remove_duplicate=False)
        if name and (isinstance(module, PRUNABLE) or any(True for _ in module.parameters(recurse=False)))
    ]


def _paths(name: str) -> Iterator[str]:
    """Yield "a", "a.b" and "a.b.c" for "a.b.c": the modules around a layer, and itself."""
    return accumulate(name.split("."), lambda path, part: f"{path}.{part}")


def _unknown(pattern: str, layers: list[str], option: str) -> str:
    """Say that no layer matches: close names, and which there are, modules of many layers as one."""
    around = {path for name in layers for path in _paths(name)}
    names = sorted({*around, *(f"{path}.*" for path in around - set(layers))})
    close = difflib.get_close_matches(pattern[:100], names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    depth, tops = 0, [""]
    while len(tops) == 1:
        depth += 1
        tops = list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in layers))
        if tops == layers:
            break
    known = [top if top in layers else f"{top}.*" for top in tops]
    return f"{option}: no layer {shown(pattern)} in this model.{hint}\n  layers: {_listed(known)}"


def _listed(names: Collection[str]) -> str:
    ordered = sorted(names) if isinstance(names, frozenset) else list(names)
    more = f" and {len(ordered) - MAX_KNOWN} more" if len(ordered) > MAX_KNOWN else ""
    return shortened(", ".join(ordered[:MAX_KNOWN]), 1000) + more
