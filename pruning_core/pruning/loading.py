"""Load a pruned network without torch-pruning: build the dense one, set its numbers, replace its tensors.

A tensor that has several names (a shared layer, a tied weight) is stored once, and loads as one.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from pruning_core.errors import DamagedCheckpointError
from pruning_core.pruning.channel_plan import ChannelPlan, LayerWidths
from pruning_core.pruning.plain import make_plain
from pruning_core.pruning.tensors import all_tensors, first_names, persistent_names

_WIDTHS: dict[type[nn.Module], tuple[str | None, str]] = {
    nn.Conv1d: ("in_channels", "out_channels"),
    nn.Conv2d: ("in_channels", "out_channels"),
    nn.Conv3d: ("in_channels", "out_channels"),
    nn.ConvTranspose2d: ("in_channels", "out_channels"),
    nn.Linear: ("in_features", "out_features"),
    nn.BatchNorm1d: (None, "num_features"),
    nn.BatchNorm2d: (None, "num_features"),
    nn.BatchNorm3d: (None, "num_features"),
    nn.GroupNorm: (None, "num_channels"),
    nn.PReLU: (None, "num_parameters"),
}
"""What plans of earlier versions describe: layer type → the attributes of its input and output width."""


def stored_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network that a checkpoint holds: parameters and persistent buffers, each once.

    Returns:
        First name → tensor, detached, contiguous, with memory of its own.
    """
    persistent = persistent_names(network)
    tensors = {name: tensor for name, tensor in all_tensors(network).items() if name in persistent}
    firsts = first_names(tensors)
    return {name: _own(tensor) for name, tensor in tensors.items() if firsts[name] == name}


def load_pruned(network: nn.Module, plan: ChannelPlan, weights: Mapping[str, Tensor]) -> nn.Module:
    """Cut a dense network to a plan and load weights into it, in place.

    Args:
        network: As `build_model` gives it; its own weights are dropped.
        plan: The channel plan.
        weights: Name → tensor, as `stored_tensors` gives them.

    Raises:
        DamagedCheckpointError: If plan, weights and network do not belong together.
    """
    if plan.made_plain:
        make_plain(network)
    modules = dict(network.named_modules(remove_duplicate=False))
    for name, layer in plan.layers.items():
        if name not in modules or type(modules[name]).__name__ != layer.kind:
            raise DamagedCheckpointError(f"the plan's layer {name!r} ({layer.kind}) is not in this model")
    if plan.tensors is None:
        for name, layer in plan.layers.items():
            _set_widths(modules[name], layer, weights.get(f"{name}.weight"))
    _set_attributes(modules, plan)
    _set_tensors(network, modules, plan, weights)
    return network


def _set_widths(module: nn.Module, layer: LayerWidths, weight: Tensor | None) -> None:
    """Set the widths of one layer, as plans of earlier versions give them."""
    inputs, outputs = _WIDTHS.get(type(module), (None, ""))
    if inputs:
        setattr(module, inputs, layer.inputs)
    if outputs:
        setattr(module, outputs, layer.outputs)
    if isinstance(module, nn.modules.conv._ConvNd):
        module.groups = _earlier_groups(layer, weight)


