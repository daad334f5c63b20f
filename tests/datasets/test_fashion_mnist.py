"""Fashion-MNIST: found in three layouts, read from MNIST's file format, refused when damaged."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pruning_core.datasets import fashion_mnist, load_dataset
from pruning_core.torchvision_compat import datasets
from tests.helpers.dataset_errors import refusal_of


def write_fashion(folder: Path, zipped: bool = False) -> None:
    """Write files of MNIST's format: eleven training and five test images."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", 11), ("t10k", 5)):
        pixels = np.random.RandomState(count).randint(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            sizes = np.array(values.shape, dtype=">u4").tobytes()
            content = bytes((0, 0, 8, values.ndim)) + sizes + values.tobytes()
            file = folder / f"{prefix}-{name}-ubyte"
            if zipped:
                file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(content))
            else:
                file.write_bytes(content)


@pytest.mark.parametrize("where", ["root/FashionMNIST/raw", "root/fashion-mnist", "root", "debian"])
@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_is_found(tmp_path: Path, where: str, zipped: bool) -> None:
    """Plain or zipped files are found in torchvision's layout, in a plain folder, or in Debian's folder."""
    write_fashion(tmp_path / where, zipped)
    dataset = load_dataset("fashion-mnist", data_root=tmp_path / "root")
    assert dataset.train.labels.tolist() == [*range(10), 0]
    assert (len(dataset.test.labels), dataset.spec.classes, dataset.class_names[9]) == (5, 10, "Ankle boot")


def test_fashion_mnist_agrees_with_torchvision(tmp_path: Path) -> None:
    """Images and labels are those that torchvision reads, inside a black border, in three equal channels."""
    write_fashion(tmp_path / "FashionMNIST" / "raw")
    dataset = load_dataset("fashion-mnist", data_root=tmp_path)
    expected = datasets.FashionMNIST(tmp_path, train=False)
    images = dataset.test.images
    assert images.shape == (5, 3, 32, 32)
    for channel in range(3):
        assert torch.equal(images[:, channel, 2:-2, 2:-2], expected.data)
    assert int(images.sum()) == 3 * int(expected.data.sum())
    assert torch.equal(dataset.test.labels, expected.targets)
    assert list(dataset.class_names) == expected.classes
    assert (dataset.spec.augment.flip, dataset.spec.augment.crop_padding) == (True, 2)


def test_constants_of_fashion_mnist_allow_for_the_border() -> None:
    """The published 0.2860 and 0.3530 of 28×28 pixels, diluted by a border of zeros to 32×32."""
    share = 28 * 28 / (32 * 32)
    mean = 0.2860 * share
    std = ((0.3530**2 + 0.2860**2) * share - mean**2) ** 0.5
    source = Path(fashion_mnist.__file__).read_text(encoding="utf-8")
    assert f"mean=({mean:.4f},) * 3" in source
    assert f"std=({std:.4f},) * 3" in source


def test_missing_fashion_mnist_says_how_to_get_it(tmp_path: Path) -> None:
    """All folders looked into are named, and all ways to get it."""
    text = refusal_of("fashion-mnist", tmp_path / "root")
    for part in ("root/FashionMNIST/raw", "debian", "--data-root", "--download", "dataset-fashion-mnist"):
        assert part in text


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("train-images-idx3-ubyte", None, "is truncated, or no file of MNIST's format"),
        ("train-images-idx3-ubyte", b"<html>", "is truncated, or no file of MNIST's format"),
        (
            "t10k-labels-idx1-ubyte",
            bytes((0, 0, 8, 1, 0, 0, 0, 2, 1, 1)),
            "hold images (5, 28, 28) and labels (2,)",
        ),
        ("t10k-labels-idx1-ubyte", bytes((0, 0, 8, 1, 0, 0, 0, 5, 1, 1, 1, 1, 10)), "N labels of 0 to 9"),
    ],
)
def test_damaged_fashion_mnist_is_named(tmp_path: Path, file: str, content: bytes | None, text: str) -> None:
    """A truncated or foreign file, or labels that do not fit, are refused with their path."""
    write_fashion(tmp_path / "FashionMNIST" / "raw")
    path = tmp_path / "FashionMNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    assert text in refusal_of("fashion-mnist", tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda zipped: zipped[:-12], lambda zipped: zipped[:10] + b"\xff" * 20, lambda zipped: b"<html>"],
)
def test_damaged_zip_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A zipped file that ends early, is garbled or is no zip at all is refused with its path."""
    write_fashion(tmp_path, zipped=True)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    assert f"cannot read {path}" in refusal_of("fashion-mnist", tmp_path)


def test_incomplete_fashion_mnist_is_named(tmp_path: Path) -> None:
    """Three of the four files are not enough; the missing one is named."""
    write_fashion(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert "holds no t10k-labels-idx1-ubyte" in refusal_of("fashion-mnist", tmp_path)
