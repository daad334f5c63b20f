"""Where the files of a dataset are looked for, and how torchvision reads or fetches them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pruning_core.errors import DatasetError, first_line


@dataclass(frozen=True)
class Source:
    """Where files of a dataset are looked for, and whether they may be fetched."""

    data_root: Path
    download: bool


def read_with_torchvision(name: str, dataset_class: Any, source: Source) -> tuple[Any, Any]:
    """Let torchvision fetch the files, if it may, and check their md5.

    Args:
        name: The dataset's name, for errors.
        dataset_class: Of torchvision, for example `datasets.CIFAR10`.
        source: Where to look, and whether to fetch.

    Returns:
        torchvision's training and test dataset.

    Raises:
        DatasetError: If the files are incomplete or altered, or cannot be fetched.
    """
    try:
        with warnings.catch_warnings():
            # How CIFAR was pickled in 2009 makes numpy 2.4 warn (github.com/pytorch/vision/issues/9340).
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            train = dataset_class(source.data_root, train=True, download=source.download)
            return train, dataset_class(source.data_root, train=False, download=False)
    except (RuntimeError, OSError, EOFError) as error:
        if source.download:
            text = f"dataset {name!r} cannot be downloaded into {source.data_root}: {first_line(error)}"
        else:
            text = (
                f"dataset {name!r} in {source.data_root / dataset_class.base_folder} is incomplete or "
                "altered: its files do not have the published md5. Download it again with --download"
            )
        raise DatasetError(text) from error


def not_found(name: str, folders: Sequence[Path], wanted: str, hint: str = "") -> DatasetError:
    """Make the error of a dataset that is not here: where it was looked for, and how to get it."""
    looked = ", ".join(str(folder) for folder in folders)
    return DatasetError(
        f"dataset {name!r} is not here: looked for {wanted} in {looked}. "
        f"Say where it lies with --data-root, or let it be downloaded with --download{hint}"
    )
