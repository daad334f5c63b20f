"""A network as somebody else wrote it: residual, concatenated, grouped, with squeeze-and-excite."""

import torch
from torch import Tensor, nn


class Outside(nn.Module):
    """For images of any size: a stem, a residual block, two branches side by side, grouped maps, a gate."""

    def __init__(self, classes: int, channels: int, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.outer = nn.Conv2d(2 * width, width, 1)
        self.narrow = nn.Conv2d(width, width, 1)
        self.wide = nn.Conv2d(width, width, 3, padding=1)
        self.grouped = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=4)
        self.squeeze = nn.Conv2d(2 * width, 8, 1)
        self.excite = nn.Conv2d(8, 2 * width, 1)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, classes), of images, (N, C, H, W)."""
        x = torch.relu(self.norm(self.stem(images)))
        x = x + self.outer(torch.relu(self.inner(x)))
        x = torch.cat([torch.relu(self.narrow(x)), torch.relu(self.wide(x))], 1)
        x = torch.relu(self.grouped(x))
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.head(x.mean((2, 3)))


class Transformer(nn.Module):
    """A small vision transformer, for images of 16×16."""

    def __init__(self, classes: int, channels: int, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, 4, stride=4)
        self.position = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        self.layers = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, classes), of images, (N, C, 16, 16)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.layers(x)).mean(1))


def build(classes: int, channels: int) -> nn.Module:
    """Build the network with convolutions."""
    return Outside(classes, channels)


def build_transformer(classes: int, channels: int) -> nn.Module:
    """Build the transformer."""
    return Transformer(classes, channels)
