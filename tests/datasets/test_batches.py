"""Batches: what is drawn for an epoch, and the images that follow from it; a dataset's fingerprint."""

import pytest
import torch
from torch import Tensor

from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import DatasetSpec
from pruning_core.datasets.base import (
    Split,
)
from pruning_core.datasets.batches import augment, batches, make_batch, normalise, sample_epoch
from tests.helpers.random_splits import make_small, make_split


def seeded(seed: int = 0) -> torch.Generator:
    """Return a fresh generator."""
    return torch.Generator().manual_seed(seed)


def drawn_batches(
    split: Split,
    spec: DatasetSpec,
    batch_size: int,
    shuffle: torch.Generator | None = None,
    augmentation: torch.Generator | None = None,
    device: str = "cpu",
) -> list[tuple[Tensor, Tensor]]:
    """Make the batches of an epoch as a training does: drawn on the CPU, made where they are wanted."""
    choices = sample_epoch(split, spec, batch_size, shuffle, augmentation)
    parts = torch.split(choices.to(split.images.device), batch_size)
    return [make_batch(split, spec, part, device) for part in parts]


def augment_by(images: Tensor, how: AugmentSpec, generator: torch.Generator) -> Tensor:
    """Augment a batch by what is drawn for it."""
    spec, split = make_small(augment=how).spec, Split(images, torch.arange(len(images)))
    return augment(images, sample_epoch(split, spec, len(images), None, generator)[:, 1:])


def crop_one_by_one(images: Tensor, how: AugmentSpec, generator: torch.Generator) -> Tensor:
    """Do what `augment` does, one image after another, with a padded copy."""
    count, _, height, width = images.shape
    padding = how.crop_padding
    offsets = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)[:, :, 0].tolist()
    mirrored = (torch.rand((count, 1), generator=generator) < 0.5)[:, 0].tolist()
    cropped = []
    for image, top, left, mirror in zip(images, *offsets, mirrored, strict=True):
        padded = torch.nn.functional.pad(image[None].float(), (padding,) * 4, mode="reflect")[0]
        crop = padded[:, top : top + height, left : left + width].to(torch.uint8)
        cropped.append(crop.flip(2) if how.flip and mirror else crop)
    return torch.stack(cropped)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("padding", [0, 1, 5])
def test_augments_as_a_loop_over_images_would(flip: bool, padding: int) -> None:
    """One gather for a batch gives the pixels of padding, cropping and mirroring each image."""
    images, how = make_split(64).images, AugmentSpec(flip=flip, crop_padding=padding)
    assert torch.equal(augment_by(images, how, seeded()), crop_one_by_one(images, how, seeded()))


def test_augments_each_image_on_its_own() -> None:
    """Copies of one image in a batch are shifted and mirrored in every way there is."""
    images = make_split(1).images.repeat(500, 1, 1, 1)
    augmented = augment_by(images, AugmentSpec(flip=True, crop_padding=1), seeded())
    assert len({image.numpy().tobytes() for image in augmented}) == 3 * 3 * 2


def test_does_not_augment_without_border_and_mirror() -> None:
    """A dataset without augmentation keeps its pixels even when augmentation is asked for."""
    images = make_split().images
    assert torch.equal(augment_by(images, AugmentSpec(flip=False, crop_padding=0), seeded()), images)


def test_normalises_each_channel() -> None:
    """Pixels are divided by 255, then mean and std of their channel are taken away."""
    images = torch.tensor([[0, 255], [0, 255], [0, 255]], dtype=torch.uint8).view(1, 3, 1, 2)
    expected = torch.tensor([[-1.0, 1.0], [-1.0, 3.0], [0.0, 1.0]]).view(1, 3, 1, 2)
    normalised = normalise(images, make_small().spec)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised, expected)


