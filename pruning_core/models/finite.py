"""Which numbers of a network are none: NaN anywhere; infinite ones, but where it was built with them.

Attention masks are buffers of −inf: a network that has them is sound, and one that becomes infinite is not.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def infinite_by_design(network: nn.Module) -> dict[str, Tensor]:
    """Return where the buffers of a network are infinite: name → bool; statistics of norms never are so."""
    stored = network.state_dict()
    return {
        name: stored[name].isinf().cpu()
        for name, buffer in network.named_buffers(remove_duplicate=False)
        if name in stored and buffer.is_floating_point() and bool(buffer.isinf().any())
        if not _is_statistic(network, name)
    }


def _is_statistic(network: nn.Module, name: str) -> bool:
    """Tell whether a buffer is a running mean or variance of a norm."""
    owner, _, last = name.rpartition(".")
    return last in ("running_mean", "running_var") and isinstance(network.get_submodule(owner), _NormBase)


def is_damaged(name: str, tensor: Tensor, by_design: Mapping[str, Tensor]) -> bool:
    """Tell whether a tensor holds what is no number, or an infinite one where the network was built without.

    Args:
        name: Of the tensor in the state dict.
        tensor: Of any type.
        by_design: From `infinite_by_design`, of the network before it was changed.
    """
    if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
        return False
    expected = by_design.get(name)
    infinite = tensor.isinf().cpu()
    return bool(tensor.isnan().any()) or expected is None or not expected.equal(infinite)
