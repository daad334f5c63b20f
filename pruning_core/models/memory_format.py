"""How a network's inputs and weights lie in memory: `channels_last` where it works, else contiguous.

`channels_last` is a layout of tensors of rank 4 and of no other. A network may not run in it: `x.view(n, -1)`
behind a convolution is refused there. So each network is tried, on a copy.
"""

import torch
from torch import Tensor, nn

from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, lay_out_rows, map_tensors, random_like, run, tensors_of
from pruning_core.models.strided_convolutions import StridedConvolutions
from pruning_core.models.user import seeded

_TRIED_EXAMPLES = 2  # one alone is too few for a norm of flat features
_MAX_DIFFERENCE = 1e-3
"""Of the largest logit, in float32 on the CPU: rounding differs by far less."""


def name_of(memory_format: torch.memory_format) -> str:
    """Return `channels_last` or `contiguous`."""
    return "channels_last" if memory_format is torch.channels_last else "contiguous"


def lay_out(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay the weights of a network out, in place: those of rank 4, as only they can be in `channels_last`."""

    def convert(tensor: Tensor) -> Tensor:
        return tensor.to(memory_format=memory_format) if tensor.dim() == 4 else tensor

    # As Module.to, which asks it of tensors of rank 5, too; torch has no annotation here.
    network._apply(convert)  # type: ignore[no-untyped-call]


def choose_memory_format(
    network: nn.Module,
    example: Inputs,
    preferred: torch.memory_format,
    device: torch.device,
    *,
    dtype: torch.dtype = torch.float32,
    train: bool = False,
    autocast: bool = False,
) -> torch.memory_format:
    """Return the preferred memory format if the network runs in it, and answers as in contiguous memory.

    Args:
        network: On the CPU, float32; it stays as it is.
        example: What it takes, of one example or several.
        preferred: What this machine is fastest with.
        device: Where it will run …
        dtype: … with weights and inputs of this type …
        train: … to be trained …
        autocast: … in bfloat16 by autocast.

    Returns:
        `preferred`, or `torch.contiguous_format`, also where the network runs in neither: what runs it then
        says why.
    """
    if preferred is torch.contiguous_format:
        return preferred
    inputs = random_like(example, _TRIED_EXAMPLES, torch.Generator().manual_seed(0))
    if not any(tensor.dim() == 4 for tensor in [*tensors_of(inputs), *network.parameters()]):
        return torch.contiguous_format  # nothing in it has that layout
    try:
        answer = _answer(network, inputs, preferred)
        with StridedConvolutions() as strided:  # type: ignore[no-untyped-call]  # torch's constructor
            expected = _answer(network, inputs, torch.contiguous_format)
        if train and device.type == "cpu" and strided.found:
            return torch.contiguous_format  # before it is tried: that may end the process
        if not _agree(answer, expected):
            # Dropout in evaluation draws by position in memory: that the answers differ says nothing then.
            again = _answer(network, inputs, torch.contiguous_format, seed=1)
            if _agree(again, expected):
                return torch.contiguous_format
        if train or device.type != "cpu" or dtype is not torch.float32:
            tried = convert(copy_network(network), device, dtype)
            lay_out(tried, preferred)
            _try(tried, lay_out_rows(to_type(inputs, device, dtype), preferred), device, train, autocast)
    except Exception:  # whatever a forward raises; in contiguous memory it may run
        return torch.contiguous_format
    return preferred


def convert(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Move a float32 network to a device and a type, in place; in float32 a layer keeps a type of its own."""
    return network.to(device) if dtype is torch.float32 else network.to(device, dtype)


def to_type(inputs: Inputs, device: torch.device, dtype: torch.dtype) -> Inputs:
    """Copy inputs to a device, their numbers in a type; whole numbers and truth values keep theirs."""
    return map_tensors(lambda t: t.to(device, dtype if t.is_floating_point() else t.dtype, copy=True), inputs)


def _answer(
    network: nn.Module, inputs: Inputs, memory_format: torch.memory_format, seed: int = 0
) -> list[Tensor]:
    tried = copy_network(network).eval()
    lay_out(tried, memory_format)
    with seeded(seed), torch.inference_mode():
        outputs = tensors_of(run(tried, lay_out_rows(inputs, memory_format)))
    return [output.float().nan_to_num() for output in outputs]


def _agree(answers: list[Tensor], expected: list[Tensor]) -> bool:
    return all(
        bool((one - other).abs().max() <= _MAX_DIFFERENCE * other.abs().max().clamp(min=1e-6))
        for one, other in zip(answers, expected, strict=True)
        if other.numel()
    )


def _try(network: nn.Module, inputs: Inputs, device: torch.device, train: bool, autocast: bool) -> None:
    network.train(train)
    with seeded(0, device), torch.inference_mode(not train):
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            outputs = tensors_of(run(network, inputs))  # several where there are auxiliary heads
        sums = [t.float().sum() for t in outputs if t.requires_grad]
        if sums:  # none of a frozen network: that is said elsewhere
            torch.stack(sums).sum().backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
