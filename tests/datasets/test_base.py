"""What a dataset is: its fingerprint, its statistics, its spec."""

import torch

from pruning_core.config.spec import DatasetSpec
from pruning_core.datasets.base import (
    Split,
    compute_fingerprint,
    compute_statistics,
)
from tests.helpers.random_splits import CROP_AND_FLIP, make_small, make_split


def test_fingerprint_sees_every_change() -> None:
    """A pixel, a label, an order, a shape or a swap of the splits gives another fingerprint."""
    train, test = make_split(10), make_split(4, seed=1)
    pixel, label = train.images.clone(), train.labels.clone()
    pixel[9, 2, 5, 7] ^= 1
    label[9] = 0
    others = [
        (Split(pixel, train.labels), test),
        (Split(train.images, label), test),
        (Split(train.images.flip(0), train.labels.flip(0)), test),
        (Split(train.images.view(10, 3, 8, 6), train.labels), test),
        (test, train),
        (train, Split(test.images[:3], test.labels[:3])),
    ]
    fingerprints = {compute_fingerprint(*pair) for pair in [(train, test), *others]}
    assert len(fingerprints) == 1 + len(others)


def test_fingerprint_is_of_content_alone() -> None:
    """How tensors lie in memory does not matter, and the value never changes between versions."""
    train, test = make_split(10), make_split(4, seed=1)
    scattered = Split(train.images.contiguous(memory_format=torch.channels_last), train.labels)
    assert compute_fingerprint(scattered, test) == compute_fingerprint(train, test)
    counting = Split(torch.arange(12, dtype=torch.uint8).view(1, 3, 2, 2), torch.tensor([1]))
    assert compute_fingerprint(counting, counting) == "1a61bca1ab0479f8bea5afa4bc83d914"


def test_statistics_agree_with_torch() -> None:
    """Mean and deviation, counted in whole numbers, are those of the pixels as floats."""
    images = make_split(50).images
    mean, std = compute_statistics(images)
    scaled = images.to(torch.float64) / 255
    torch.testing.assert_close(mean, tuple(scaled.mean((0, 2, 3)).tolist()), atol=1e-6, rtol=0)
    torch.testing.assert_close(std, tuple(scaled.std((0, 2, 3), correction=0).tolist()), atol=1e-6, rtol=0)


def test_statistics_of_a_constant_channel_can_be_divided_by() -> None:
    """A channel without contrast does not make normalising divide by zero."""
    _, std = compute_statistics(torch.full((2, 1, 2, 2), 7, dtype=torch.uint8))
    assert std == (round(1 / 255, 6),)


def test_spec_describes_the_tensors() -> None:
    """Shape, classes and fingerprint in the spec are those of the splits."""
    dataset = make_small(10)
    expected = DatasetSpec(
        name="small",
        fingerprint=compute_fingerprint(dataset.train, dataset.test),
        classes=10,
        channels=3,
        height=6,
        width=8,
        mean=(0.5, 0.25, 0.0),
        std=(0.5, 0.25, 1.0),
        augment=CROP_AND_FLIP,
    )
    assert dataset.spec == expected
