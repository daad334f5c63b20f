"""What a network does with images: whether it returns logits, and which layer makes them."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pruning_core.errors import ModelError
from pruning_core.user_code.functions import one_line, raise_if_not_theirs


def check_output(network: nn.Module, name: str, classes: int, image: tuple[int, int, int]) -> None:
    """Run two blank images through the network, and one; what is lazy in it gets its weights.

    Raises:
        ModelError: If it cannot take (N, *image) or does not return logits of shape (N, classes).
    """
    was_training = network.training
    network.eval()
    try:
        for n in (2, 1):
            _check_logits(network, name, classes, image, n)
        if any(is_lazy(tensor) for tensor in [*network.parameters(), *network.buffers()]):
            _run_training_paths(network, name, image)
    finally:
        network.train(was_training)


def take_training_paths(network: nn.Module) -> None:
    """Let forwards that a user wrote take their paths of training; norms and dropout do as in evaluation.

    So what a network returns in training can be compared with its answer in evaluation, and no norm learns.
    """
    network.eval()
    for layer in network.modules():
        of_torch = type(layer).__module__.partition(".")[0] == "torch"
        layer.training = layer is network or (any(layer.children()) and not of_torch)


def _run_training_paths(network: nn.Module, name: str, image: tuple[int, int, int]) -> None:
    """Run layers that run in training alone, such as auxiliary heads."""
    take_training_paths(network)
    try:
        with torch.no_grad():
            network(torch.zeros(2, *image))
    except BaseException as error:
        raise_if_not_theirs(error)
        what = f"images of {_shape(image)} in training mode"
        raise ModelError(f"model {name} cannot take {what}: {one_line(error)}") from error


def _check_logits(network: nn.Module, name: str, classes: int, image: tuple[int, int, int], n: int) -> None:
    try:
        with torch.no_grad():  # what a lazy layer makes in inference mode could not be trained
            logits = network(torch.zeros(n, *image))
    except BaseException as error:
        raise_if_not_theirs(error)
        what = f"images of {_shape(image)}" + (", one alone" if n == 1 else "")
        raise ModelError(f"model {name} cannot take {what}: {one_line(error)}") from error
    if not isinstance(logits, Tensor) or logits.shape != (n, classes):
        got = _shape(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        images = "1 image" if n == 1 else f"{n} images"
        raise ModelError(f"model {name}: for {images} it must return logits of {n}×{classes}; got {got}")


def find_classifier(network: nn.Module, example: Tensor) -> str:
    """Name the layer that makes the logits: the last convolution or linear layer that they depend on.

    Others may run later, such as an auxiliary head whose answer is kept aside. So where what a layer gives is
    not the network's answer itself, it is changed, to see whether the answer does.

    Args:
        network: Any network.
        example: Images, (N, C, H, W).

    Raises:
        ModelError: If no convolution or linear layer runs.
    """
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    last: dict[nn.Module, object] = {}  # in the order in which they run last → what they give
    hooks = [
        m.register_forward_hook(lambda layer, _, output: _put_last(last, layer, output))
        for m in network.modules()
        if isinstance(m, kinds)
    ]
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            answer = network(example)
            for hook in hooks:
                hook.remove()
            layers = list(reversed(last))[:_MAX_LATER]
            making = (layer for layer in layers if _makes(network, example, layer, last[layer], answer))
            found = next(making, None)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    if not last:
        raise ModelError("no convolution or linear layer runs in this model: nothing can be pruned")
    names: dict[nn.Module, str] = {layer: name for name, layer in network.named_modules()}
    return names[found or layers[0]]


_MAX_LATER = 8
"""Layers that are looked at, from the last one on."""


def _put_last(last: dict[nn.Module, object], layer: nn.Module, output: object) -> None:
    last.pop(layer, None)
    last[layer] = output


def _makes(network: nn.Module, example: Tensor, layer: nn.Module, output: object, answer: object) -> bool:
    """Tell whether a network's answer depends on what a layer gives."""
    if not (isinstance(output, Tensor) and isinstance(answer, Tensor)):
        return True
    if output.data_ptr() == answer.data_ptr() and output.numel() == answer.numel():
        return True
    # Added numbers that differ: what follows may be a softmax or a norm.
    ramp = torch.linspace(0, 1, output.numel()).reshape(output.shape)
    hook = layer.register_forward_hook(lambda _layer, _inputs, given: given + ramp.to(given))
    try:
        return not torch.equal(network(example).nan_to_num(), answer.nan_to_num())
    finally:
        hook.remove()


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape)
