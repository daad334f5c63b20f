"""A folder of images, loaded as a grid loads it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pruning_core.config.pictures import PictureOptions
from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import Dataset
from pruning_core.errors import DatasetError


def write_image(file: Path, seed: int, width: int = 10, height: int = 8) -> None:
    """Write random pixels; in PNG they come back as they were."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def load(folder: Path, cache: Path | None = None, **options: object) -> Dataset:
    """Load by name, as a grid does."""
    return load_dataset(f"folder:{folder}", cache=cache, pictures=PictureOptions(**options))


def refusal_of(folder: Path, cache: Path | None = None, **options: object) -> str:
    """Return the text of the error, which must be one line."""
    with pytest.raises(DatasetError) as caught:
        load(folder, cache, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
