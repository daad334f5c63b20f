"""The multiply-adds of every product that a network computes: those of PyTorch's own flop counter, completed.

`torch.utils.flop_counter` looks at what is dispatched, so it sees functions, subclasses and shared modules.
It knows no fused attention of the CPU, no recurrent layer of a library, and no product with a vector; here it
is told.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

_FLOPS_PER_MAC = 2

Shape = Sequence[int]


class ProductCounter:
    """What a `with count_products()` found."""

    def __init__(self, counter: FlopCounterMode) -> None:
        """Read from torch's counter, once it is done."""
        self._counter = counter

    @property
    def macs(self) -> int:
        """Multiply-adds of all products together."""
        return int(self._counter.get_total_flops()) // _FLOPS_PER_MAC


class _NoModules(ModuleTracker):
    """Nothing is asked of the modules that run: torch would hook gradients, which are not there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def count_products() -> Iterator[ProductCounter]:
    """Count the products that are computed within, on any device, with gradients or without.

    Meanwhile PyTorch's fused encoder layer is not used: it is one operation, of which nothing can be told.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        counter = FlopCounterMode(display=False, custom_mapping=_formulas())
        counter.mod_tracker = _NoModules()
        with counter:
            yield ProductCounter(counter)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _attention(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    # Scores, and what they weigh; a causal mask saves nothing that is counted.
    *rows, width = query
    return _FLOPS_PER_MAC * math.prod(rows) * key[-2] * (width + value[-1])


def _mkldnn_rnn(tokens: Shape, by_input: Shape, by_state: Shape, *_: object, **__: object) -> int:
    return _recurrent(tokens, (by_input, by_state))


def _recurrent(tokens: Shape, weights: Sequence[Shape], *_: object, **__: object) -> int:
    # Each token of each sequence meets each weight once; biases have one dimension.
    met = sum(math.prod(weight) for weight in weights if len(weight) > 1)
    return _FLOPS_PER_MAC * math.prod(tokens[:-1]) * met


def _bilinear(left: Shape, weight: Shape, right: Shape, *_: object, **__: object) -> int:
    # First by the left input: (N, out, right) sums over left; then by the right one.
    outputs, left_width, right_width = weight
    return _FLOPS_PER_MAC * math.prod(left[:-1]) * outputs * right_width * (left_width + 1)


def _matrix_vector(matrix: Shape, _: Shape, *__: object, **___: object) -> int:
    return _FLOPS_PER_MAC * math.prod(matrix)


def _added_matrix_vector(_: Shape, matrix: Shape, *__: object, **___: object) -> int:
    return _FLOPS_PER_MAC * math.prod(matrix)


def _added_products(_: Shape, left: Shape, right: Shape, *__: object, **___: object) -> int:
    return _products(left, right)


def _products(left: Shape, right: Shape, *_: object, **__: object) -> int:
    return _FLOPS_PER_MAC * math.prod(left) * right[-1]


def _distances(left: Shape, right: Shape, *_: object, **__: object) -> int:
    return _FLOPS_PER_MAC * math.prod(left) * right[-2]


def _sequence_convolution(tokens: Shape, weight: Shape, _: Shape, padding: int = 0, **__: object) -> int:
    steps, batch, _inputs = tokens
    return _FLOPS_PER_MAC * (steps + 2 * padding - weight[0] + 1) * batch * math.prod(weight)


def _deformable(
    images: Shape, weight: Shape, *_: object, out_shape: Shape | None = None, **__: object
) -> int:
    assert out_shape is not None
    return _FLOPS_PER_MAC * images[0] * math.prod(out_shape[2:]) * math.prod(weight)


def _formulas() -> dict[Any, Callable[..., int]]:
    """Return operation → its flops by the shapes of its arguments, where torch's counter has none."""
    aten = torch.ops.aten
    formulas: dict[Any, Callable[..., int]] = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_fused_attention_overrideable: _attention,
        aten.mkldnn_rnn_layer: _mkldnn_rnn,
        aten._cudnn_rnn: _recurrent,
        aten.miopen_rnn: _recurrent,
        aten._trilinear: _bilinear,
        aten.mv: _matrix_vector,
        aten.dot: _matrix_vector,
        aten.vdot: _matrix_vector,
        aten.addmv: _added_matrix_vector,
        aten.addbmm: _added_products,
        aten._addmm_activation: _added_products,
        aten._cdist_forward: _distances,
        aten._euclidean_dist: _distances,
        aten.conv_tbc: _sequence_convolution,
    }
    if hasattr(torch.ops.torchvision, "deform_conv2d"):  # where torchvision's operators are loaded
        formulas[torch.ops.torchvision.deform_conv2d] = _deformable
    return formulas