def test_normalising_leaves_the_pixels_alone() -> None:
    """The split can be walked over again: normalising makes new tensors."""
    dataset = make_small()
    before = dataset.train.images.clone()
    list(batches(dataset.train, dataset.spec, 3))
    assert torch.equal(dataset.train.images, before)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_yields_every_image_exactly_once(batch_size: int, shuffle: bool) -> None:
    """No image is dropped from an uneven last batch, and none comes twice."""
    dataset = make_small(10)
    generator = seeded() if shuffle else None
    found = drawn_batches(dataset.train, dataset.spec, batch_size, generator)
    labels = torch.cat([labels for _, labels in found])
    assert labels.sort().values.tolist() == list(range(10))


def test_last_batch_is_smaller() -> None:
    """Ten images in batches of four come as four, four and two."""
    dataset = make_small(10)
    assert [len(images) for images, _ in batches(dataset.train, dataset.spec, 4)] == [4, 4, 2]


def test_batches_are_in_the_order_of_the_split() -> None:
    """A walk for evaluation gives the images in their order, not augmented, as float32 with int64 labels."""
    dataset = make_small()
    images, labels = (
        torch.cat(parts) for parts in zip(*batches(dataset.train, dataset.spec, 4), strict=True)
    )
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert torch.equal(labels, dataset.train.labels)
    assert torch.equal(images, normalise(dataset.train.images, dataset.spec))


def test_images_keep_their_labels_when_shuffled() -> None:
    """Shuffling moves an image and its label together."""
    dataset = make_small()
    expected = normalise(dataset.train.images, dataset.spec)
    for images, labels in drawn_batches(dataset.train, dataset.spec, 4, seeded()):
        assert torch.equal(images, expected[labels])


def test_order_depends_on_the_seed_alone() -> None:
    """The same seed gives the same order and augmentation, another seed another."""

    def walk(order: int, augmentation: int) -> Tensor:
        dataset = make_small()
        found = drawn_batches(dataset.train, dataset.spec, 4, seeded(order), seeded(augmentation))
        return torch.cat([images for images, _ in found])

    assert torch.equal(walk(1, 2), walk(1, 2))
    assert not torch.equal(walk(1, 2), walk(3, 2))
    assert not torch.equal(walk(1, 2), walk(1, 3))


def test_order_does_not_depend_on_the_augmentation() -> None:
    """Switching augmentation off leaves the order as it was."""
    dataset = make_small()
    unchanged = drawn_batches(dataset.train, dataset.spec, 4, seeded())
    augmented = drawn_batches(dataset.train, dataset.spec, 4, seeded(), seeded(5))
    for (_, labels), (_, other_labels) in zip(unchanged, augmented, strict=True):
        assert torch.equal(labels, other_labels)


def test_batches_come_on_the_device_asked_for() -> None:
    """With generators of the CPU, shuffled and augmented batches come on another device."""
    dataset = make_small(10)
    found = drawn_batches(dataset.train, dataset.spec, 4, seeded(), seeded(1), device="meta")
    assert [(images.device.type, labels.device.type) for images, labels in found] == [("meta", "meta")] * 3
    assert [tuple(images.shape) for images, _ in found] == [(4, 3, 6, 8), (4, 3, 6, 8), (2, 3, 6, 8)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resident", [True, False])
def test_batches_are_the_same_on_a_gpu(resident: bool) -> None:
    """A seed means the same images on every device, whether the split lies there already or not."""
    dataset = make_small(10)
    split = Split(
        *(part.to("cuda" if resident else "cpu") for part in (dataset.train.images, dataset.train.labels))
    )
    here = drawn_batches(dataset.train, dataset.spec, 4, seeded(), seeded(1))
    there = drawn_batches(split, dataset.spec, 4, seeded(), seeded(1), device="cuda")
    for (images, labels), (gpu_images, gpu_labels) in zip(here, there, strict=True):
        assert (gpu_images.device.type, gpu_labels.device.type) == ("cuda", "cuda")
        torch.testing.assert_close(gpu_images.cpu(), images)
        assert torch.equal(gpu_labels.cpu(), labels)
