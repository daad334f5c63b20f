"""The channel plan: for every layer, dense and kept widths; how a checkpoint loads without torch-pruning."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from pruning_core.config.validation import StrictModel
from pruning_core.errors import DamagedCheckpointError, PruningError

# Layer type → the attributes that hold its input width, output width. Norms have one width: the output.
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


class LayerWidths(StrictModel):
    """Dense and kept widths of one layer, in channels or features."""

    kind: str = Field(description="Class name of the layer.")
    dense_inputs: int | None
    inputs: int | None
    dense_outputs: int
    outputs: int
    requested_outputs: int | None = Field(
        None, description="Asked for before rounding; None where no width of its own was asked for."
    )
    groups: int = 1


class ChannelPlan(StrictModel):
    """Layer name → widths, for every layer whose widths pruning may change, in the order of the model."""

    layers: dict[str, LayerWidths]

    @property
    def widths(self) -> dict[str, int]:
        """Kept output widths of convolutions and linear layers."""
        return {name: layer.outputs for name, layer in self.layers.items() if layer.inputs is not None}

    @property
    def dense_widths(self) -> dict[str, int]:
        """Dense output widths of convolutions and linear layers."""
        return {name: layer.dense_outputs for name, layer in self.layers.items() if layer.inputs is not None}

    @property
    def achieved_ratio(self) -> float:
        """Fraction of the dense model's convolution output channels that are gone, all layers together."""
        convolutions = [layer for layer in self.layers.values() if layer.kind.startswith("Conv")]
        total = sum(layer.dense_outputs for layer in convolutions)
        return 1 - sum(layer.outputs for layer in convolutions) / total if total else 0.0


def layer_widths(network: nn.Module) -> dict[str, tuple[int | None, int, int]]:
    """Return layer name → (input width, output width, groups), in the order of the model."""
    found = {}
    for name, layer in network.named_modules():
        if type(layer) in _WIDTHS:
            inputs, outputs = _WIDTHS[type(layer)]
            groups = layer.groups if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) else 1
            found[name] = (getattr(layer, inputs) if inputs else None, getattr(layer, outputs), groups)
    return found


def make_plan(dense: nn.Module, pruned: nn.Module, requested: Mapping[str, int] | None = None) -> ChannelPlan:
    """Compare a pruned network with its dense one.

    Args:
        dense: The network as `build_model` gives it.
        pruned: The same network after pruning.
        requested: Layer name → output width asked for, before rounding.

    Raises:
        PruningError: If a layer changed that a plan cannot describe.
    """
    before, after = layer_widths(dense), layer_widths(pruned)
    kinds = {name: type(layer).__name__ for name, layer in dense.named_modules()}
    plan = ChannelPlan(
        layers={
            name: LayerWidths(
                kind=kinds[name],
                dense_inputs=before[name][0],
                inputs=inputs,
                dense_outputs=before[name][1],
                outputs=outputs,
                requested_outputs=(requested or {}).get(name),
                groups=groups,
            )
            for name, (inputs, outputs, groups) in after.items()
        }
    )
    described = set(plan.layers)
    dense_shapes = {name: tensor.shape for name, tensor in dense.state_dict().items()}
    for name, tensor in pruned.state_dict().items():
        owner = name.rpartition(".")[0]
        if tensor.shape != dense_shapes.get(name) and owner not in described:
            raise PruningError(
                f"pruning changed {name!r}, of a kind of layer that a channel plan cannot describe"
            )
    return plan


def load_pruned(network: nn.Module, plan: ChannelPlan, weights: Mapping[str, Tensor]) -> nn.Module:
    """Cut a dense network to a plan and load weights into it, in place.

    Args:
        network: As `build_model` gives it; its own weights are dropped.
        plan: The channel plan.
        weights: Name → tensor, as `state_dict` gives them.

    Raises:
        DamagedCheckpointError: If plan, weights and network do not belong together.
    """
    layers = dict(network.named_modules())
    for name, layer_plan in plan.layers.items():
        layer = layers.get(name)
        if layer is None or type(layer).__name__ != layer_plan.kind:
            raise DamagedCheckpointError(
                f"the plan's layer {name!r} ({layer_plan.kind}) is not in this model"
            )
        inputs, outputs = _WIDTHS[type(layer)]
        if inputs:
            setattr(layer, inputs, layer_plan.inputs)
        setattr(layer, outputs, layer_plan.outputs)
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            layer.groups = layer_plan.groups
        _check_shape(name, layer, layer_plan, weights)
        for kind, tensors in (("parameter", layer._parameters), ("buffer", layer._buffers)):
            for tensor_name, tensor in tensors.items():
                stored = weights.get(f"{name}.{tensor_name}")
                if tensor is not None and stored is not None and stored.shape != tensor.shape:
                    empty = torch.empty(stored.shape, dtype=tensor.dtype)
                    # What is frozen stays frozen.
                    parameter = kind == "parameter"
                    tensors[tensor_name] = nn.Parameter(empty, tensor.requires_grad) if parameter else empty
    try:
        network.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise DamagedCheckpointError(f"weights do not fit the plan: {error}") from None
    return network


def _check_shape(name: str, layer: nn.Module, plan: LayerWidths, weights: Mapping[str, Tensor]) -> None:
    weight = weights.get(f"{name}.weight")
    if weight is None:
        return
    if plan.inputs is None:
        expected: tuple[int, ...] = (plan.outputs,)
    elif isinstance(layer, nn.ConvTranspose2d):
        expected = (plan.inputs, plan.outputs // plan.groups)
    else:
        expected = (plan.outputs, plan.inputs // plan.groups)
    if tuple(weight.shape[: len(expected)]) != expected:
        raise DamagedCheckpointError(
            f"layer {name!r}: the plan says {expected}, the weights are {tuple(weight.shape)}"
        )
