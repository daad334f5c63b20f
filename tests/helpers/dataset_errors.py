"""The error of a dataset that cannot be loaded."""

from pathlib import Path

import pytest

from pruning_core.datasets import load_dataset
from pruning_core.errors import DatasetError


def refusal_of(name: str, data_root: Path | None) -> str:
    """Return the text of the error, which must be one line that names the dataset."""
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, data_root=data_root)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    return str(caught.value)
