"""Batches: what is drawn for an epoch, and the images that follow from it; a dataset's fingerprint."""

import pytest
import torch
from torch import Tensor

from pruning_core.config.spec import AugmentSpec, DatasetSpec
from pruning_core.datasets.base import (
    Dataset,
    Split,
    compute_fingerprint,
    compute_statistics,
    make_dataset,
)
from pruning_core.datasets.batches import augment, batches, make_batch, normalise, sample_epoch

CROP_AND_FLIP = AugmentSpec(flip=True, crop_padding=2)


def make_split(count: int = 10, seed: int = 0) -> Split:
    """Random pixels, 3×6×8, and labels that tell the images apart."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 6, 8), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count))


def make_small(count: int = 10, augment: AugmentSpec = CROP_AND_FLIP) -> Dataset:
    """Describe a random split with constants that are easy to check."""
    split = make_split(count)
    names = [str(label) for label in range(10)]
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    return make_dataset("small", names, split, make_split(4, seed=1), mean=mean, std=std, augment=augment)


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
    choices = sample_epoch(len(split.labels), spec, batch_size, shuffle, augmentation)
    parts = torch.split(choices.to(split.images.device), batch_size)
    return [make_batch(split, spec, part, device) for part in parts]


def augment_by(images: Tensor, how: AugmentSpec, generator: torch.Generator) -> Tensor:
    """Augment a batch by what is drawn for it."""
    spec = make_small(augment=how).spec
    return augment(images, sample_epoch(len(images), spec, len(images), None, generator)[:, 1:])


def crop_one_by_one(images: Tensor, how: AugmentSpec, generator: torch.Generator) -> Tensor:
    """Do what `augment` does, one image after another, with a padded copy."""
    count, _, height, width = images.shape
    padding = how.crop_padding
    offsets = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)[:, :, 0].tolist()
    mirrored = (torch.rand((count, 1), generator=generator) < 0.5)[:, 0].tolist()
    varied = []
    for image, top, left, mirror in zip(images, *offsets, mirrored, strict=True):
        padded = torch.nn.functional.pad(image[None].float(), (padding,) * 4, mode="reflect")[0]
        crop = padded[:, top : top + height, left : left + width].to(torch.uint8)
        varied.append(crop.flip(2) if how.flip and mirror else crop)
    return torch.stack(varied)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("padding", [0, 1, 5])
def test_augments_as_a_loop_over_images_would(flip: bool, padding: int) -> None:
    """One gather for a batch gives the pixels of padding, cropping and mirroring each image."""
    images, how = make_split(64).images, AugmentSpec(flip=flip, crop_padding=padding)
    assert torch.equal(augment_by(images, how, seeded()), crop_one_by_one(images, how, seeded()))


def test_augments_each_image_on_its_own() -> None:
    """Copies of one image in a batch are shifted and mirrored in every way there is."""
    images = make_split(1).images.repeat(500, 1, 1, 1)
    varied = augment_by(images, AugmentSpec(flip=True, crop_padding=1), seeded())
    assert len({image.numpy().tobytes() for image in varied}) == 3 * 3 * 2


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
    plain = drawn_batches(dataset.train, dataset.spec, 4, seeded())
    augmented = drawn_batches(dataset.train, dataset.spec, 4, seeded(), seeded(5))
    for (_, labels), (_, other_labels) in zip(plain, augmented, strict=True):
        assert torch.equal(labels, other_labels)


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
