"""Attention scores keep their scale when heads become narrower.

Scores are divided by the root of the width of a head, which a forward computes from the width there is, or
keeps as a number. Fewer channels would make them larger. So the queries are made smaller by as much, and the
number follows: then the network answers as before, whichever way it computes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pruning_core.pruning.attention import heads_of, query_rows

NUMBERS = ("scal", "temperature", "norm_fact")
"""What an attention calls the number that scores are multiplied by, in a word of its name."""


def keep_score_scale(network: nn.Module, before: nn.Module) -> dict[str, Tensor]:
    """Scale the queries of each attention whose heads became narrower, in place.

    Args:
        network: Cut.
        before: The network that it was cut from.

    Returns:
        Tensor name → (rows,) factors that its rows were multiplied by.
    """
    factors: dict[str, Tensor] = {}
    others = dict(before.named_modules(remove_duplicate=False))
    tensors = dict(network.named_parameters(remove_duplicate=False))
    for name, module in network.named_modules():
        dot = f"{name}." if name else ""
        if isinstance(module, nn.MultiheadAttention):
            other = others[name]
            width, old_width = module.embed_dim // module.num_heads, other.embed_dim // other.num_heads
            rows = dict(_rows_of_torch(module))
        else:
            found = query_rows(module)
            old = query_rows(others[name])
            if found is None or old is None:
                continue
            child, count = found
            width, old_width = count // heads_of(module), old[1] // heads_of(module)
            rows = {f"{child}.{local}": count for local in ("weight", "bias")}
        if width == old_width or not width:
            continue
        for local, count in rows.items():
            tensor = tensors.get(dot + local)
            if tensor is not None:
                factor = torch.ones(tensor.shape[0])
                factor[:count] = (width / old_width) ** 0.5
                factors[dot + local] = factor
                tensor.data *= factor.reshape(-1, *(1,) * (tensor.dim() - 1))
        for attribute, value in vars(module).items():
            named = any(word in attribute.lower() for word in NUMBERS)
            if named and isinstance(value, float) and abs(value * old_width**0.5 - 1) < 1e-6:
                setattr(module, attribute, width**-0.5)
    return factors


def _rows_of_torch(module: nn.MultiheadAttention) -> Iterator[tuple[str, int]]:
    """Yield what holds the queries of PyTorch's attention, and how many rows these are."""
    if module.in_proj_weight is None:
        yield "q_proj_weight", module.embed_dim
    else:
        yield "in_proj_weight", module.embed_dim
    yield "in_proj_bias", module.embed_dim
