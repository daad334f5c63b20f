"""A small network that every backend is held against, and how close its answers must be."""

from functools import partial

import torch
from torch import Tensor, nn

from tests.helpers.backend_inputs import images_of

THREADS = 2
EXAMPLE = torch.zeros(1, 3, 12, 12)

small_images = partial(images_of, side=12)


class SmallNet(nn.Module):
    """Convolutions, norms with statistics that matter, a residual addition, a linear layer."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5)."""
        x = torch.relu(self.norm(self.stem(images)))
        x = torch.relu(x + self.inner(x))
        return self.fc(self.drop(x.mean(dim=(2, 3))))


def small_net(width: int = 8) -> SmallNet:
    """Build the network with statistics as after training, in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(width)
        net = SmallNet(width)
        net.norm.running_mean.normal_()
        net.norm.running_var.uniform_(0.5, 2.0)
        net.fc.weight.data *= 10  # logits of order 1, classes well apart
    return net.train()


def eager_logits(net: nn.Module, images: Tensor) -> Tensor:
    """Run a network in eager fp32 and leave it as it was."""
    was_training = net.training
    net.eval()
    with torch.no_grad():
        logits: Tensor = net(images)
    net.train(was_training)
    return logits


def assert_close(logits: Tensor, expected: Tensor, precision: str) -> None:
    """Hold logits against those of eager fp32, as closely as the precision allows."""
    assert logits.dtype == torch.float32
    assert logits.device.type == "cpu"
    assert logits.shape == expected.shape
    scale = float(expected.abs().max())
    if precision == "fp32":
        assert float((logits - expected).abs().max()) <= 1e-3 * scale
    else:
        # int8: random images may lie outside of the calibrated ranges.
        assert float((logits - expected).abs().max()) <= (12e-2 if precision == "int8" else 5e-2) * scale
        top = expected.topk(2, dim=1).values
        clear = top[:, 0] - top[:, 1] > 0.02 * scale  # where rounding may not decide
        same = logits.argmax(dim=1) == expected.argmax(dim=1)
        assert int(same[clear].sum()) >= 0.95 * int(clear.sum())
