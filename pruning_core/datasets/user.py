"""A user's dataset: `module:function` → checked tensors.

    def load():  # in my_data.py, in the folder where the command is run
        return (train_images, train_labels), (test_images, test_labels)

Images are uint8 (N, C, H, W), labels whole numbers from 0; arrays or tensors. To give class names, mean, std
and augmentation too, a function returns what `make_dataset` of `pruning_core.datasets.base` makes.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruning_core.config.augment import AugmentSpec
from pruning_core.datasets.base import Dataset, Split, compute_statistics, make_dataset
from pruning_core.errors import DatasetError
from pruning_core.user_code.functions import find_function, one_line, raise_if_not_theirs
from pruning_core.user_code.tensors import unusual_kind

_RETURN = "((train_images, train_labels), (test_images, test_labels)), or a Dataset"


def call_user_function(name: str) -> Dataset:
    """Import the module, call the function, and check what it returns.

    Args:
        name: `module:function`; it becomes the name in the spec.

    Raises:
        DatasetError: If the module or function is missing or raises, or what it returns is no dataset.
    """
    function, module = find_function(name, lambda text: DatasetError(f"dataset {name}: {text}"))
    try:
        with module.running():
            returned = function()
    except BaseException as error:
        raise_if_not_theirs(error)
        raise DatasetError(f"dataset {name}: the function raised {module.explain(error)}") from error
    if isinstance(returned, Dataset):
        return _rename(name, returned)
    try:
        (train_images, train_labels), (test_images, test_labels) = returned
    except (TypeError, ValueError):
        raise DatasetError(
            f"dataset {name}: returned {type(returned).__name__}; expected {_RETURN}"
        ) from None
    train = _check_split(f"dataset {name}: train", train_images, train_labels)
    test = _check_split(f"dataset {name}: test", test_images, test_labels)
    classes = int(train.labels.max()) + 1
    _check_pair(name, train, test, classes)
    mean, std = compute_statistics(train.images)
    return make_dataset(
        name,
        [str(label) for label in range(classes)],
        train,
        test,
        mean=mean,
        std=std,
        augment=AugmentSpec(flip=False, crop_padding=0),  # only the user knows what may be mirrored
    )


def _rename(name: str, returned: Dataset) -> Dataset:
    """Check a Dataset and describe its content again: the spec decides keys, so it must be true."""
    train = _check_split(f"dataset {name}: train", returned.train.images, returned.train.labels)
    test = _check_split(f"dataset {name}: test", returned.test.images, returned.test.labels)
    names = tuple(map(str, returned.class_names))  # numbers, or an array of texts, say
    classes, channels = len(names), train.images.shape[1]
    _check_pair(name, train, test, classes)
    spec = returned.spec
    if not len(spec.mean) == len(spec.std) == channels or min(spec.std) <= 0:
        raise DatasetError(
            f"dataset {name}: mean {spec.mean} and std {spec.std} do not fit {channels} channel(s): "
            "give one of each for every channel, std above 0"
        )
    padding, side = spec.augment.crop_padding, min(train.images.shape[2:])
    if padding >= side:
        raise DatasetError(
            f"dataset {name}: crop_padding {padding} must be less than the side, {side} pixels"
        )
    described = make_dataset(name, names, train, test, mean=spec.mean, std=spec.std, augment=spec.augment)
    return dataclasses.replace(returned, spec=described.spec, class_names=names, train=train, test=test)


def _check_split(where: str, images: Any, labels: Any) -> Split:
    images, labels = _as_tensor(f"{where} images", images), _as_tensor(f"{where} labels", labels)
    shape = tuple(images.shape)
    if images.dtype != torch.uint8:
        raise DatasetError(f"{where} images must be uint8, 0 to 255; got {_dtype(images)}")
    if len(shape) != 4 or 0 in shape:
        raise DatasetError(f"{where} images must be (N, C, H, W), none of them 0; got {shape}")
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        raise DatasetError(
            f"{where} images must be (N, C, H, W); got {shape}, which looks like (N, H, W, C): "
            "transpose them with (0, 3, 1, 2)"
        )
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise DatasetError(f"{where} labels must be whole numbers; got {_dtype(labels)}")
    if tuple(labels.shape) != shape[:1]:
        raise DatasetError(f"{where} labels must be ({shape[0]},), one an image; got {tuple(labels.shape)}")
    labels = labels.to(torch.int64)
    if int(labels.min()) < 0:
        raise DatasetError(f"{where} labels must be 0 or more; got {int(labels.min())}")
    return Split(images.contiguous(), labels.contiguous())


def _check_pair(name: str, train: Split, test: Split, classes: int) -> None:
    sizes, test_sizes = tuple(train.images.shape[1:]), tuple(test.images.shape[1:])
    if sizes != test_sizes:
        raise DatasetError(
            f"dataset {name}: train and test images must be of one (C, H, W); got {sizes} and {test_sizes}"
        )
    if classes < 2:
        raise DatasetError(f"dataset {name}: train labels must be of at least 2 classes; got {classes}")
    for split, labels in (("train", train.labels), ("test", test.labels)):
        if int(labels.max()) >= classes:
            raise DatasetError(
                f"dataset {name}: {split} labels must be 0 to {classes - 1}; got {int(labels.max())}"
            )
    present: list[int] = sorted(set(train.labels.tolist()))
    if len(present) < classes:
        absent = next(label for label, found in enumerate([*present, -1]) if label != found)
        raise DatasetError(
            f"dataset {name}: no train image has label {absent}; "
            f"labels must be 0 to {classes - 1}, none left out"
        )


def _as_tensor(where: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        if unusual := unusual_kind(value):
            raise DatasetError(f"{where} must be a tensor of numbers row by row; got {unusual}")
        return value.detach().cpu()
    try:
        # "W": torch warns of an array that cannot be written, so that one is copied.
        return torch.from_numpy(np.require(np.asarray(value), requirements=["C", "W"]))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where} must be an array or a tensor: {one_line(error)}") from error


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
