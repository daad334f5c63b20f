"""Datasets by name: what each holds, and what is said when one is not there."""

import gzip
import hashlib
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pruning_core.datasets import DATASETS, check_dataset_name, fashion_mnist, load_dataset
from pruning_core.datasets.base import Dataset, compute_statistics
from pruning_core.datasets.batches import batches
from pruning_core.errors import DatasetError, UnknownNameError
from pruning_core.torchvision_compat import datasets


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make every attempt to reach the network fail, and look in no folder of this machine."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a test must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))


def refusal_of(name: str, data_root: Path | None) -> str:
    """Return the text of the error, which must be one line that names the dataset."""
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, data_root=data_root)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    return str(caught.value)


# --- names


@pytest.mark.parametrize(
    "name", [*DATASETS, "folder:images", "folder:/a/b c", "folder:C:\\x", "mine:load", "a.b:c"]
)
def test_possible_names_are_accepted_without_loading(name: str) -> None:
    """A name is checked by its form: nothing is imported, read or downloaded."""
    check_dataset_name(name)


@pytest.mark.parametrize(
    "name", ["", "cifar", "folder", "folder:", "mine", "mine:", ":load", "my file:load", "a..b:c"]
)
def test_impossible_names_are_refused(name: str) -> None:
    """Any other name is refused, with all that there is."""
    with pytest.raises(
        UnknownNameError, match="known: cifar10, cifar100, digits, fashion-mnist, folder:PATH"
    ):
        check_dataset_name(name)


def test_misspelt_name_gets_a_suggestion() -> None:
    """The closest name is suggested; loading refuses as checking does."""
    with pytest.raises(UnknownNameError, match=r"no dataset 'cifar-10'\. Did you mean 'cifar10'\?"):
        load_dataset("cifar-10")


# --- digits


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


# --- CIFAR


class OldType:
    """Pickled as Python 2 pickled a dtype, with a number for a truth value: numpy from 2.4 warns of it."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return np.dtype, ("u1", 2, 1)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """Write files of CIFAR's format, three images each, and have torchvision expect their md5."""
    build = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    folder = root / build.base_folder
    folder.mkdir(parents=True)

    def write(file: str, content: dict[str, object]) -> str:
        (folder / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    key = "labels" if name == "cifar10" else "fine_labels"
    for attribute in ("train_list", "test_list"):
        entries = []
        for seed, (file, _) in enumerate(getattr(build, attribute)):
            pixels = np.random.RandomState(seed).randint(0, 256, (3, 3 * 32 * 32), dtype=np.uint8)
            entries.append([file, write(file, {"data": pixels, key: [seed, 1, 2], "type": OldType()})])
        monkeypatch.setattr(build, attribute, entries)
    names = [f"class {number}" for number in range(10 if name == "cifar10" else 100)]
    meta = dict(build.meta)
    meta["md5"] = write(meta["filename"], {meta["key"]: names})
    monkeypatch.setattr(build, "meta", meta)
    return build


@pytest.mark.parametrize(("name", "classes", "count"), [("cifar10", 10, 15), ("cifar100", 100, 3)])
def test_cifar_is_found_under_the_data_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, classes: int, count: int
) -> None:
    """CIFAR comes from torchvision's own layout: planes of red, green and blue, labels and class names."""
    write_cifar(tmp_path, monkeypatch, name)
    dataset = load_dataset(name, data_root=tmp_path)
    spec = dataset.spec
    assert (spec.name, spec.classes, spec.channels, spec.height, spec.width) == (name, classes, 3, 32, 32)
    assert (spec.augment.flip, spec.augment.crop_padding) == (True, 4)
    assert (len(dataset.train.labels), len(dataset.test.labels)) == (count, 3)
    assert dataset.train.labels[:3].tolist() == [0, 1, 2]
    assert dataset.class_names[3] == "class 3"
    first = np.random.RandomState(0).randint(0, 256, (3, 3, 32, 32), dtype=np.uint8)[1]
    assert np.array_equal(dataset.train.images[1].numpy(), first)
    assert dataset.train.images.is_contiguous()


def test_cifar_is_looked_for_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a data root, the user's cache folder is looked into."""
    write_cifar(tmp_path / "home-cache" / "pruning-bench" / "datasets", monkeypatch, "cifar10")
    assert load_dataset("cifar10").spec.classes == 10


@pytest.mark.parametrize(
    ("name", "wanted"), [("cifar10", "cifar-10-batches-py/"), ("cifar100", "cifar-100-python/")]
)
def test_missing_cifar_says_how_to_get_it(tmp_path: Path, name: str, wanted: str) -> None:
    """Which dataset, where it was looked for, and how to get it."""
    text = refusal_of(name, tmp_path)
    assert f"looked for {wanted} in {tmp_path}" in text
    assert "--data-root" in text
    assert "--download" in text


def test_altered_cifar_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose md5 is not the published one is never unpickled."""
    build = write_cifar(tmp_path, monkeypatch, "cifar10")
    file = tmp_path / build.base_folder / "data_batch_3"
    file.write_bytes(file.read_bytes() + b"x")
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    assert "is incomplete or altered" in refusal_of("cifar10", tmp_path)


def test_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that fails says where it was to go, and why."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(datasets.cifar, "download_and_extract_archive", refuse)
    with pytest.raises(
        DatasetError, match=f"'cifar10' cannot be downloaded into {tmp_path}: no route to host"
    ):
        load_dataset("cifar10", data_root=tmp_path, download=True)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_present_cifar_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Allowing a download does not cause one where the files are."""
    write_cifar(tmp_path, monkeypatch, name)
    assert load_dataset(name, data_root=tmp_path, download=True).spec.name == name


# --- Fashion-MNIST


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
