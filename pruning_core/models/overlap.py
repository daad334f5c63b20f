"""Parameters that lie in the same memory and are not one: what one learns is written into the other."""

import torch
from torch import nn


def find_overlap(network: nn.Module) -> tuple[str, str] | None:
    """Return the names of two parameters whose memory overlaps; None where none does.

    A weight that is tied, one object under two names, is one parameter. Slices of one tensor beside each
    other overlap in nothing.
    """
    spans = []
    for name, parameter in network.named_parameters():
        if parameter.layout is torch.strided and parameter.numel() and parameter.device.type != "meta":
            steps = (k * (n - 1) for k, n in zip(parameter.stride(), parameter.shape, strict=True))
            start = parameter.data_ptr()
            spans.append((start, start + (sum(steps) + 1) * parameter.element_size(), name))
    spans.sort()
    last, holder = 0, ""
    for start, end, name in spans:
        if start < last:
            return holder, name
        last, holder = end, name
    return None
