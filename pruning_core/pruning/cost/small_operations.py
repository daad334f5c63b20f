"""What a network computes beside products: biases, norms, activations, pooling; by torch-pruning's formulas.

Published tables count them, each in its way; PyTorch's counter does not. They are counted by module, as often
as it is called; a subclass counts as its base. What a forward does by functions (`F.relu`, `x + y`) is not
among them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from pruning_core.torchvision_compat import torch_pruning

_counter = torch_pruning.utils.op_counter

Formula = Callable[[Any, list[Tensor], Tensor], int]
"""Module, tensors that it was given, the first that it returned → operations."""


class SmallOperations:
    """What a `with count_small_operations(network)` found."""

    count = 0


@contextmanager
def count_small_operations(network: nn.Module) -> Iterator[SmallOperations]:
    """Count the small operations of the modules of a network that are called within."""
    found = SmallOperations()
    handles = []

    def count(module: nn.Module, given: tuple[object, ...], named: dict[str, object], result: object) -> None:
        inputs, outputs = list(_tensors([*given, *named.values()])), list(_tensors([result]))
        formula = _formula_of(module)
        if formula is not None and inputs and outputs:
            found.count += formula(module, inputs, outputs[0])

    try:
        for module in dict.fromkeys(_counted_modules(network)):
            handles.append(module.register_forward_hook(count, with_kwargs=True))
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _counted_modules(network: nn.Module) -> Iterator[nn.Module]:
    """Walk over the modules that have a formula; not into known types: there it tells of all they hold."""
    if _formula_of(network) is not None:
        yield network
    if type(network) in _counter.MODULES_MAPPING:
        return
    for child in network.children():
        yield from _counted_modules(child)


def _formula_of(module: nn.Module) -> Formula | None:
    known = (_counter.MODULES_MAPPING.get(kind) for kind in type(module).__mro__)
    return _FORMULAS.get(next(filter(None, known), None))


def _tensors(values: list[object]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, PackedSequence):
            yield value.data
        elif isinstance(value, (tuple, list)):
            yield from _tensors(list(value))


def _each_output(_: nn.Module, __: list[Tensor], output: Tensor) -> int:
    return output.numel()


def _each_input(_: nn.Module, inputs: list[Tensor], __: Tensor) -> int:
    return inputs[0].numel()


def _norm(module: Any, inputs: list[Tensor], _: Tensor) -> int:
    affine = module.elementwise_affine if isinstance(module, nn.LayerNorm) else module.affine
    return inputs[0].numel() * (2 if affine else 1)


def _convolution_bias(module: Any, _: list[Tensor], output: Tensor) -> int:
    return 0 if module.bias is None else output.numel()


def _linear_bias(module: Any, _: list[Tensor], output: Tensor) -> int:
    # Once a call, however many tokens: a habit of torch-pruning's, in the published counts of transformers.
    return 0 if module.bias is None else output.shape[-1]


def _recurrent(module: Any, inputs: list[Tensor], _: Tensor) -> int:
    gates, states = {"RNN": (1, 1), "GRU": (3, 7), "LSTM": (4, 10)}[_recurrent_kind(module)]
    tokens = inputs[0].numel() // inputs[0].shape[-1]
    each = (2 * gates if module.bias else 0) + states  # two biases a gate
    directions = 2 if getattr(module, "bidirectional", False) else 1
    return tokens * directions * int(getattr(module, "num_layers", 1)) * int(module.hidden_size) * each


def _recurrent_kind(module: nn.Module) -> str:
    if isinstance(module, (nn.LSTM, nn.LSTMCell)):
        return "LSTM"
    return "GRU" if isinstance(module, (nn.GRU, nn.GRUCell)) else "RNN"


def _multihead_attention(module: Any, inputs: list[Tensor], _: Tensor) -> int:
    query, key, value = inputs[:3]
    length = 1 if module.batch_first and query.dim() == 3 else 0
    queries, keys, values = (t.numel() // t.shape[-1] for t in (query, key, value))
    scale = queries * module.embed_dim
    softmax = module.num_heads * queries * key.shape[length]
    biases = 0 if module.in_proj_bias is None else (queries + keys + values) * module.embed_dim
    projection = 0 if module.out_proj.bias is None else queries * module.embed_dim
    return int(scale + softmax + biases + projection)


def _fused_qkv_attention(module: Any, inputs: list[Tensor], output: Tensor) -> int:
    tokens, width = inputs[0].numel() // inputs[0].shape[-1], module.qkv.out_features // 3
    scale = tokens * width
    softmax = module.num_heads * tokens * inputs[0].shape[-2]
    biases = 0 if module.qkv.bias is None else 3 * tokens * width
    projection = 0 if module.proj.bias is None else tokens * output.shape[-1]
    return int(scale + softmax + biases + projection)


_FORMULAS: Mapping[object, Formula] = {
    _counter.conv_flops_counter_hook: _convolution_bias,
    _counter.linear_flops_counter_hook: _linear_bias,
    _counter.bn_flops_counter_hook: _norm,
    _counter.ln_flops_counter_hook: _norm,
    _counter.relu_flops_counter_hook: _each_output,
    _counter.upsample_flops_counter_hook: _each_output,
    _counter.pool_flops_counter_hook: _each_input,
    _counter.rnn_flops_counter_hook: _recurrent,
    _counter.rnn_cell_flops_counter_hook: _recurrent,
    _counter.multihead_attention_counter_hook: _multihead_attention,
    _counter.timm_multihead_attention_counter_hook: _fused_qkv_attention,
}
"""torch-pruning's formula of a module → of that, what is no product."""
