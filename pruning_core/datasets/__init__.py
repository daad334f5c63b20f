"""Datasets by name → uint8 tensors and what is known of them.

    dataset = load_dataset("digits")
    for images, labels in batches(dataset.test, dataset.spec, 256): ...

A dataset of ours is a function here and a line in `DATASETS`. Nothing is downloaded unless asked for.
"""

import gzip
import math
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from torch import Tensor
from torch.nn import functional as F

from pruning_core.config.spec import AugmentSpec
from pruning_core.datasets.batches import Dataset, Split, make_dataset
from pruning_core.datasets.folder import load_folder
from pruning_core.datasets.user import call_user_function
from pruning_core.errors import DatasetError, UnknownNameError
from pruning_core.progress import ProgressDisplay

__all__ = ["DATASETS", "check_dataset_name", "load_dataset"]

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its files."""

_FASHION_MNIST_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_USER_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class Source:
    """Where files of a dataset are looked for, and whether they may be fetched."""

    data_root: Path
    download: bool


def load_dataset(
    name: str,
    *,
    data_root: Path | None = None,
    cache: Path | None = None,
    download: bool = False,
    display: ProgressDisplay | None = None,
) -> Dataset:
    """Load a dataset by name.

    Args:
        name: A name in DATASETS, `folder:PATH`, or `module:function` of a user's own.
        data_root: Where torchvision's datasets lie; by default in the user's cache folder.
        cache: Where decoded images of a folder are kept; None keeps none.
        download: Whether a dataset that is not there may be downloaded into `data_root`.
        display: Shows that a folder is decoded, and what to know of it; on standard error by default.

    Returns:
        The dataset, on the CPU.

    Raises:
        UnknownNameError: If there is no such name.
        DatasetError: If the dataset is not there, damaged, or not what its layout promises.
    """
    check_dataset_name(name)
    if name in DATASETS:
        root = data_root or platformdirs.user_cache_path("pruning-bench") / "datasets"
        return DATASETS[name](Source(_expanded(root), download))
    kind, _, rest = name.partition(":")
    if kind == "folder":
        return load_folder(_expanded(Path(rest)), cache, display)
    return call_user_function(name)


def _expanded(path: Path) -> Path:
    """Return a path whose `~` or `~user` is that home folder."""
    try:
        return path.expanduser()
    except RuntimeError as error:  # there is no such user
        raise DatasetError(f"{path}: {error}: there is no user of that name") from None


def check_dataset_name(name: str) -> None:
    """Refuse a name that cannot be a dataset, without loading anything.

    Raises:
        UnknownNameError: If it is no name in DATASETS, no `folder:PATH` and no `module:function`.
    """
    kind, _, rest = name.partition(":")
    if (
        name in DATASETS
        or (kind == "folder" and rest)
        or (kind != "folder" and _USER_FUNCTION.fullmatch(name))
    ):
        return
    raise UnknownNameError("dataset", name, DATASETS, "folder:PATH, or module:function of your own")


def load_digits(source: Source) -> Dataset:
    """Load scikit-learn's 1797 handwritten digits, enlarged from 8×8 to 32×32; a fifth are for testing.

    No mirroring: a mirrored digit is no digit.
    """
    from sklearn.datasets import load_digits as load_raw  # takes a second to import

    raw = load_raw()
    small = torch.from_numpy(raw.images).to(torch.float32)[:, None]  # (N, 1, 8, 8), whole numbers 0 … 16
    # Bilinear weights here are multiples of 1/8: every sum is exact, so all machines get the same pixels.
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images = (large * 255 / 16).round().to(torch.uint8).repeat(1, 3, 1, 1)  # (N, 3, 32, 32)
    labels = torch.from_numpy(raw.target).to(torch.int64)
    train, test = _split_by_class(images, labels, test_fraction=0.2)
    return make_dataset(
        "digits",
        [str(digit) for digit in range(10)],
        train,
        test,
        mean=(0.3057,) * 3,
        std=(0.3241,) * 3,
        augment=AugmentSpec(flip=False, crop_padding=2),
    )


def load_cifar10(source: Source) -> Dataset:
    """Load CIFAR-10: 60,000 photographs of 32×32 in 10 classes (Krizhevsky, 2009)."""
    from pruning_core.torchvision_compat import datasets

    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    return _load_cifar("cifar10", datasets.CIFAR10, source, mean, std)


def load_cifar100(source: Source) -> Dataset:
    """Load CIFAR-100: 60,000 photographs of 32×32 in 100 classes (Krizhevsky, 2009)."""
    from pruning_core.torchvision_compat import datasets

    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    return _load_cifar("cifar100", datasets.CIFAR100, source, mean, std)


def load_fashion_mnist(source: Source) -> Dataset:
    """Load Fashion-MNIST: 70,000 grey pictures of clothes (Xiao and others, 2017), 28×28 padded to 32×32."""
    places = [
        source.data_root / "FashionMNIST" / "raw",  # torchvision's own layout
        source.data_root / "fashion-mnist",
        source.data_root,
        DEBIAN_FASHION_MNIST,
    ]
    found = next((place for place in places if _find_idx(place, "train-images-idx3-ubyte")), None)
    if found is None:
        if not source.download:
            hint = "; or install Debian's package dataset-fashion-mnist"
            raise _missing("fashion-mnist", places, "train-images-idx3-ubyte[.gz]", hint)
        from pruning_core.torchvision_compat import datasets

        _build_torchvision("fashion-mnist", datasets.FashionMNIST, source)
        found = places[0]
    train, test = (_read_fashion_split(found, prefix) for prefix in ("train", "t10k"))
    # Of the training images with their black border: 0.2860 and 0.3530 of the bare 28×28, brought to 32×32.
    return make_dataset(
        "fashion-mnist",
        _FASHION_MNIST_CLASSES,
        train,
        test,
        mean=(0.2190,) * 3,
        std=(0.3318,) * 3,
        augment=AugmentSpec(flip=True, crop_padding=2),
    )


DATASETS: dict[str, Callable[[Source], Dataset]] = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "fashion-mnist": load_fashion_mnist,
}
"""Name → function. `folder:PATH` and `module:function` stand beside it, in `load_dataset`."""


def _split_by_class(images: Tensor, labels: Tensor, test_fraction: float) -> tuple[Split, Split]:
    """Draw the same fraction of each class for testing, always the same images."""
    random = np.random.RandomState(0)  # its stream is frozen by numpy's policy; newer generators' is not
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        members = torch.nonzero(labels == label).squeeze(1).numpy()
        shuffled = random.permutation(members)
        chosen[torch.from_numpy(shuffled[: round(test_fraction * len(members))])] = True
    return Split(images[~chosen], labels[~chosen]), Split(images[chosen], labels[chosen])


def _load_cifar(
    name: str, build: Any, source: Source, mean: tuple[float, ...], std: tuple[float, ...]
) -> Dataset:
    place = source.data_root / build.base_folder
    if not place.is_dir() and not source.download:
        raise _missing(name, [source.data_root], f"{build.base_folder}/")
    parts = _build_torchvision(name, build, source)
    train, test = (
        Split(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in parts
    )
    augment = AugmentSpec(flip=True, crop_padding=4)
    return make_dataset(name, parts[0].classes, train, test, mean=mean, std=std, augment=augment)


def _build_torchvision(name: str, build: Any, source: Source) -> tuple[Any, Any]:
    """Have torchvision check its files' md5, after it has fetched them if it may."""
    try:
        with warnings.catch_warnings():
            # How CIFAR was pickled in 2009 makes numpy 2.4 warn (github.com/pytorch/vision/issues/9340).
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            train = build(source.data_root, train=True, download=source.download)
            return train, build(source.data_root, train=False, download=False)
    except (RuntimeError, OSError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if source.download:
            text = f"dataset {name!r} cannot be downloaded into {source.data_root}: {reason}"
        else:
            text = (
                f"dataset {name!r} in {source.data_root / build.base_folder} is incomplete or altered: "
                "its files do not have the published md5. Get it anew with --download"
            )
        raise DatasetError(text) from error


def _missing(name: str, places: Sequence[Path], wanted: str, hint: str = "") -> DatasetError:
    looked = ", ".join(str(place) for place in places)
    return DatasetError(
        f"dataset {name!r} is not here: looked for {wanted} in {looked}. "
        f"Say where it lies with --data-root, or let it be downloaded with --download{hint}"
    )


def _read_fashion_split(folder: Path, prefix: str) -> Split:
    grey = _read_idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)  # (N, 28, 28)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1).to(torch.int64)  # (N,)
    if grey.shape[1:] != (28, 28) or len(grey) != len(labels) or not len(labels) or int(labels.max()) > 9:
        raise DatasetError(
            f"dataset 'fashion-mnist': {folder}/{prefix}-* hold images {tuple(grey.shape)} and labels "
            f"{tuple(labels.shape)}; expected (N, 28, 28) and N labels of 0 to 9"
        )
    return Split(F.pad(grey, (2, 2, 2, 2))[:, None].repeat(1, 3, 1, 1), labels)  # (N, 3, 32, 32)


def _find_idx(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_idx(folder: Path, name: str, dimensions: int) -> Tensor:
    """Read one file of MNIST's format: 0, 0, 8 (bytes), number of dimensions, sizes, then the bytes.

    Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
    """
    file = _find_idx(folder, name)
    if file is None:
        raise DatasetError(
            f"dataset 'fashion-mnist': {folder} holds no {name}[.gz], though other files of it"
        )
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetError(f"dataset 'fashion-mnist': cannot read {file}: {error}") from error
    start = 4 + 4 * dimensions
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) - start != math.prod(sizes):
        raise DatasetError(f"dataset 'fashion-mnist': {file} is truncated, or no file of MNIST's format")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(sizes)
