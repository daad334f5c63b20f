"""Refuse a grid that names what no table holds, before anything is trained.

Not for: whether a backend is installed or a device is there; that is asked cell by cell.
"""

from pruning_core.backends import check_backend
from pruning_core.data import check_dataset_name
from pruning_core.grid import Grid, split_backend
from pruning_core.methods import find_method
from pruning_core.models import model_spec


def check_names(grid: Grid) -> None:
    """Look every name of a grid up.

    Raises:
        UnknownNameError: With the closest name there is.
        OptionError: If schedule or scope is none there is, or a backend has no such precision.
        ModelError: If a user's own model cannot be imported.
    """
    for model in grid.model:
        model_spec(model)
    for dataset in grid.dataset:
        check_dataset_name(dataset)
    for method in grid.method:
        find_method(method)
        grid.method_spec(method)
    for item in grid.backends:
        check_backend(*split_backend(item))
