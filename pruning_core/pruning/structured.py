"""Structured methods: whole channels are cut by torch-pruning, through all layers that depend on them.

A method brings its importance; everything else is here. What torch-pruning does that one must know:
`pruning/README.md`.

Source of the dependency graph: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

import torch
from torch import Tensor, nn

from pruning_core.errors import PruningError
from pruning_core.pruning.base import PruningStep
from pruning_core.torchvision_compat import torch_pruning as tp

Importance = Callable[[object], Tensor]
"""torch-pruning's function of a group → (channels,) scores; the lowest are cut."""

_GLOBAL_SCOPE = "DEFAULT_SCOPE"  # torch-pruning's name for the one scope of global ranking


class StructuredMethod(ABC):
    """A method that ranks channels, and cuts those that rank lowest."""

    name: str
    scopes: tuple[str, ...] = ("local", "global")
    masks = False

    @abstractmethod
    def importance(self) -> Importance:
        """Return what scores the channels of a group."""

    def library_version(self) -> str:
        """Return the name and version of torch-pruning, which enter the key."""
        return f"torch-pruning {version('torch-pruning')}"

    def prune(self, network: nn.Module, step: PruningStep) -> Mapping[str, int]:
        """Cut the channels that rank lowest; what is drawn by chance is decided by seed and ratio."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step.sampling_seed)
            return prune_structured(network, step, self.importance())


def prune_structured(network: nn.Module, step: PruningStep, importance: Importance) -> Mapping[str, int]:
    """Cut whole channels of `network`, in place, until `step.ratio` of the dense widths is gone.

    Args:
        network: Dense, or pruned before; never wider than `step.dense`.
        step: What is asked for.
        importance: Scores the channels of a group.

    Returns:
        Layer name → output width asked for, before rounding; local scope only.

    Raises:
        PruningError: If torch-pruning cannot trace or cut the network.
    """
    network.eval()
    try:
        with unfrozen(network), unfrozen(step.dense):
            pruner = _make_pruner(network, step, importance)
            dense_widths = _ranked_widths(step, importance)
            if step.spec.scope == "global":
                pruner._scope_initial_channels = {_GLOBAL_SCOPE: sum(dense_widths.values())}
            else:
                pruner._scope_initial_channels = dict(dense_widths)
            pruner.step()
    except Exception as error:
        raise PruningError(
            f"torch-pruning cannot prune this model: {type(error).__name__}: {error}"
        ) from error
    if not dense_widths:
        raise PruningError(
            "torch-pruning finds no layer to prune in this model: it follows autograd from the output back, "
            "which detach(), no_grad() or inference_mode() in forward() cut off"
        )
    for parameter in network.parameters():
        # torch-pruning's gradients of the cut tensors are of no use, and cost memory.
        parameter.grad = None
    if step.spec.scope == "global":
        return {}
    return {name: int(width * (1 - step.ratio)) for name, width in dense_widths.items()}


@contextmanager
def unfrozen(network: nn.Module) -> Iterator[None]:
    """Let autograd reach all floating-point parameters for a while; what was frozen is frozen again then.

    torch-pruning follows autograd, which does not see a frozen layer. It also replaces the parameters that it
    cuts by new ones, so that they are found again by name.
    """
    frozen = [n for n, p in network.named_parameters(remove_duplicate=False) if not p.requires_grad]
    for _, parameter in network.named_parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    try:
        yield
    finally:
        parameters = dict(network.named_parameters(remove_duplicate=False))
        for name in frozen:
            parameters[name].requires_grad_(False)


def _make_pruner(network: nn.Module, step: PruningStep, importance: Importance) -> tp.BasePruner:
    layers = dict(network.named_modules())
    return tp.BasePruner(
        network,
        step.example,
        importance=importance,
        pruning_ratio=step.ratio,
        iterative_steps=1,
        ignored_layers=[layers[name] for name in step.protected],
        round_to=step.spec.round_to if step.spec.round_to > 1 else None,
        global_pruning=step.spec.scope == "global",
        in_channel_groups={},
        out_channel_groups={},
        num_heads={},
        channel_groups={},
    )


def _ranked_widths(step: PruningStep, importance: Importance) -> dict[str, int]:
    """Return the name of each group's first layer → its dense width: what a pruner's first step would see."""
    names = {layer: name for name, layer in step.dense.named_modules()}
    pruner = _make_pruner(step.dense, step, importance)
    widths = {}
    for group in pruner.DG.get_all_groups(
        ignored_layers=pruner.ignored_layers, root_module_types=pruner.root_module_types
    ):
        first = group[0].dep
        channels = pruner.DG.get_out_channels(first.target.module) // pruner._get_channel_groups(group)
        widths[names[first.source.module]] = channels
    return widths
