"""How the pixels of a dataset are normalised: by its own statistics, or by others."""

from dataclasses import replace

from pruning_core.config.pictures import Normalization
from pruning_core.datasets.base import Dataset
from pruning_core.errors import DatasetError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue over ImageNet, as torchvision and timm publish weights for it."""


def normalize_dataset(dataset: Dataset, how: Normalization, name: str) -> Dataset:
    """Return a dataset whose spec says how its pixels are normalised.

    Args:
        dataset: Any.
        how: What a grid says.
        name: The dataset's, for an error.

    Raises:
        DatasetError: If ImageNet's statistics are asked for, and pictures have no three channels.
    """
    channels = dataset.spec.channels
    if how == "dataset":
        return dataset
    mean, std = (0.5,) * channels, (0.5,) * channels
    if how == "imagenet":
        if channels != 3:
            raise DatasetError(
                f'normalize: "imagenet" is of 3 channels, pictures of {name} have {channels}; '
                'use "dataset" or "[-1,1]"'
            )
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    return replace(dataset, spec=dataset.spec.model_copy(update={"mean": mean, "std": std}))
