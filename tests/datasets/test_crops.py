"""Parts of stored pictures: drawn as torchvision draws them, resized as PyTorch does, all at once."""

import pytest
import torch
from torch.nn import functional as F

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Split, make_dataset
from pruning_core.datasets.batches import batches, make_batch, normalise, sample_epoch
from pruning_core.datasets.crops import UNITS, central_parts, draw_parts, resize_parts
from pruning_core.pictures.decode import central_box
from pruning_core.torchvision_compat import transforms


def seeded(seed: int = 0) -> torch.Generator:
    """Return a fresh generator."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(7, 9), (16, 20), (40, 33)])
@pytest.mark.parametrize("part", [(0, 0, 16, 20), (2, 5, 9, 8), (15, 19, 1, 1), (0, 3, 1, 17)])
@pytest.mark.parametrize("mirrored", [0, 1])
def test_parts_are_resized_as_pytorch_resizes_a_crop(
    size: tuple[int, int], part: tuple[int, int, int, int], mirrored: int
) -> None:
    """Two products of matrices give what cropping, resizing with antialiasing and mirroring give."""
    images = torch.randint(0, 256, (2, 3, 16, 20), dtype=torch.uint8, generator=seeded())
    top, left, height, width = part
    crop = images[:, :, top : top + height, left : left + width].to(torch.float32)
    expected = F.interpolate(crop, size, mode="bilinear", antialias=True, align_corners=False)
    expected = expected.flip(3) if mirrored else expected
    units = torch.tensor([[top / 16, left / 20, height / 16, width / 20]] * 2) * UNITS
    found = resize_parts(images, units.round().long(), torch.full((2,), mirrored), *size)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("size", [(375, 500), (64, 64), (20, 200), (200, 20), (1, 1)])
def test_parts_lie_within_the_picture(size: tuple[int, int]) -> None:
    """No part reaches over an edge or is empty; its shape is that of 3:4 to 4:3 in the picture itself."""
    parts = draw_parts(torch.tensor([size] * 500), seeded()).double() / UNITS
    corner, sides = parts[:, :2], parts[:, 2:]
    assert corner.min() >= 0
    assert sides.min() > 0
    assert (corner + sides).max() <= 1 + 2 / UNITS
    aspects = sides[:, 1] * size[1] / (sides[:, 0] * size[0])
    assert aspects.min() > 0.65
    assert aspects.max() < 1.5


@pytest.mark.parametrize("size", [(375, 500), (60, 400)])
def test_parts_are_drawn_as_by_torchvision(size: tuple[int, int]) -> None:
    """Area, shape and position have the distribution of `RandomResizedCrop.get_params`."""
    torch.manual_seed(0)
    blank = torch.zeros(3, *size, dtype=torch.uint8)
    draw = transforms.RandomResizedCrop.get_params
    theirs = torch.tensor([draw(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]).double()
    theirs /= torch.tensor([*size, *size])
    ours = draw_parts(torch.tensor([size] * 4000), seeded()).double() / UNITS
    levels = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)
    for column in range(4):
        quantiles = [torch.quantile(drawn[:, column], levels) for drawn in (ours, theirs)]
        torch.testing.assert_close(*quantiles, atol=0.035, rtol=0)


@pytest.mark.parametrize("out", [(224, 224), (64, 96)])
def test_the_central_part_is_that_of_a_test_picture(out: tuple[int, int]) -> None:
    """Without augmentation a training picture shows what it would show in the test split, to a pixel."""
    sizes = [(375, 500), (500, 375), (256, 256), (90, 300)]
    parts = central_parts(torch.tensor(sizes), *out).double() / UNITS
    for (height, width), (top, left, rows, columns) in zip(sizes, parts.tolist(), strict=True):
        box = central_box(height, width, *out)
        found = left * width, top * height, (left + columns) * width, (top + rows) * height
        assert max(abs(a - b) for a, b in zip(found, box, strict=True)) < 2.5


def stored(augment: AugmentSpec, count: int = 6) -> tuple[Split, object]:
    """Return a split of smooth pictures stored as 12×12, with the spec of a dataset of 8×8."""
    ramp = torch.arange(12.0)[None, None, None] + torch.arange(12.0)[None, None, :, None]
    images = (ramp * 10).expand(count, 3, 12, 12).to(torch.uint8)
    sizes = torch.tensor([[30, 40], [40, 30], [30, 30], [90, 30], [30, 90], [12, 12]])[:count]
    train = Split(images, torch.arange(count) % 2, sizes)
    test = Split(images[:2, :, :8, :8], torch.arange(2))
    halves = (0.5,) * 3
    spec = make_dataset("x", ["a", "b"], train, test, mean=halves, std=halves, augment=augment).spec
    return train, spec


def test_the_datasets_size_is_what_a_network_gets() -> None:
    """Stored larger, training pictures come in the size of the spec, augmented or not."""
    train, spec = stored(AugmentSpec(flip=True, crop_padding=0, resized_crop=True))
    assert (spec.height, spec.width) == (8, 8)
    for augmentation in (None, seeded()):
        choices = sample_epoch(train, spec, 4, seeded(), augmentation)
        assert choices.shape == (6, 6)
        images, labels = make_batch(train, spec, choices[:4], "cpu")
        assert (images.shape, images.dtype) == ((4, 3, 8, 8), torch.float32)
        assert torch.equal(labels, train.labels[choices[:4, 0]])
    plain = torch.cat([images for images, _ in batches(train, spec, 4)])
    parts = central_parts(train.sizes, 8, 8)
    assert torch.equal(plain, normalise(resize_parts(train.images, parts, torch.zeros(6), 8, 8), spec))


def test_parts_depend_on_the_seed_alone() -> None:
    """The same seed draws the same parts, another seed others; a grid that does not augment draws none."""
    train, spec = stored(AugmentSpec(flip=True, crop_padding=0, resized_crop=True))
    first, again, other = (sample_epoch(train, spec, 4, seeded(), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first[:, 0], other[:, 0])
    assert not torch.equal(first, other)
    plain = sample_epoch(train, spec, 4, seeded())
    assert torch.equal(plain[:, 1:5], central_parts(train.sizes, 8, 8)[plain[:, 0]])
    assert int(plain[:, 5].sum()) == 0


def test_mirroring_is_the_datasets_choice() -> None:
    """Half of the pictures are mirrored where the augment says so, none where it does not."""
    train, spec = stored(AugmentSpec(flip=True, crop_padding=0, resized_crop=True))
    drawn = torch.cat([sample_epoch(train, spec, 6, None, seeded(seed)) for seed in range(50)])
    assert 0.4 < drawn[:, 5].double().mean() < 0.6
    train, spec = stored(AugmentSpec(flip=False, crop_padding=0, resized_crop=True))
    assert int(sample_epoch(train, spec, 6, None, seeded())[:, 5].sum()) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_parts_are_the_same_on_a_gpu() -> None:
    """A seed means the same pictures on every device."""
    train, spec = stored(AugmentSpec(flip=True, crop_padding=0, resized_crop=True))
    choices = sample_epoch(train, spec, 6, seeded(), seeded())
    here, _ = make_batch(train, spec, choices, "cpu")
    there, _ = make_batch(Split(train.images.cuda(), train.labels.cuda()), spec, choices.cuda(), "cuda")
    torch.testing.assert_close(there.cpu(), here, atol=1e-3, rtol=0)
