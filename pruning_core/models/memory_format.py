"""How a network's images and weights lie in memory: `channels_last` where it works, else contiguous.

`channels_last` is a layout of tensors of rank 4 and of no other. A network may not run in it: `x.view(n, -1)`
behind a convolution is refused there. So each network is tried, on a copy.
"""

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from pruning_core.models.copying import copy_network
from pruning_core.models.strided_convolutions import StridedConvolutions
from pruning_core.models.user import seeded

_TRIED_IMAGES = 2  # one alone is too few for a norm of flat features
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
    image: tuple[int, ...],
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
        image: Channels, height and width of an image.
        preferred: What this machine is fastest with.
        device: Where it will run …
        dtype: … with weights and images of this type …
        train: … to be trained …
        autocast: … in bfloat16 by autocast.

    Returns:
        `preferred`, or `torch.contiguous_format`, also where the network runs in neither: what runs it then
        says why.
    """
    if preferred is torch.contiguous_format:
        return preferred
    images = torch.randn(_TRIED_IMAGES, *image, generator=torch.Generator().manual_seed(0))
    try:
        answer = _answer(network, images, preferred)
        with StridedConvolutions() as strided:  # type: ignore[no-untyped-call]  # torch's constructor
            expected = _answer(network, images, torch.contiguous_format)
        if train and device.type == "cpu" and strided.found:
            return torch.contiguous_format  # before it is tried: that may end the process
        if not _agree(answer, expected):
            # Dropout in evaluation draws by position in memory: that the answers differ says nothing then.
            again = _answer(network, images, torch.contiguous_format, seed=1)
            if _agree(again, expected):
                return torch.contiguous_format
        if train or device.type != "cpu" or dtype is not torch.float32:
            tried = convert(copy_network(network), device, dtype)
            lay_out(tried, preferred)
            images = images.to(device, dtype).contiguous(memory_format=preferred)
            _try(tried, images, train, autocast)
    except Exception:  # whatever a forward raises; in contiguous memory it may run
        return torch.contiguous_format
    return preferred


def convert(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Move a float32 network to a device and a type, in place; in float32 a layer keeps a type of its own."""
    return network.to(device) if dtype is torch.float32 else network.to(device, dtype)


def _answer(
    network: nn.Module, images: Tensor, memory_format: torch.memory_format, seed: int = 0
) -> Tensor:  # -> (N, classes)
    tried = copy_network(network).eval()
    lay_out(tried, memory_format)
    with seeded(seed), torch.inference_mode():
        logits: Tensor = tried(images.contiguous(memory_format=memory_format))
    return logits.float().nan_to_num()


def _agree(answer: Tensor, expected: Tensor) -> bool:
    return bool((answer - expected).abs().max() <= _MAX_DIFFERENCE * expected.abs().max().clamp(min=1e-6))


def _try(network: nn.Module, images: Tensor, train: bool, autocast: bool) -> None:
    network.train(train)
    with seeded(0, images.device), torch.inference_mode(not train):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=autocast):
            output = network(images)
        tensors, _ = tree_flatten(output)  # a tuple or dict where there are auxiliary heads
        sums = [t.float().sum() for t in tensors if isinstance(t, Tensor) and t.requires_grad]
        if sums:  # none of a frozen network: that is said elsewhere
            torch.stack(sums).sum().backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
