"""What an attention is made of: its heads, its queries, keys and values, and the widths it notes."""

from collections.abc import Mapping

from torch import Tensor, nn

HEADS = ("num_heads", "heads", "n_heads", "n_head", "nhead", "num_attention_heads")
"""What an attention calls the number of its heads."""

_QUERIES = frozenset(("q", "wq", "query", "queries"))

_NAMES = _QUERIES | frozenset(("k", "v", "qkv", "kv", "qk", "wk", "wv", "key", "value", "keys", "values"))
"""What layers that give queries, keys and values are called, in one word of their names."""


def heads_of(module: nn.Module) -> int:
    """Return how many heads an attention says it has; 0 if it is none, or PyTorch's own."""
    if isinstance(module, nn.MultiheadAttention):
        return 0
    return next((getattr(module, name) for name in HEADS if type(getattr(module, name, None)) is int), 0)


def blocks_of_heads(network: nn.Module) -> dict[str, int]:
    """Return for the layers that give queries, keys and values into how many blocks their outputs fall."""
    found: dict[str, int] = {}
    for name, module in network.named_modules():
        heads = heads_of(module)
        for child_name, (child, parts) in _projections(module).items() if heads else ():
            if child.out_features % (parts * heads) == 0:
                found[f"{name}.{child_name}" if name else child_name] = parts * heads
    return found


def heads_of_layers(network: nn.Module) -> dict[str, int]:
    """Return for the layers of each attention how many heads it has."""
    return {
        f"{name}.{child_name}" if name else child_name: heads_of(module)
        for name, module in network.named_modules()
        if heads_of(module) > 0
        for child_name, _ in module.named_children()
    }


def layers_per_head(network: nn.Module) -> frozenset[str]:
    """Return the linear layers of attentions that give a number for each head: a bias of scores, a gate."""
    found = set()
    for name, module in network.named_modules():
        heads = heads_of(module)
        projections = [child for child, _ in _projections(module).values()] if heads > 1 else []
        for child_name, child in module.named_modules(prefix=name) if heads > 1 else ():
            if isinstance(child, nn.Linear) and child.out_features == heads and child not in projections:
                found.add(child_name)
    return frozenset(found)


def parameters_per_head(network: nn.Module) -> set[nn.Parameter]:
    """Return the parameters of attentions that hold a number for each head: a table of biases, a scale."""
    found = set()
    for attention in network.modules():
        heads = heads_of(attention)
        for module in attention.modules() if heads > 1 else ():
            kept = {-1} if module is attention else {0, -1}  # dimensions of heads
            for parameter in module.parameters(recurse=False):
                of_heads = parameter.numel() == heads or heads in (parameter.shape[at] for at in kept)
                if of_heads and parameter.dim() > 1 and not type(module).__module__.startswith("torch.nn."):
                    found.add(parameter)
    return found


def follow_widths(network: nn.Module, contents: Mapping[str, Tensor]) -> None:
    """Let the widths that an attention keeps as numbers follow those of its queries, keys and values.

    Args:
        network: Cut.
        contents: Its tensors before the cut, by name.
    """
    for name, module in network.named_modules():
        heads = heads_of(module)
        for child_name, (child, _) in _projections(module).items() if heads else ():
            weight = contents[f"{name}.{child_name}.weight" if name else f"{child_name}.weight"]
            if weight.shape[0] == child.weight.shape[0]:
                continue
            parts = _parts_of(child_name, weight.shape[0], weight.shape[1])
            before, after = weight.shape[0] // parts, child.weight.shape[0] // parts
            changes = {before: after, before // heads: after // heads}
            for attribute, value in vars(module).items():
                if type(value) is int and value in changes and "dim" in attribute:
                    setattr(module, attribute, changes[value])
            break


def query_rows(module: nn.Module) -> tuple[str, int] | None:
    """Return the layer that gives an attention's queries, and how many of its first outputs these are."""
    heads = heads_of(module)
    for name, (child, parts) in _projections(module).items() if heads else ():
        tokens = _tokens(name)
        if (parts == 3 or tokens & _QUERIES) and child.out_features % (parts * heads) == 0:
            return name, child.out_features // parts
    return None


def _projections(module: nn.Module) -> dict[str, tuple[nn.Linear, int]]:
    """Return the layers that give queries, keys and values, each with how many of these it gives."""
    linear = {name: child for name, child in module.named_children() if isinstance(child, nn.Linear)}
    named = {name: child for name, child in linear.items() if _tokens(name) & _NAMES}
    if not named:  # the last one gives what the attention returns
        named = dict(list(linear.items())[: max(len(linear) - 1, 1)])
    return {
        name: (child, _parts_of(name, child.out_features, child.in_features)) for name, child in named.items()
    }


def _parts_of(name: str, outputs: int, inputs: int) -> int:
    tokens = _tokens(name)
    if "qkv" in tokens or outputs == 3 * inputs:
        return 3
    return 2 if tokens & {"kv", "qk"} else 1


def _tokens(name: str) -> set[str]:
    return set(name.lower().replace("proj", "").split("_"))
