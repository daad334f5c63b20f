"""What `prune` is given, checked; and a network brought to the CPU, in float32, and back as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pruning_core.config.parse import MAX_SEED
from pruning_core.config.spec import MethodSpec
from pruning_core.config.validation import option_error
from pruning_core.console.shown import shown
from pruning_core.errors import ModelError, OptionError
from pruning_core.models.copying import copy_network
from pruning_core.models.inspect import tensors_in
from pruning_core.pruning import find_method
from pruning_core.pruning.combinations import check_method
from pruning_core.pruning.prepared import PreparedMethod
from pruning_core.pruning.tensors import all_tensors
from pruning_core.records.controls import is_control
from pruning_core.user_code.functions import one_line, raise_if_not_theirs

HALF = (torch.float16, torch.bfloat16)


def method_spec(
    method: str,
    ratio: float,
    scope: str,
    round_to: int,
    protect: Sequence[str],
    ratio_of: Mapping[str, float] | None,
    max_ratio: float,
    seed: int,
) -> MethodSpec:
    """Check what `prune` is asked for, and return it as a spec of one step.

    Raises:
        OptionError: If a value is invalid; `UnknownNameError` if there is no such method.
    """
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio < 1:
        raise OptionError(
            f"ratio is the fraction of the dense channels to remove, from 0 to below 1; got {shown(ratio)}"
        )
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise OptionError(f"seed must be a whole number from 0 to {MAX_SEED}; got {shown(seed)}")
    fields = {"name": method, "scope": scope, "round_to": round_to, "protect": protect}
    fields["max_ratio"] = max_ratio
    try:
        spec = MethodSpec.model_validate({**fields, "ratio_of": ratio_of or {}, "schedule": "one-shot"})
    except ValidationError as error:
        raise option_error(error) from None
    check_method(spec, [ratio])
    if is_control(spec.name):
        raise OptionError(
            f"{spec.name} is a control, trained in a way of its own: `pruning-bench prepare` and the "
            "suites do that, prune() does not. Name a method that cuts channels, such as magnitude"
        )
    chosen = find_method(spec.name)
    if isinstance(chosen, PreparedMethod):
        raise OptionError(
            f"{spec.name} trains the network on with a penalty before the cut, which prune() does not: "
            f"`pruning-bench prepare` and the suites do. For a network that you have trained so, take "
            f"{chosen.ranks_as}, which ranks alike"
        )
    return spec


def highest_ratios(gone: Mapping[bool, float], method: str, ratio: float) -> dict[bool, float]:
    """Return the highest ratios after one more step; arguments are those of `check_goes_on`."""
    masks = find_method(method).masks
    return {**gone, masks: max(float(ratio), gone.get(masks, 0.0))}


def check_goes_on(gone: Mapping[bool, float], method: str, ratio: float) -> None:
    """Refuse to prune a network further to less than is gone.

    Args:
        gone: Whether a method masks → the highest ratio so far.
        method: The method now.
        ratio: And its ratio.

    Raises:
        OptionError: If it is below that.
    """
    if ratio < (before := gone.get(find_method(method).masks, 0.0)):
        raise OptionError(
            f"ratio {ratio:g}: {before:g} is gone already, and ratios are relative to the dense network; "
            "give a higher one, or prune the dense network"
        )


def check_network(module: object) -> nn.Module:
    """Return what is to be pruned.

    Raises:
        OptionError: If it is no network.
    """
    if not isinstance(module, nn.Module):
        raise OptionError(f"prune() takes an nn.Module, or what it returned; got {type(module).__name__}")
    return module


@dataclass(frozen=True)
class Origin:
    """Where a network was, in which types and modes."""

    device: torch.device
    dtypes: Mapping[str, torch.dtype]
    modes: Mapping[str, bool]

    @classmethod
    def of(cls, network: nn.Module) -> "Origin":
        """Note it.

        Raises:
            OptionError: If its tensors lie on several devices, or have no content.
        """
        tensors = all_tensors(network)
        devices = {tensor.device for tensor in tensors.values()} or {torch.device("cpu")}
        if len(devices) > 1 or "meta" in {device.type for device in devices}:
            names = ", ".join(sorted(map(str, devices)))
            raise OptionError(f"the network lies on {names}: bring it to one device, with its weights, first")
        return cls(
            next(iter(devices)),
            {name: tensor.dtype for name, tensor in tensors.items()},
            {name: layer.training for name, layer in network.named_modules(remove_duplicate=False)},
        )

    def restore(self, network: nn.Module) -> nn.Module:
        """Bring a network there, in place."""
        for name, tensor in all_tensors(network).items():
            tensor.data = tensor.data.to(self.dtypes.get(name, tensor.dtype))
        for name, layer in network.named_modules(remove_duplicate=False):
            layer.training = self.modes.get(name, self.modes[""])
        return network.to(self.device)


def copy_to_cpu(network: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in evaluation mode; weights of half precision are in float32."""
    copied = copy_network(network).cpu().eval()
    halves = {tensor.dtype for tensor in all_tensors(copied).values()} & set(HALF)
    return copied.float() if halves else copied


def example_for(network: nn.Module, example: object) -> Tensor:
    """Return one example as the network takes it.

    Args:
        network: On the CPU, in evaluation mode.
        example: A batch (N, …).

    Raises:
        OptionError: If it is no batch of numbers.
        ModelError: If the network does not take it, or returns something else than tensors.
    """
    if not isinstance(example, Tensor):
        raise OptionError(
            f"example must be one tensor, a batch (N, …); got {type(example).__name__}. "
            "Wrap a network of several inputs in a module that takes one"
        )
    if example.dim() < 2 or not len(example):
        raise OptionError(f"example must be a batch (N, …), as (1, 3, 32, 32); got {_shape(example)}")
    if example.is_meta or example.layout != torch.strided:
        raise OptionError("example must have its content in memory, and be dense: neither meta nor sparse")
    if not example.is_floating_point():
        raise OptionError(
            f"example must hold real numbers; got {example.dtype}: cuts are proved on random inputs, and "
            "token ids cannot be drawn. Prune what comes after the embedding"
        )
    one = example[:1].detach().cpu().clone()
    one = one.float() if one.dtype in HALF else one
    for batch in (torch.cat([one, one]), one):
        try:
            with torch.no_grad():
                answer = network(batch)
        except BaseException as error:
            raise_if_not_theirs(error)
            what = f"a batch of shape {_shape(batch)}, {batch.dtype}"
            raise ModelError(f"the network cannot take {what}: {one_line(error)}") from error
        tensors_in(answer)
    return one


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
