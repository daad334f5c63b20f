"""The network of this store: each kind of layer that plans of earlier versions describe."""

import torch
from torch import nn


def build(classes, channels):
    """Return the network, with weights that are the same on any machine."""
    network = nn.Sequential(
        *(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.PReLU(8)),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 12, 2, 2), nn.ReLU()),
        *(nn.Conv2d(12, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU()),
        nn.Linear(16, classes),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((torch.arange(parameter.numel()) * 5 % 7 - 2).reshape(parameter.shape) / 8)
    return network
