"""CIFAR: found, verified, downloaded only when asked for."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning_core.datasets import load_dataset
from pruning_core.errors import DatasetError
from pruning_core.torchvision_compat import datasets
from tests.helpers.dataset_errors import refusal_of


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
