"""scikit-learn's digits: always the same images, divided within each class."""

import pytest
import torch

from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import Dataset, compute_statistics
from pruning_core.datasets.batches import batches


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The embedded dataset."""
    return load_dataset("digits")


def test_digits_are_always_the_same_images(digits: Dataset) -> None:
    """Pixels and division never change between machines and versions: checkpoints hang on them."""
    assert digits.spec.fingerprint == "e957c97e71e381913c64430cb64d313c"
    assert load_dataset("digits").spec == digits.spec


def test_digits_are_as_described(digits: Dataset) -> None:
    """1797 images of 3×32×32 in ten classes, over the whole range of grey, never mirrored."""
    train, test, spec = digits.train, digits.test, digits.spec
    assert (train.images.shape, test.images.shape) == ((1438, 3, 32, 32), (359, 3, 32, 32))
    assert (train.images.dtype, train.labels.dtype) == (torch.uint8, torch.int64)
    assert (int(train.images.min()), int(train.images.max())) == (0, 255)
    assert (spec.classes, spec.channels, spec.height, spec.width) == (10, 3, 32, 32)
    assert (spec.augment.flip, spec.augment.crop_padding) == (False, 2)
    assert digits.class_names == tuple("0123456789")


def test_digits_are_divided_within_each_class(digits: Dataset) -> None:
    """A fifth of every class is for testing, and no image is in both splits."""
    counts = torch.stack([split.labels.bincount() for split in (digits.train, digits.test)])  # (2, 10)
    assert (counts[1] / counts.sum(0) - 0.2).abs().max() < 0.005
    train = {image.numpy().tobytes() for image in digits.train.images}
    assert train.isdisjoint(image.numpy().tobytes() for image in digits.test.images)


def test_digits_can_be_told_apart(digits: Dataset) -> None:
    """Labels belong to their images: the nearest class mean is right for most test images."""
    flat, labels = digits.train.images[:, 0].flatten(1).float(), digits.train.labels
    means = torch.stack([flat[labels == label].mean(0) for label in range(10)])  # (10, 1024)
    nearest = torch.cdist(digits.test.images[:, 0].flatten(1).float(), means).argmin(1)
    assert (nearest == digits.test.labels).float().mean() > 0.85


def test_constants_of_digits_are_those_of_its_pixels(digits: Dataset) -> None:
    """The mean and std in the spec are the training images', to four digits."""
    mean, std = compute_statistics(digits.train.images)
    assert digits.spec.mean == tuple(round(value, 4) for value in mean)
    assert digits.spec.std == tuple(round(value, 4) for value in std)
    images = torch.cat([images for images, _ in batches(digits.train, digits.spec, 500)])
    assert abs(float(images.mean())) < 1e-3
    assert abs(float(images.std()) - 1) < 1e-3
