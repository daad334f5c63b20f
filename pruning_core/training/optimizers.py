"""What moves the weights: SGD with Nesterov momentum, and Muon where it is asked for."""

import torch
from torch import nn

from pruning_core.config.spec import TrainSpec
from pruning_core.training.muon import Muon


def make_optimizers(
    network: nn.Module, spec: TrainSpec, device: torch.device, precision: str, channels: int
) -> list[torch.optim.Optimizer]:
    """Return what trains a network: SGD, without decay on norms and biases, and Muon if it is asked for.

    Args:
        network: On `device`.
        spec: How to train.
        device: Where the steps run.
        precision: Of the steps.
        channels: Of an image: convolutions on no more than these are left to SGD.

    Source: He et al., "Bag of Tricks for Image Classification", 2019.
    """
    nesterov = spec.nesterov and spec.momentum > 0
    muon_params: list[nn.Parameter] = []
    sgd_params: list[nn.Parameter] = []
    for p in (p for p in network.parameters() if p.requires_grad):  # frozen ones stay as they are
        # One row, such as a position embedding or a scale of channels, is no convolution.
        after_first_conv = spec.optimizer == "muon" and p.ndim > 2 and len(p) > 1 and p.shape[1] > channels
        (muon_params if after_first_conv else sgd_params).append(p)
    groups = [
        {"params": [p for p in sgd_params if p.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in sgd_params if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if sgd_params:
        sgd = torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=spec.learning_rate,
            momentum=spec.momentum,
            nesterov=nesterov,
            # One pass over all parameters instead of several; of complex numbers there is none.
            fused=device.type in ("cpu", "cuda") and all(p.is_floating_point() for p in sgd_params),
        )
        optimizers.append(sgd)
    if muon_params:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        optimizers.append(
            Muon(muon_params, lr=spec.muon_rate, momentum=spec.momentum, nesterov=nesterov, dtype=dtype)
        )
    return optimizers
