"""Small networks that run otherwise than most, by name: for images of 3×32×32 and 10 classes."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.helpers.forward_networks import ForwardNetwork


def with_conv(run, width=2048, **layers):
    """Return a network of one convolution to 8×16×16, whatever `run` does behind it, and a linear layer."""
    return ForwardNetwork(run, conv=nn.Conv2d(3, 8, 3, 2, 1), fc=nn.Linear(width, 10), **layers)


def conv_3d():
    """Return a network of 3D convolutions with norms."""
    return nn.Sequential(
        nn.Unflatten(1, (3, 1)), nn.Conv3d(3, 8, (1, 3, 3), 2), nn.BatchNorm3d(8), nn.ReLU(),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


def with_old_norm(norm):
    """Return a network whose weights a norm computes before each forward."""
    pool = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(norm(nn.Conv2d(3, 8, 3, 2, 1)), pool, norm(nn.Linear(8, 10)))


def keep(network, x):
    """Keep features on the network, as some do for a look at them."""
    network.features = F.relu(network.conv(x))
    network.in_list = [network.features]
    return network.fc(network.features.mean((2, 3)))


NETWORKS = {
    "view": lambda: with_conv(lambda m, x: m.fc(F.relu(m.conv(x)).view(x.size(0), -1))),
    "view of -1": lambda: with_conv(lambda m, x: m.fc(F.relu(m.conv(x)).view(-1, 8 * 16 * 16))),
    "view in training": lambda: with_conv(
        lambda m, x: m.fc(m.conv(x).view(len(x), -1) if m.training else m.conv(x).flatten(1))
    ),
    "strides": lambda: with_conv(lambda m, x: m.fc(torch.as_strided(m.conv(x), (len(x), 2048), (2048, 1)))),
    "NHWC": lambda: with_conv(
        lambda m, x: m.fc(m.conv(x).permute(0, 2, 3, 1).contiguous().view(len(x), 256, 8).mean(1)), 8
    ),
    "1d": lambda: ForwardNetwork(
        lambda m, x: m.fc(F.relu(m.conv(x.flatten(2))).mean(2)),
        conv=nn.Conv1d(3, 8, 9, 4), fc=nn.Linear(8, 10),
    ),
    "3d": conv_3d,
    "LSTM": lambda: ForwardNetwork(
        lambda m, x: m.fc(m.lstm(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1]),
        lstm=nn.LSTM(96, 8, batch_first=True), fc=nn.Linear(8, 10),
    ),
    "flat norm": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)),
    "norm of one pixel": lambda: with_conv(
        lambda m, x: m.fc(m.norm(F.adaptive_avg_pool2d(m.conv(x), 1)).flatten(1)), 8, norm=nn.BatchNorm2d(8)
    ),
    "weight norm": lambda: with_old_norm(nn.utils.weight_norm),
    "spectral norm": lambda: with_old_norm(nn.utils.spectral_norm),
    "kept": lambda: with_conv(keep, 8),
}  # fmt: skip
