"""Networks with a group that keeps its width, each for another reason; and one in a user's file."""

from pathlib import Path

import torch
from torch import Tensor, nn

EXAMPLE = torch.zeros(1, 3, 16, 16)


class Shuffled(nn.Module):
    """Channels of `a` are put in another order, and `b` reads them; `c` is free to be cut; a layer norm."""

    def __init__(self, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 16, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1)
        self.c, self.norm, self.fc = nn.Linear(24, 32), nn.LayerNorm(32), nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        x = torch.relu(self.a(x))
        x = x.reshape(len(x), 2, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)
        x = torch.relu(self.b(x)).mean((2, 3))
        return self.fc(self.norm(torch.relu(self.c(x))))


class SpatialGate(nn.Module):
    """CBAM's: one channel, made of mean and maximum over all, times the trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.gate = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(2, 1, 7, padding=3)
        self.after, self.fc = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 10)."""
        x = torch.relu(self.trunk(x))
        around = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return self.fc(torch.relu(self.after(x * torch.sigmoid(self.gate(around)))).mean((2, 3)))


class SignsOfBackbone(nn.Module):
    """A backbone of which only signs are used, where autograd ends, and a head of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 10)."""
        return self.head((self.backbone(x) > 0).float().mean((2, 3)))


class Gated(nn.Module):
    """A gated linear unit: the halves of `a` are multiplied, and lose the same channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(16, 40, 3, padding=1)
        self.fc = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 10)."""
        first, second = self.a(x).chunk(2, dim=1)
        return self.fc(torch.relu(self.b(first * torch.sigmoid(second))).mean((2, 3)))


def write_shuffled(folder: Path, name: str) -> str:
    """Write a module with `Shuffled` and return its `module:function`."""
    source = Path(__file__).read_text()
    body = source[source.index("class Shuffled") : source.index("class SpatialGate")]
    (folder / f"{name}.py").write_text(f"import torch\nfrom torch import Tensor, nn\n\n\n{body}")
    return f"{name}:Shuffled"
