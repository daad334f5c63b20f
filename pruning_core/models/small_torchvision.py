"""torchvision's families for small images: the first convolution has stride 1, early pooling is left out.

That is usual for images of about the size of CIFAR's.
"""

from typing import Any

from torch import nn

from pruning_core.torchvision_compat import models as torchvision_models


def _resnet(network: Any, channels: int) -> nn.Module:  # Any: torchvision has no types
    network.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return _as_module(network)


def build_resnet18(classes: int, channels: int) -> nn.Module:
    """Build ResNet-18 with a stem of stride 1 and no max-pool."""
    return _resnet(torchvision_models.resnet18(weights=None, num_classes=classes), channels)


def build_resnet50(classes: int, channels: int) -> nn.Module:
    """Build ResNet-50 with a stem of stride 1 and no max-pool."""
    return _resnet(torchvision_models.resnet50(weights=None, num_classes=classes), channels)


def build_vgg16_bn(classes: int, channels: int) -> nn.Module:
    """Build VGG-16 with batch norm; one linear layer on the pooled features instead of three."""
    return _vgg(torchvision_models.vgg16_bn(weights=None, num_classes=classes), classes, channels)


def build_vgg19_bn(classes: int, channels: int) -> nn.Module:
    """Build VGG-19 with batch norm; one linear layer on the pooled features instead of three."""
    return _vgg(torchvision_models.vgg19_bn(weights=None, num_classes=classes), classes, channels)


def _vgg(network: Any, classes: int, channels: int) -> nn.Module:
    network.features[0] = nn.Conv2d(channels, 64, kernel_size=3, padding=1)
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Linear(512, classes)
    return _as_module(network)


def build_mobilenet_v2(classes: int, channels: int) -> nn.Module:
    """Build MobileNetV2 with a total stride of 8."""
    # Expansion, width, blocks, stride of each stage; strides of the stem and second stage are 1 here.
    stages = [
        [1, 16, 1, 1],
        [6, 24, 2, 1],
        [6, 32, 3, 2],
        [6, 64, 4, 2],
        [6, 96, 3, 1],
        [6, 160, 3, 2],
        [6, 320, 1, 1],
    ]
    network: Any = torchvision_models.mobilenet_v2(
        weights=None, num_classes=classes, inverted_residual_setting=stages
    )
    network.features[0][0] = nn.Conv2d(channels, 32, kernel_size=3, stride=1, padding=1, bias=False)
    return _as_module(network)


def _as_module(network: Any) -> nn.Module:
    assert isinstance(network, nn.Module)
    return network
