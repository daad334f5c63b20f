"""Networks for small images of which most published tables of pruning are.

ResNets as in He et al., "Deep Residual Learning for Image Recognition", with convolutions of one
pixel as shortcuts where the width changes, as in torch-pruning's tables; wide ones as in Zagoruyko and
Komodakis, "Wide Residual Networks", BMVC 2016.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

STAGES = (16, 32, 64)
"""Widths; from the second on, each begins with stride 2."""


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class _PreActivatedBlock(nn.Module):
    """Norm and activation come before each convolution; where the width changes, before the shortcut too."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv3x3(outputs, outputs)
        self.shortcut: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = functional.relu(self.bn1(x))
        beside = x if self.shortcut is None else self.shortcut(activated)
        added: Tensor = self.conv2(functional.relu(self.bn2(self.conv1(activated)))) + beside
        return added


_MakeBlock = Callable[[int, int, int], nn.Module]
"""Of inputs, outputs and stride."""


class _ResNet(nn.Module):
    def __init__(
        self,
        block: _MakeBlock,
        blocks: int,  # in each stage
        factor: int,  # of the widths
        classes: int,
        channels: int,
    ) -> None:
        super().__init__()
        pre_activated = block is _PreActivatedBlock
        self.conv1 = _conv3x3(channels, STAGES[0])
        self.bn1: nn.Module = nn.Identity() if pre_activated else nn.BatchNorm2d(STAGES[0])
        self.act1: nn.Module = nn.Identity() if pre_activated else nn.ReLU()
        first, second, third = (stage * factor for stage in STAGES)
        self.layer1 = _stage(block, blocks, STAGES[0], first, 1)
        self.layer2 = _stage(block, blocks, first, second, 2)
        self.layer3 = _stage(block, blocks, second, third, 2)
        self.norm: nn.Module = nn.BatchNorm2d(third) if pre_activated else nn.Identity()
        self.act2: nn.Module = nn.ReLU() if pre_activated else nn.Identity()
        self.fc = nn.Linear(third, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = functional.adaptive_avg_pool2d(self.act2(self.norm(x)), 1)
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def _stage(block: _MakeBlock, blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    others = (block(outputs, outputs, 1) for _ in range(blocks - 1))
    return nn.Sequential(block(inputs, outputs, stride), *others)


def build_resnet20(classes: int, channels: int) -> nn.Module:
    """Build the ResNet of He et al. that has three blocks a stage."""
    return _ResNet(_Block, 3, 1, classes, channels)


def build_resnet32(classes: int, channels: int) -> nn.Module:
    """Build the ResNet of He et al. that has five blocks a stage."""
    return _ResNet(_Block, 5, 1, classes, channels)


def build_resnet56(classes: int, channels: int) -> nn.Module:
    """Build the ResNet of He et al. that has nine blocks a stage."""
    return _ResNet(_Block, 9, 1, classes, channels)


def build_resnet110(classes: int, channels: int) -> nn.Module:
    """Build the ResNet of He et al. that has eighteen blocks a stage."""
    return _ResNet(_Block, 18, 1, classes, channels)


def build_wrn_16_2(classes: int, channels: int) -> nn.Module:
    """Build the wide ResNet with two blocks a stage, twice as wide, norms and activations first."""
    return _ResNet(_PreActivatedBlock, 2, 2, classes, channels)


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
