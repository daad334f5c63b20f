"""Attention scores keep their scale when heads become narrower.

Scores are divided by the root of the width of a head, which a forward computes from the width there is, or
keeps as a number. Fewer channels would make them larger. So the queries are made smaller by as much, and the
number follows: then the network answers as before, whichever way it computes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning_core.models.copying import copy_network
from pruning_core.pruning.attention import heads_of, query_rows

NUMBERS = ("scal", "temperature", "norm_fact")
"""What an attention calls the number that scores are multiplied by, in a word of its name."""


@dataclass(frozen=True)
class _NarrowedHeads:
    """An attention whose heads became narrower."""

    module: str
    tensors: tuple[str, ...]  # that give its queries, in their first rows
    rows: int
    width: int  # of a head now …
    old_width: int  # … and before


def keep_score_scale(network: nn.Module, before: nn.Module) -> tuple[nn.Module, dict[str, Tensor]] | None:
    """Copy a network and scale the queries of each attention whose heads became narrower.

    Args:
        network: Cut; it stays as it is.
        before: The network that it was cut from.

    Returns:
        The copy, and tensor name → (rows,) factors that its rows were multiplied by. None where no head
        became narrower.
    """
    narrowed = list(_find_narrowed(network, before))
    if not narrowed:
        return None
    network = copy_network(network)
    tensors = dict(network.named_parameters(remove_duplicate=False))
    factors: dict[str, Tensor] = {}
    for heads in narrowed:
        for name in heads.tensors:
            factor = torch.ones(tensors[name].shape[0])
            factor[: heads.rows] = (heads.width / heads.old_width) ** 0.5
            factors[name] = factor
            tensors[name].data *= factor.reshape(-1, *(1,) * (tensors[name].dim() - 1))
        module = network.get_submodule(heads.module)
        for attribute, value in vars(module).items():
            named = any(word in attribute.lower() for word in NUMBERS)
            if named and isinstance(value, float) and abs(value * heads.old_width**0.5 - 1) < 1e-6:
                setattr(module, attribute, heads.width**-0.5)
    return network, factors


def _find_narrowed(network: nn.Module, before: nn.Module) -> Iterator[_NarrowedHeads]:
    modules = dict(network.named_modules(remove_duplicate=False))
    tensors = dict(network.named_parameters(remove_duplicate=False))
    old_tensors = dict(before.named_parameters(remove_duplicate=False))
    for name, old in before.named_modules():
        dot = f"{name}." if name else ""
        if isinstance(old, nn.MultiheadAttention):
            heads, old_rows = old.num_heads, old.embed_dim
            locals_: tuple[str, ...]
            locals_, rows = ("in_proj_weight", "q_proj_weight", "in_proj_bias"), modules[name].embed_dim
        else:
            heads, found = heads_of(old), query_rows(old)
            if found is None:
                continue
            child, old_rows = found
            locals_ = (f"{child}.weight", f"{child}.bias")
            # As much of all rows as before: a name alone does not tell how many these are.
            weight, old_weight = tensors[dot + locals_[0]], old_tensors[dot + locals_[0]]
            rows = weight.shape[0] * old_rows // old_weight.shape[0]
        if rows != old_rows and rows >= heads:
            names = tuple(dot + local for local in locals_ if dot + local in tensors)
            yield _NarrowedHeads(name, names, rows, rows // heads, old_rows // heads)
