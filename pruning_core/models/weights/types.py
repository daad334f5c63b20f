"""A tensor of a file in the type of the network's own: where nothing but rounding is lost."""

import torch
from torch import Tensor, nn

from pruning_core.errors import ModelError


def converted(tensor: Tensor, own: Tensor, refused: str) -> Tensor:
    """Return a tensor in the type of the network's own.

    Args:
        tensor: Of a file.
        own: The network's.
        refused: What an error begins with: names file, network and tensor.

    Raises:
        ModelError: If it is complex and the network's is not, if whole numbers stand for a parameter that is
            trained, or if whole numbers would have other values.
    """
    if tensor.is_complex() and not own.is_complex():
        raise ModelError(f"{refused} is of complex numbers there")
    found = tensor.to(own.dtype)
    if found.dtype is tensor.dtype or not (_counts(tensor) or _counts(own)):
        return found
    there, here = (str(each.dtype).removeprefix("torch.") for each in (tensor, own))
    if isinstance(own, nn.Parameter) and not _counts(own):
        raise ModelError(f"{refused} is of {there} there, as no trained weights are: save them as {here}")
    if not torch.equal(found.to(tensor.dtype), tensor):
        raise ModelError(f"{refused} is of {there} there, with values that {here} does not have")
    return found


def _counts(tensor: Tensor) -> bool:
    """Tell whether a tensor is of whole numbers or truth values."""
    return not tensor.is_floating_point() and not tensor.is_complex()
