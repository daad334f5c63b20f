"""A small vision transformer for 32 × 32 images: nearly all of its weights are in linear layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH, WIDTH, DEPTH, HEADS, MLP = 8, 256, 3, 4, 1024


class Block(nn.Module):
    """Attention and a perceptron of two layers, each behind a norm and beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, MLP), nn.Linear(MLP, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, WIDTH) -> the same."""
        parts = self.qkv(self.norm1(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class SmallVit(nn.Module):
    """Patches, blocks, the mean of all tokens."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, WIDTH, PATCH, stride=PATCH)
        self.position = nn.Parameter(torch.randn(1, (32 // PATCH) ** 2, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*[Block() for _ in range(DEPTH)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, 32, 32) -> (N, classes)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x).mean(1)))


def vit(classes: int, channels: int) -> nn.Module:
    """Build the network."""
    return SmallVit(classes, channels)
