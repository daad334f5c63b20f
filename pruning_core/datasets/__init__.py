"""Datasets by name → uint8 tensors and their description.

    dataset = load_dataset("digits")
    for images, labels in batches(dataset.test, dataset.spec, 256): ...

A new one is a function in a file of its own and a line in `DATASETS` (see `datasets/README.md`). Nothing is
downloaded unless asked for.
"""

import re
from collections.abc import Callable
from pathlib import Path

import platformdirs

from pruning_core.config.pictures import PictureOptions
from pruning_core.datasets.base import Dataset
from pruning_core.datasets.cifar import load_cifar10, load_cifar100
from pruning_core.datasets.digits import load_digits
from pruning_core.datasets.fashion_mnist import load_fashion_mnist
from pruning_core.datasets.folder import load_folder
from pruning_core.datasets.source import Source
from pruning_core.datasets.user import call_user_function
from pruning_core.errors import DatasetError, UnknownNameError
from pruning_core.files.home import expand_home
from pruning_core.progress import ProgressDisplay

__all__ = ["DATASETS", "check_dataset_name", "load_dataset"]

DATASETS: dict[str, Callable[[Source], Dataset]] = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "fashion-mnist": load_fashion_mnist,
}
"""Name → function. `folder:PATH` and `module:function` stand beside it, in `load_dataset`."""

_USER_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def load_dataset(
    name: str,
    *,
    data_root: Path | None = None,
    cache: Path | None = None,
    download: bool = False,
    display: ProgressDisplay | None = None,
    pictures: PictureOptions | None = None,
) -> Dataset:
    """Load a dataset by name.

    Args:
        name: A name in DATASETS, `folder:PATH`, or a user's `module:function`.
        data_root: Where torchvision's datasets lie; by default in the user's cache folder.
        cache: Where decoded images of a folder are kept; None keeps none.
        download: Whether a dataset that is not there may be downloaded into `data_root`.
        display: Shows that a folder is decoded, and notes about it; on standard error by default.
        pictures: How those of a folder are read; by default as they are, all of one size.

    Returns:
        The dataset, on the CPU.

    Raises:
        UnknownNameError: If there is no such name.
        DatasetError: If the dataset is not there, damaged, or not what its layout promises.
    """
    check_dataset_name(name)
    if name in DATASETS:
        root = data_root or platformdirs.user_cache_path("pruning-bench") / "datasets"
        return DATASETS[name](Source(expand_home(root, f"dataset {name}:", DatasetError), download))
    kind, _, path = name.partition(":")
    if kind == "folder":
        return load_folder(expand_home(Path(path), "dataset", DatasetError), cache, display, pictures)
    return call_user_function(name)


def check_dataset_name(name: str) -> None:
    """Refuse a name that cannot be a dataset, without loading anything.

    Raises:
        UnknownNameError: If it is no name in DATASETS, no `folder:PATH` and no `module:function`.
    """
    kind, _, path = name.partition(":")
    if (
        name in DATASETS
        or (kind == "folder" and path)
        or (kind != "folder" and _USER_FUNCTION.fullmatch(name))
    ):
        return
    raise UnknownNameError("dataset", name, DATASETS, "folder:PATH, or module:function of your own")
