"""Small real things that several tests need: specs, a network of user's own, a store."""

from pathlib import Path

import torch
from torch import nn

from pruning_core.plan import Plan, make_plan
from pruning_core.spec import AugmentSpec, DatasetSpec, DenseSpec, ModelSpec, TrainSpec
from pruning_core.store import Made, Metrics

DIGITS_8 = DatasetSpec(
    name="digits",
    fingerprint="f" * 32,
    classes=10,
    channels=3,
    height=32,
    width=32,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    augment=AugmentSpec(flip=False, crop_padding=0),
)


def dense_spec(seed: int = 0) -> DenseSpec:
    """Build a spec whose key depends on `seed`."""
    return DenseSpec(model=ModelSpec(name="tiny"), dataset=DIGITS_8, train=TrainSpec(seed=seed))


class Tiny(nn.Module):
    """Three convolutions with norms, one residual connection, one linear layer: what pruning must follow."""

    def __init__(self, classes: int = 10, channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.inner_norm = nn.BatchNorm2d(2 * width)
        self.outer = nn.Conv2d(2 * width, width, 1)
        self.fc = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # (N, C, H, W) -> (N, classes)
        x = torch.relu(self.norm(self.stem(images)))
        x = x + self.outer(torch.relu(self.inner_norm(self.inner(x))))
        return self.fc(x.mean(dim=(2, 3)))


def tiny_model(classes: int, channels: int) -> nn.Module:
    """Build the network, as a user's module:function does."""
    return Tiny(classes, channels)


def made(seed: int = 0) -> Made:
    """Make what a checkpoint holds, decided by `seed`."""
    torch.manual_seed(seed)
    network = Tiny()
    metrics = Metrics(
        macs=1,
        params=2,
        size_bytes=3,
        accuracy=0.5,
        accuracy_pruned=0.4,
        accuracy_n=10,
        exhausted=False,
        prune_s=0.0,
        train_s=1.0,
        train_losses=(2.0, 1.0),
        train_precision="fp32",
        train_device="cpu",
        train_threads=1,
        torch=torch.__version__,
        created="2026-01-01T00:00:00+00:00",
    )
    return Made(make_plan(Tiny(), network), network.state_dict(), metrics)


def tiny_plan() -> Plan:
    """Return the plan of an unpruned network."""
    return make_plan(Tiny(), Tiny())


def write_user_model(folder: Path, name: str = "my_nets") -> str:
    """Write a module with the network above and return its `module:function`."""
    source = Path(__file__).read_text()
    body = source[source.index("class Tiny") : source.index("def made")]
    (folder / f"{name}.py").write_text(f"import torch\nfrom torch import nn\n\n\n{body}")
    return f"{name}:tiny_model"
