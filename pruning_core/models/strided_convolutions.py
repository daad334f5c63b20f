"""Convolutions whose weight gradient oneDNN writes beyond its memory, in channels_last, with AVX-512 too."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

MIN_INPUTS = 16
"""From so many inputs on oneDNN takes another kernel, whose gradients are right."""

MAX_OUTPUT_PIXELS = 16 * 16
"""Up to here nothing was found in random trials (`tests/pruning/test_convolution_arithmetic.py`)."""

_CONVOLUTIONS = (torch.ops.aten.convolution, torch.ops.aten.conv2d)
"""The first with autograd, the second in inference mode; both take the strides as fourth argument."""


class StridedConvolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch lacks its annotations
    """Sees whether a forward has a 1×1 convolution of stride 2 from a few channels, over many pixels.

    In channels_last its weight gradient ends the process (`results/notes/strided-convolutions.md`). It is
    looked for where operations are carried out, so that functional calls are seen, too.
    """

    found = False

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Carry an operation out, and note a convolution of that kind."""
        output = function(*args, **(kwargs or {}))
        if getattr(function, "overloadpacket", None) in _CONVOLUTIONS and len(args) > 3:
            weight, strides = args[1], args[3]  # (outputs, inputs of a group, *kernel), for all sides or each
            self.found = self.found or _is_such(weight, strides, output)
        return output


def _is_such(weight: Tensor, strides: Sequence[int], output: Tensor) -> bool:
    return (
        set(weight.shape[2:]) == {1}
        and max(strides) > 1
        and weight.shape[1] < MIN_INPUTS
        and output.shape[2:].numel() > MAX_OUTPUT_PIXELS
    )
