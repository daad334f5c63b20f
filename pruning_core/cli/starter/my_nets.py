"""A small network to begin with: replace it by your own, and name that in bench/grids/quick.toml."""

import torch
from torch import nn


class SmallNet(nn.Module):
    """Three convolutions with batch norms, and one linear layer."""

    def __init__(self, classes: int, channels: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(channels, size, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(size)]
            layers.append(nn.ReLU())
            channels = size
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, channels, H, W) to logits (N, classes)."""
        logits: torch.Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits


def build(classes: int, channels: int) -> nn.Module:
    """Build the untrained network for so many classes and colour channels."""
    return SmallNet(classes, channels)
