"""Fashion-MNIST: grey pictures of clothes, read from MNIST's own file format.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", 2017.
"""

import gzip
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Dataset, Split, make_dataset
from pruning_core.datasets.source import Source, not_found, read_with_torchvision
from pruning_core.errors import DatasetError

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its files."""

_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def load_fashion_mnist(source: Source) -> Dataset:
    """Load Fashion-MNIST, padded by a black border, its grey repeated for red, green and blue."""
    folders = [
        source.data_root / "FashionMNIST" / "raw",  # torchvision's own layout
        source.data_root / "fashion-mnist",
        source.data_root,
        DEBIAN_FASHION_MNIST,
    ]
    found = next((folder for folder in folders if _find_idx(folder, "train-images-idx3-ubyte")), None)
    if found is None:
        if not source.download:
            hint = "; or install Debian's package dataset-fashion-mnist"
            raise not_found("fashion-mnist", folders, "train-images-idx3-ubyte[.gz]", hint)
        from pruning_core.torchvision_compat import datasets

        read_with_torchvision("fashion-mnist", datasets.FashionMNIST, source)
        found = folders[0]
    train, test = (_read_split(found, prefix) for prefix in ("train", "t10k"))
    return make_dataset(
        "fashion-mnist",
        _CLASSES,
        train,
        test,
        mean=(0.2190,) * 3,  # with the border; 0.2860 and 0.3530 are those of the bare 28×28
        std=(0.3318,) * 3,
        augment=AugmentSpec(flip=True, crop_padding=2),
    )


def _read_split(folder: Path, prefix: str) -> Split:
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
    """Read one file of MNIST's format: a magic number, sizes in 32 bits, then the bytes.

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
    start = 4 + 4 * dimensions  # after two zeros, the type (8: bytes), the number of dimensions, the sizes
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) - start != math.prod(sizes):
        raise DatasetError(f"dataset 'fashion-mnist': {file} is truncated, or no file of MNIST's format")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(sizes)
