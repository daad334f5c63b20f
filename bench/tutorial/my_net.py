"""A network as people have them: residual, with a concatenation, grouped convolutions, squeeze-and-excite."""

import torch
from torch import Tensor, nn


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution with its norm."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class SqueezeExcite(nn.Module):
    """Weighs channels by what all pixels say together."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.less, self.more = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        mean = x.mean((2, 3), keepdim=True)
        return x * self.more(self.less(mean).relu()).sigmoid()


class Block(nn.Module):
    """Two branches, one of them grouped, side by side; mixed, weighed, and added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.plain = conv(width, width // 2)
        self.grouped = nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width, groups=4))
        self.mix = conv(width // 2 + width, width, 1)
        self.weigh = SqueezeExcite(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        both = torch.cat([self.plain(x), self.grouped(x)], dim=1).relu()
        return (x + self.weigh(self.mix(both))).relu()


class MyNet(nn.Module):
    """Three such blocks, each on half the pixels of the one before, and a linear layer."""

    def __init__(self, classes: int, channels: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for outputs in (width, 2 * width, 4 * width):
            layers += [conv(channels, outputs, stride=2), nn.ReLU(), Block(outputs)]
            channels = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        return self.classifier(self.features(images).mean((2, 3)))


def build(classes: int, channels: int) -> nn.Module:
    """Build the untrained network: what `--model my_net:build` calls."""
    return MyNet(classes, channels)
