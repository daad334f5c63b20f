"""Muon, for the weights of convolutions: momentum whose directions are all made equally strong.

The weights of a convolution keep their norm, which a batch norm behind it makes meaningless, and a step turns
them by a fixed fraction of it. torch.optim.Muon takes matrices only. Evidence: `training/README.md`.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, and airbench94_muon
of https://github.com/KellerJordan/cifar10-airbench.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_STEPS = 3
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the iteration that brings singular values near 1 (see the source)."""


class Muon(torch.optim.Optimizer):
    """Turns each weight, seen as a matrix of one row for each output channel, along its momentum."""

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        *,
        lr: float | Tensor,
        momentum: float,
        nesterov: bool,
        dtype: torch.dtype,
    ) -> None:
        """Hold the weights.

        Args:
            weights: Of two or more dimensions, output channels first.
            lr: How far a step moves a weight, as a fraction of its norm.
            momentum: Fraction of the earlier gradients that is kept.
            nesterov: Look one step ahead.
            dtype: Type to iterate in: bfloat16 is enough where it is fast.
        """
        super().__init__(weights, {"lr": lr, "momentum": momentum, "nesterov": nesterov})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # none of our losses is a closure
        """Take one step by the gradients there are."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                momentum = state["momentum_buffer"].mul_(group["momentum"]).add_(weight.grad)
                update = weight.grad + group["momentum"] * momentum if group["nesterov"] else momentum
                turn = orthogonalise(update.flatten(1).to(self._dtype)).view(weight.shape).to(weight.dtype)
                norm = weight.norm()
                weight.sub_(turn * (group["lr"] * norm / turn.norm().clamp(min=1e-12)))
                weight.mul_(norm / weight.norm().clamp(min=1e-12))


def orthogonalise(matrix: Tensor) -> Tensor:
    """Bring all singular values of a matrix near to each other; its singular vectors stay.

    Args:
        matrix: (rows, columns); nothing but zeros stays so.

    Returns:
        (rows, columns), singular values near 1, but for those that were tiny.
    """
    a, b, c = _COEFFICIENTS
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T  # the smaller product of the two
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(_STEPS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if len(matrix) <= matrix.shape[1] else wide.T
