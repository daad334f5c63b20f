"""What is compared: networks and other callables, made ready to be called in pairs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pruning_core.console.shown import shown
from pruning_core.errors import ModelError, OptionError, first_line
from pruning_core.models.copying import copy_network
from pruning_core.system.clock import Call
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

Subject = Callable[..., object]
"""A network, or any other callable."""


def device_of(reference: Subject, candidate: Subject, asked: str | torch.device | None) -> str:
    """Return the device that both work on.

    Args:
        reference: A network has to lie there.
        candidate: Likewise.
        asked: None: where the networks lie, else the CPU.

    Raises:
        OptionError: If there is no such device, or a network lies elsewhere, or has no weights in memory.
    """
    if not isinstance(asked, str | torch.device | None):
        raise OptionError(f"device must be a name, as cpu or cuda:0; got {shown(asked)}")
    lies = {}
    for name, subject in (("reference", reference), ("candidate", candidate)):
        if isinstance(subject, nn.Module):
            tensors = [*subject.parameters(), *subject.buffers()]
            if tensors:
                lies[name] = str(tensors[0].device)
    wanted = next(iter(lies.values()), "cpu") if asked is None else str(asked)
    try:
        # As tensors name it: with its number, where that kind has numbers.
        named = torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise OptionError(f"no device {wanted!r} here ({first_line(error)}); cpu is always there") from None
    if named.type == "cpu":
        wanted, named = "cpu", torch.device("cpu")  # there is only one, whatever its number
    for name, device in lies.items():
        if device != str(named):
            raise OptionError(
                f"the {name} lies on {device}, and what runs on {wanted} is compared: "
                f"move it first, {name}.to({wanted!r})"
            )
    if named.type == "meta":
        raise OptionError("what lies on the device meta has no content, and takes no time")
    return wanted


def arguments_on(inputs: object, device: str) -> tuple[object, ...]:
    """Return the arguments of a call: items of a tuple, of None nothing; tensors as copies on a device."""

    def placed(value: object) -> object:
        if isinstance(value, Tensor) and value.is_meta:
            raise OptionError("an input lies on the device meta, where tensors have no content")
        return value.detach().to(device, copy=True) if isinstance(value, Tensor) else value

    values = () if inputs is None else inputs if isinstance(inputs, tuple) else (inputs,)
    return tuple(placed(value) for value in values)


def copy_of(subject: Subject) -> Subject:
    """Return a copy of a network, with weights elsewhere in memory; of what cannot be copied, itself."""
    if not isinstance(subject, nn.Module):
        return subject
    try:
        return copy_network(subject)
    except (ModelError, RuntimeError):  # it holds a lock, say; there is no memory for another
        return subject


@contextmanager
def evaluating(subject: object) -> Iterator[None]:
    """Have a network in evaluation mode; afterwards each of its modules is in the mode that it was in."""
    modules: list[nn.Module] = list(subject.modules()) if isinstance(subject, nn.Module) else []
    modes = [module.training for module in modules]
    if modules:
        modules[0].eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def bind(subject: Subject, arguments: tuple[object, ...], device: str) -> Call:
    """Return a call that returns when the work is done."""

    def run() -> object:
        return subject(*arguments)

    def infer() -> object:
        with torch.inference_mode():
            return subject(*arguments)

    launch = infer if isinstance(subject, nn.Module) else run
    if device == "cpu":
        return launch

    def launch_and_wait() -> object:
        answer = launch()
        torch.accelerator.synchronize(torch.device(device))
        return answer

    return launch_and_wait


def first_call_s(call: Call, name: str) -> float:
    """Call twice, so that a mistake is told before anything is measured; return the seconds of the second."""
    try:
        call()
        start = time.perf_counter()
        call()
    except Exception as error:
        raise_if_not_theirs(error)
        raise ModelError(f"the {name} cannot run on these inputs: {one_line(error)}") from error
    return time.perf_counter() - start
