"""What a network computes over its channels: norms, means, a softmax. A proof leaves these out (`proof.py`).

Fewer channels give another mean, so a cut cannot be exact behind one. Each function here stands for one that
does that, in a form that does not depend on how many channels there are: those that are zero count nothing.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SCALE = "scale of attention"
"""What is changed by fewer channels in a head: scores are divided by the root of its width."""

DROPOUT, STANDARDIZED = "dropout", "standardized weights"


class WithoutStatistics(TorchFunctionMode):
    """Runs functions of tensors; those whose result depends on how many channels there are, without that.

    A deep network of steep activations makes anything of what rounding leaves. `calm` bends them less: which
    channels they get is all that matters here.
    """

    def __init__(self, without: Collection[str], calm: bool = False) -> None:
        super().__init__()
        self.used: set[str] = set()
        self._without = without
        self._calm = calm

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function, or what stands for it."""
        kwargs = dict(kwargs or {})
        called = getattr(func, "__name__", "")
        if self._calm and called in _ACTIVATIONS:
            x, *others = args
            bent: Tensor = func(x.clone(), *others, **kwargs)  # it may write into what it gets
            return (1 - _BENT) * x + _BENT * bent
        found = _STATISTICS.get(called)
        if found is None or _is_none(found[0], args, kwargs):
            return func(*args, **kwargs)
        name, replace = found
        self.used.add(name)
        return replace(func, args, kwargs) if name in self._without else func(*args, **kwargs)


def _is_none(name: str, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """Tell a call that computes nothing over channels: dropout in evaluation, norms of a batch of images."""
    if name == DROPOUT:
        return not dict(enumerate(args)).get(2, kwargs.get("training", True))
    if name == STANDARDIZED:
        return not (args[0].dim() == 3 and args[0].shape[0] == 1 and args[1:2] in ((), (None,)))
    return False


def _affine_only(position: int, channels_last: bool) -> Callable[..., Tensor]:
    """Return a norm that scales and shifts, and divides by no statistics."""

    def replaced(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
        given = dict(enumerate(args))
        result: Tensor = args[0]
        shape = (-1,) if channels_last else (1, -1, *(1,) * (result.dim() - 2))
        for at, name in ((position, "weight"), (position + 1, "bias")):
            tensor = given.get(at, kwargs.get(name))
            if tensor is not None:
                shaped = tensor if channels_last else tensor.reshape(shape)
                result = result * shaped if name == "weight" else result + shaped
        return result

    return replaced


def _sigmoid(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Weigh each by itself; bounded, since without norms scores grow from layer to layer."""
    return torch.sigmoid(0.1 * args[0])


def _sum(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Sum up what is averaged: then channels that are zero do not count."""
    if isinstance(args[0], nn.Parameter):  # of a weight that is standardized
        return torch.zeros_like(func(*args, **kwargs))
    return 0.1 * torch.sum(*args, **kwargs)


def _ones(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    return torch.ones_like(func(*args, **kwargs))


def _one_where_any(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Take each norm for one, but that of zeros: of a removed channel, over its pixels, it stays zero."""
    norm = func(*args, **kwargs)
    return (norm != 0).to(norm.dtype)


def _ones_and_zeros(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    deviation, mean = func(*args, **kwargs)
    return torch.ones_like(deviation), torch.zeros_like(mean)


def _itself(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    result: Tensor = args[0]
    return result


def _fixed_scale(func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    return func(*args, **{**kwargs, "scale": 0.1})


def _fixed_scale_of_heads(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Run multi-head attention whose scores are not divided by the root of the head's width."""
    arguments = list(args)
    embedding, heads = arguments[3], arguments[4]
    factor = 0.1 * (embedding // heads) ** 0.5
    for at in (5, 6):  # weights and biases of queries, keys and values
        if arguments[at] is not None:
            scaled = arguments[at].clone()
            scaled[:embedding] *= factor
            arguments[at] = scaled
    return func(*arguments, **kwargs)


_BENT = 0.2
"""Share of the activation itself, beside what it gets."""

_ACTIVATIONS = frozenset(
    (
        *("relu", "relu_", "relu6", "leaky_relu", "hardtanh"),
        *("elu", "selu", "celu", "silu", "gelu", "mish", "hardswish"),
    )
)
"""Functions of each element alone that have no parameters."""

_STATISTICS: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "layer_norm": ("layer norm", _affine_only(2, channels_last=True)),
    "group_norm": ("group norm", _affine_only(2, channels_last=False)),
    "rms_norm": ("RMS norm", _affine_only(2, channels_last=True)),
    "local_response_norm": ("local response norm", _itself),
    "batch_norm": (STANDARDIZED, _itself),
    "mean": ("mean", _sum),
    "std": ("standard deviation", _ones),
    "var": ("variance", _ones),
    "std_mean": ("standard deviation", _ones_and_zeros),
    "var_mean": ("variance", _ones_and_zeros),
    "norm": ("norm over channels", _one_where_any),
    "vector_norm": ("norm over channels", _one_where_any),
    "linalg_vector_norm": ("norm over channels", _one_where_any),
    "softmax": ("softmax", _sigmoid),
    "log_softmax": ("softmax", _sigmoid),
    "normalize": ("norm over channels", _itself),
    "dropout": (DROPOUT, _itself),
    "alpha_dropout": (DROPOUT, _itself),
    "feature_alpha_dropout": (DROPOUT, _itself),
    "dropout1d": (DROPOUT, _itself),
    "dropout2d": (DROPOUT, _itself),
    "dropout3d": (DROPOUT, _itself),
    "scaled_dot_product_attention": (SCALE, _fixed_scale),
    "multi_head_attention_forward": (SCALE, _fixed_scale_of_heads),
}
"""Function's name → what it computes over channels, and what runs in its place to leave that out."""
