"""CIFAR, of ten and of a hundred classes: small photographs, read by torchvision.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from typing import Any

import torch

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Dataset, Split, make_dataset
from pruning_core.datasets.source import Source, not_found, read_with_torchvision


def load_cifar10(source: Source) -> Dataset:
    """Load the one of ten classes."""
    from pruning_core.torchvision_compat import datasets

    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    return _load_cifar("cifar10", datasets.CIFAR10, source, mean, std)


def load_cifar100(source: Source) -> Dataset:
    """Load the one of a hundred classes."""
    from pruning_core.torchvision_compat import datasets

    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    return _load_cifar("cifar100", datasets.CIFAR100, source, mean, std)


def _load_cifar(
    name: str, dataset_class: Any, source: Source, mean: tuple[float, ...], std: tuple[float, ...]
) -> Dataset:
    folder = source.data_root / dataset_class.base_folder
    if not folder.is_dir() and not source.download:
        raise not_found(name, [source.data_root], f"{dataset_class.base_folder}/")
    splits = read_with_torchvision(name, dataset_class, source)
    train, test = (
        Split(torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(split.targets))
        for split in splits
    )
    augment = AugmentSpec(flip=True, crop_padding=4)
    return make_dataset(name, splits[0].classes, train, test, mean=mean, std=std, augment=augment)
