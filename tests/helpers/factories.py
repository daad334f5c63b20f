"""Small real things that several tests need: specs, a network of user's own, a store."""

from pathlib import Path

import torch
from torch import nn

from pruning_core.config.allocation import LATENCY_AWARE
from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import DatasetSpec, DenseSpec, MethodSpec, ModelSpec, TrainSpec
from pruning_core.datasets.base import Dataset, Split
from pruning_core.pruning.channel_plan import ChannelPlan, make_plan
from pruning_core.store.checkpoint import Metrics, NewCheckpoint

# Ratio → MACs in G and parameters in M, as the tutorial published them.
TUTORIAL = {
    0.05: (0.49, 10.03), 0.10: (0.44, 9.00), 0.15: (0.40, 8.01), 0.20: (0.35, 7.09), 0.25: (0.31, 6.29),
    0.30: (0.27, 5.44), 0.35: (0.23, 4.69), 0.40: (0.20, 3.98), 0.45: (0.16, 3.34), 0.50: (0.14, 2.80),
    0.55: (0.11, 2.24), 0.60: (0.09, 1.77), 0.65: (0.07, 1.34), 0.70: (0.05, 0.99), 0.75: (0.04, 0.70),
    0.80: (0.02, 0.44), 0.85: (0.01, 0.25), 0.90: (0.01, 0.11), 0.95: (0.00, 0.03), 1.00: (0.00, 0.03),
}  # fmt: skip

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


def bright_images(crop_padding: int = 0) -> Dataset:
    """Return sixty real-sized images whose class shows in their brightness, for training and for test."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 10
    noise = torch.randint(0, 20, (60, 3, 32, 32), generator=generator)
    split = Split((labels.view(-1, 1, 1, 1) * 23 + noise).to(torch.uint8), labels)
    augment = DIGITS_8.augment.model_copy(update={"crop_padding": crop_padding})
    return Dataset(DIGITS_8.model_copy(update={"augment": augment}), tuple("0123456789"), split, split)


def dense_spec(seed: int = 0) -> DenseSpec:
    """Build a spec whose key depends on `seed`."""
    return DenseSpec(model=ModelSpec(name="tiny"), dataset=DIGITS_8, train=TrainSpec(seed=seed))


def tiny_method(name: str, ratio: float, **fields) -> MethodSpec:
    """Return the spec of a method for `Tiny`; one that needs an allocation gets the widths of the ratio."""
    if name == LATENCY_AWARE:
        unit = fields.get("round_to", 2)
        kept = {layer: int(width * (1 - ratio) + 1e-9) for layer, width in (("stem", 16), ("inner", 32))}
        fields["allocation"] = {layer: max(unit, width - width % unit) for layer, width in kept.items()}
    return MethodSpec(name=name, **fields)


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


def made(seed: int = 0) -> NewCheckpoint:
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
        sparsity=0.0,
        prune_s=0.0,
        train_s=1.0,
        train_overhead_s=0.1,
        train_losses=(2.0, 1.0),
        train_precision="fp32",
        train_device="cpu",
        train_threads=1,
        torch=torch.__version__,
        created="2026-01-01T00:00:00+00:00",
    )
    return NewCheckpoint(make_plan(Tiny(), network), network.state_dict(), metrics)


def tiny_plan() -> ChannelPlan:
    """Return the plan of an unpruned network."""
    return make_plan(Tiny(), Tiny())


def write_user_model(folder: Path, name: str = "my_nets") -> str:
    """Write a module with the network above and return its `module:function`."""
    source = Path(__file__).read_text()
    body = source[source.index("class Tiny") : source.index("def made")]
    (folder / f"{name}.py").write_text(f"import torch\nfrom torch import nn\n\n\n{body}")
    return f"{name}:tiny_model"
