"""What a network does with its inputs: whether it returns what it must, and which layers make that."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pruning_core.errors import ModelError
from pruning_core.models.inputs import Inputs, explain, run
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
        run_lazy_layers(network, name, torch.zeros(2, *image))
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


def run_lazy_layers(network: nn.Module, name: str, inputs: Inputs) -> None:
    """Run layers that run in training alone, such as auxiliary heads, where they have no weights yet."""
    if not any(is_lazy(tensor) for tensor in [*network.parameters(), *network.buffers()]):
        return
    take_training_paths(network)
    try:
        with torch.no_grad():
            run(network, inputs)
    except BaseException as error:
        raise_if_not_theirs(error)
        given = f"images of {_shape(inputs.shape[1:])}" if isinstance(inputs, Tensor) else explain(inputs)
        what = f"{given} in training mode"
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


def find_classifier(network: nn.Module, example: Inputs) -> str:
    """Name the layer that makes the logits: the last convolution or linear layer that they depend on.

    Others may run later, such as an auxiliary head whose answer is kept aside. So where what a layer gives is
    not the network's answer itself, it is changed, to see whether the answer does.

    Args:
        network: Any network.
        example: Images, (N, C, H, W).

    Raises:
        ModelError: If no convolution or linear layer runs.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            answer, last = _run(network, example)
            layers = list(reversed(last))[:_MAX_LATER]
            making = (layer for layer in layers if _makes(network, example, layer, last[layer], answer))
            found = next(making, None)
    finally:
        network.train(was_training)
    return _name_of(network, found or layers[0])


def find_heads(network: nn.Module, example: Inputs) -> tuple[str, ...]:
    """Name the layers that make what a network returns: one for logits, several for a detector, say.

    For each tensor that it returns, the last convolution or linear layer that it depends on.

    Args:
        network: Any network.
        example: Inputs, (N, …).

    Raises:
        ModelError: If no convolution or linear layer runs, or it returns something else than tensors.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            answer, last = _run(network, example)
            answers = tensors_in(answer)
            if len(answers) == 1:
                return (find_classifier(network, example),)
            heads, without_head = [], set(range(len(answers)))
            for layer in list(reversed(last))[:_MAX_LATER_OF_SEVERAL]:
                found = without_head & _made_by(network, example, layer, last[layer], answers)
                if found:
                    heads.append(_name_of(network, layer))
                    without_head -= found
                if not without_head:
                    break
    finally:
        network.train(was_training)
    return tuple(heads)


def tensors_in(answer: object) -> list[Tensor]:
    """Return the tensors that a network returned: one, or those in tuples, lists and dicts of them.

    Raises:
        ModelError: If there is something else among them.
    """
    if isinstance(answer, Tensor):
        return [answer]
    if isinstance(answer, Mapping):
        return [tensor for item in answer.values() for tensor in tensors_in(item)]
    if isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
        return [tensor for item in answer for tensor in tensors_in(item)]
    if answer is None:
        return []
    raise ModelError(
        f"the network returns a {type(answer).__name__}: return a tensor, or tuples, lists or dicts of them"
    )


_MAX_LATER, _MAX_LATER_OF_SEVERAL = 8, 100
"""Layers that are looked at, from the last one on: for one answer, and for several."""


def _run(network: nn.Module, example: Inputs) -> tuple[object, dict[nn.Module, object]]:
    """Return the answer, and what each layer gave, in the order in which they ran last.

    Raises:
        ModelError: If no convolution or linear layer runs.
    """
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    last: dict[nn.Module, object] = {}
    hooks = [
        m.register_forward_hook(lambda layer, _, output: _put_last(last, layer, output))
        for m in network.modules()
        if isinstance(m, kinds)
    ]
    try:
        answer = run(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    if not last:
        raise ModelError("no convolution or linear layer runs in this model: nothing can be pruned")
    return answer, last


def _name_of(network: nn.Module, layer: nn.Module) -> str:
    names: dict[nn.Module, str] = {module: name for name, module in network.named_modules()}
    return names[layer]


def _put_last(last: dict[nn.Module, object], layer: nn.Module, output: object) -> None:
    last.pop(layer, None)
    last[layer] = output


def _makes(network: nn.Module, example: Inputs, layer: nn.Module, output: object, answer: object) -> bool:
    """Tell whether a network's answer depends on what a layer gives."""
    if not (isinstance(output, Tensor) and isinstance(answer, Tensor)):
        return True
    if output.data_ptr() == answer.data_ptr() and output.numel() == answer.numel():
        return True
    return bool(_made_by(network, example, layer, output, [answer]))


def _made_by(
    network: nn.Module, example: Inputs, layer: nn.Module, output: object, answers: Sequence[Tensor]
) -> set[int]:
    """Return the numbers of the answers that depend on what a layer gives."""
    if not isinstance(output, Tensor):
        return set(range(len(answers)))
    # Added numbers that differ: what follows may be a softmax or a norm.
    ramp = torch.linspace(1, 2, output.numel()).reshape(output.shape)
    hook = layer.register_forward_hook(lambda _layer, _inputs, given: given + ramp.to(given))
    try:
        others = tensors_in(run(network, example))
    finally:
        hook.remove()
    if len(others) != len(answers):
        return set(range(len(answers)))
    pairs = enumerate(zip(others, answers, strict=True))
    return {k for k, (one, other) in pairs if not torch.equal(one.nan_to_num(), other.nan_to_num())}


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape)