def _earlier_groups(layer: LayerWidths, weight: Tensor | None) -> int:
    """Return the groups of a convolution.

    Plans of earlier versions do not say them of a transposed one. Its weight does, in its second dimension:
    outputs / groups.
    """
    if not layer.kind.startswith("ConvTranspose") or weight is None or weight.dim() < 2:
        return layer.groups
    return max(layer.outputs // max(weight.shape[1], 1), 1)


def _set_attributes(modules: Mapping[str, nn.Module], plan: ChannelPlan) -> None:
    changed: list[tuple[nn.Module, str, object]] = []
    for name, attributes in plan.attributes.items():
        for attribute, (old, new) in attributes.items():
            module = modules.get(name)
            value = None if module is None else vars(module).get(attribute)
            listed = isinstance(value, list)
            if module is None or (tuple(value) if isinstance(value, tuple | list) else value) != old:
                raise DamagedCheckpointError(
                    f"the plan changes {attribute} of {name!r} from {old} to {new}; it is {value} here"
                )
            changed.append((module, attribute, list(new) if listed and isinstance(new, tuple) else new))
    # Only now: a module that has two names stands twice in the plan, both times with its dense values.
    for module, attribute, value in changed:
        setattr(module, attribute, value)


def _set_tensors(
    network: nn.Module, modules: Mapping[str, nn.Module], plan: ChannelPlan, weights: Mapping[str, Tensor]
) -> None:
    tensors = all_tensors(network)
    persistent = persistent_names(network)
    firsts = first_names(tensors)
    expected = {name for name in tensors if name in persistent and firsts[name] == name}
    missing, unknown = sorted(expected - weights.keys()), sorted(weights.keys() - tensors.keys())
    if missing or unknown:
        what = (
            f"missing: {', '.join(missing[:3])}"
            if missing
            else f"not in this model: {', '.join(unknown[:3])}"
        )
        raise DamagedCheckpointError(f"weights do not fit the plan: {what}")
    new: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        first = name if _is_untied(name, firsts[name], plan, weights) else firsts[name]
        if first not in new:
            new[first] = _loaded(first, tensor, plan, weights)
        owner, _, local = name.rpartition(".")
        module = modules[owner]
        if isinstance(tensor, nn.Parameter):
            module._parameters[local] = new[first]  # type: ignore[assignment]
        else:
            module._buffers[local] = new[first]


def _is_untied(name: str, first: str, plan: ChannelPlan, weights: Mapping[str, Tensor]) -> bool:
    """Tell whether a tied weight is two: earlier versions cut the layers that share one each on its own."""
    return (
        plan.tensors is None and {name, first} <= weights.keys() and not weights[name].equal(weights[first])
    )


def _loaded(name: str, tensor: Tensor, plan: ChannelPlan, weights: Mapping[str, Tensor]) -> Tensor:
    """Return what stands in the place of a dense tensor; what is frozen stays frozen."""
    stored = weights.get(name)
    cut = (plan.tensors or {}).get(name)
    if cut is not None and tuple(tensor.shape) != cut.dense_shape:
        raise DamagedCheckpointError(
            f"{name!r}: the plan is of a dense shape of {cut.dense_shape}; here it is {tuple(tensor.shape)}"
        )
    if stored is None:  # a buffer that is computed when the network is built
        return tensor if cut is None else _kept(name, tensor, plan)
    if plan.tensors is None:
        shape = tuple(stored.shape)
        _check_earlier_shape(name, plan, stored)
    else:
        shape = tuple(tensor.shape) if cut is None else cut.shape
    if tuple(stored.shape) != shape or stored.dtype != tensor.dtype:
        raise DamagedCheckpointError(
            f"{name!r}: the plan says {shape} of {tensor.dtype}, the weights are "
            f"{tuple(stored.shape)} of {stored.dtype}"
        )
    content = stored.clone()
    return nn.Parameter(content, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else content


def _kept(name: str, tensor: Tensor, plan: ChannelPlan) -> Tensor:
    indices = plan.kept_indices(name)
    if indices is None:
        raise DamagedCheckpointError(f"{name!r} was cut, and the plan does not say which indices were kept")
    for dimension, index in enumerate(indices):
        if index is not None:
            tensor = tensor.index_select(dimension, index.to(tensor.device))
    return tensor


def _check_earlier_shape(name: str, plan: ChannelPlan, weight: Tensor) -> None:
    """Compare the shape of a weight with what a plan of an earlier version says of its layer."""
    owner, _, local = name.rpartition(".")
    layer = plan.layers.get(owner)
    if local != "weight" or layer is None:
        return
    if layer.inputs is None:
        expected: tuple[int, ...] = (layer.outputs,)
    elif layer.kind.startswith("ConvTranspose"):
        expected = (layer.inputs, layer.outputs // _earlier_groups(layer, weight))
    else:
        expected = (layer.outputs, layer.inputs // layer.groups)
    shape = tuple(weight.shape)
    if shape[: len(expected)] != expected:
        raise DamagedCheckpointError(f"layer {owner!r}: the plan says {expected}, the weights are {shape}")


def _own(tensor: Tensor) -> Tensor:
    detached = tensor.detach().contiguous()
    whole = detached.untyped_storage().nbytes() == detached.numel() * detached.element_size()
    return detached if whole else detached.clone()
