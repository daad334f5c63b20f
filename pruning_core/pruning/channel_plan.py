"""The channel plan: how a pruned network differs from its dense one, whatever layers it is made of.

For each module the plain numbers that changed, and for each tensor its shape and the indices that were kept.
With it a checkpoint loads without torch-pruning (`loading.py`).
"""

from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Tensor, nn

from pruning_core.config.validation import StrictModel
from pruning_core.errors import PruningError
from pruning_core.models.copying import copy_network
from pruning_core.pruning.attributes import changed_attributes, merged_attributes
from pruning_core.pruning.base import Kept, KeptWhole, Outcome, Plain
from pruning_core.pruning.plain import make_plain, reparametrized
from pruning_core.pruning.tensors import all_tensors


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
    prunable: bool | None = Field(None, description="Not the classifier; earlier versions did not say.")


class TensorCut(StrictModel):
    """A parameter or buffer whose shape changed."""

    dense_shape: tuple[int, ...]
    shape: tuple[int, ...]
    kept: tuple[int | None, ...] | None = Field(
        None,
        description="For each dimension which of the plan's `indices` were kept, null: all. "
        "Null as a whole: the network was pruned elsewhere before.",
    )


class ChannelPlan(StrictModel):
    """How a pruned network differs from its dense one; the content of `plan.json`."""

    layers: dict[str, LayerWidths] = Field(
        description="Convolutions and linear layers, in the model's order."
    )
    attributes: dict[str, dict[str, tuple[Plain, Plain]]] = Field(
        {}, description="Module → attribute → its dense value and its value."
    )
    tensors: dict[str, TensorCut] | None = Field(
        None, description="Parameters and buffers that were cut; null: written by an earlier version."
    )
    indices: tuple[tuple[int, ...], ...] = Field((), description="Sets of indices, each once.")
    made_plain: tuple[str, ...] = Field(
        (), description="Layers whose weights were computed from other tensors, and are parameters now."
    )
    proof: str = Field("", description="Of the last cut: `exact`, or the statistics that change.")
    kept_whole: tuple[KeptWhole, ...] = Field((), description="Groups that kept their width, and why.")
    groups: int | None = Field(
        None, description="Groups of channels that there are; null: masked, dense, or not told."
    )

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
        """Fraction of the dense output channels that are gone, of all layers but the classifier."""
        layers = [
            layer
            for layer in self.layers.values()
            if layer.prunable or (layer.prunable is None and layer.kind.startswith("Conv"))
        ]
        total = sum(layer.dense_outputs for layer in layers)
        return 1 - sum(layer.outputs for layer in layers) / total if total else 0.0

    def kept_indices(self, name: str) -> tuple[Tensor | None, ...] | None:
        """Return which indices of a dense tensor were kept.

        Returns:
            For each dimension (n,) int64, None: all. None as a whole where that is not known.
        """
        if self.tensors is None:
            uncut = all(
                (layer.inputs, layer.outputs) == (layer.dense_inputs, layer.dense_outputs)
                for layer in self.layers.values()
            )
            return () if uncut else None
        cut = self.tensors.get(name)
        if cut is None or cut.kept is None:
            return () if cut is None else None
        return tuple(None if number is None else torch.tensor(self.indices[number]) for number in cut.kept)


def layer_widths(network: nn.Module) -> dict[str, tuple[int, int, int]]:
    """Return layer name → (input width, output width, groups), in the order of the model."""
    found = {}
    for name, layer in network.named_modules(remove_duplicate=False):
        if isinstance(layer, nn.modules.conv._ConvNd):
            found[name] = (layer.in_channels, layer.out_channels, layer.groups)
        elif isinstance(layer, nn.Linear):
            found[name] = (layer.in_features, layer.out_features, 1)
    return found


def make_plan(
    dense: nn.Module,
    pruned: nn.Module,
    outcome: Outcome | None = None,
    earlier: ChannelPlan | None = None,
    protected: Iterable[str] = (),
) -> ChannelPlan:
    """Compare a pruned network with its dense one.

    Args:
        dense: The network as `build_model` gives it.
        pruned: The same network after pruning.
        outcome: Of the last step of pruning.
        earlier: Plan of the network that this step began with; None: dense, or not known.
        protected: Layers that are not counted in the achieved ratio.

    Raises:
        PruningError: If the two do not have the same layers and tensors.
    """
    cut, outcome = outcome is not None, outcome or Outcome()
    made_plain = tuple(sorted(set(reparametrized(dense)) - set(reparametrized(pruned))))
    if made_plain:
        dense = copy_network(dense)
        make_plain(dense)
    before, after = layer_widths(dense), layer_widths(pruned)
    if list(before) != list(after):
        raise PruningError("the pruned network does not have the layers of the dense one")
    kinds = {name: type(layer).__name__ for name, layer in dense.named_modules(remove_duplicate=False)}
    not_counted = set(protected)
    attributes: dict[str, dict[str, tuple[Plain, Plain]]] = {}
    if earlier is not None:
        attributes = merged_attributes(earlier.attributes, outcome.attributes)
    elif cut:
        attributes = changed_attributes(dense, pruned)
    indices: dict[tuple[int, ...], int] = {}
    return ChannelPlan(
        layers={
            name: LayerWidths(
                kind=kinds[name],
                dense_inputs=before[name][0],
                inputs=inputs,
                dense_outputs=before[name][1],
                outputs=outputs,
                requested_outputs=outcome.requested.get(name),
                groups=groups,
                prunable=name not in not_counted if not_counted else None,
            )
            for name, (inputs, outputs, groups) in after.items()
        },
        attributes=attributes,
        tensors=_cut_tensors(dense, pruned, outcome.kept, earlier, indices),
        indices=tuple(indices),
        made_plain=made_plain,
        proof=outcome.proof,
        kept_whole=outcome.kept_whole,
        groups=outcome.groups,
    )


def _cut_tensors(
    dense: nn.Module,
    pruned: nn.Module,
    kept: Kept,
    earlier: ChannelPlan | None,
    indices: dict[tuple[int, ...], int],
) -> dict[str, TensorCut]:
    """Return the tensors that were cut, and fill `indices`: each set → its number."""
    shapes = {name: tuple(tensor.shape) for name, tensor in all_tensors(dense).items()}
    found = {}
    for name, tensor in all_tensors(pruned).items():
        shape = tuple(tensor.shape)
        dense_shape = shapes.get(name, shape)
        if shape == dense_shape:
            continue
        first = earlier.kept_indices(name) if earlier else ()
        sets = None if first is None else _composed(first, kept.get(name, ()), len(shape))
        known = sets is not None and all(
            size == new if index is None else len(index) == new
            for index, size, new in zip(sets, dense_shape, shape, strict=True)
        )
        numbers = None
        if sets is not None and known:
            numbers = tuple(
                None if index is None else indices.setdefault(tuple(index.tolist()), len(indices))
                for index in sets
            )
        found[name] = TensorCut(dense_shape=dense_shape, shape=shape, kept=numbers)
    return found


def _composed(
    first: tuple[Tensor | None, ...], then: tuple[Tensor, ...], dimensions: int
) -> list[Tensor | None]:
    """Return what is left of the dense indices after two cuts, for each dimension."""
    composed: list[Tensor | None] = []
    for dimension in range(dimensions):
        a = first[dimension] if first else None
        b = then[dimension] if then else None
        composed.append(b if a is None else a if b is None else a[b])
    return composed
