"""Open what a run needs, a grid and a workspace for it: the same for `prepare` and for the suites."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pruning_core.config.cells import Variant, explain_labels
from pruning_core.config.chains import explain_other_chain
from pruning_core.config.grid import CLASSIFICATION, TWO_SOURCES, Grid, read_grid
from pruning_core.errors import OptionError
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store, default_root
from pruning_core.suites.forecast import announce
from pruning_core.suites.validate import validate_grid
from pruning_core.workspace import Workspace

# Option → the fields of a grid that it replaces, where they are called otherwise.
_FIELDS = {
    "seed": ("train.seed", "fine_tune.seed"),
    "target_error": ("latency.target_error",),
    "on": ("target_on",),
    "batch_size": ("target_batch_size",),
}


def load_grid(path: Path, options: Mapping[str, Any]) -> Grid:
    """Read a grid file, lay options over it, and look every name in it up.

    Args:
        path: The grid file (see `config/grid_files.py`).
        options: Option without dashes (`batch_sizes`, `seed`) → value; None: not given.

    Raises:
        OptionError: If an option or the file has an invalid value.
        ModelError: If a user's own model cannot be imported.
    """
    for name in ("on", "optimize_for"):
        if options.get(name) == "":
            raise OptionError(f"--{name.replace('_', '-')} needs the name of a backend; got an empty text")
    fields = {field: value for name, value in options.items() for field in _FIELDS.get(name, (name,))}
    if options.get("seed") is not None:
        if options.get("seeds") is not None:
            raise OptionError("--seed and --seeds: name one seed or several, not both")
        fields["seeds"] = ()  # in place of the file's
    grid = read_grid(path, fields)
    if options.get("dataset") and grid.task != CLASSIFICATION:
        raise OptionError(f"--{TWO_SOURCES.replace('and ', 'and --')}")
    validate_grid(grid)
    return grid


def open_workspace(
    grid: Grid,
    path: Path,
    *,
    variants: Sequence[Variant],
    own_ratios: bool,
    root: Path | None = None,
    data_root: Path | None = None,
    download: bool = False,
    display: ProgressDisplay,
    opened: Workspace | None = None,
) -> Workspace:
    """Open the store and the datasets for a grid, and show what a user should know before the work.

    Args:
        grid: From `load_grid`.
        path: Its file.
        variants: The ones that will be asked for: the forecast counts these.
        own_ratios: Whether an option replaced the ratios of the file.
        root: The store's folder; None: the default one.
        data_root: Where torchvision's datasets lie; None: in the store.
        download: Whether a dataset may be downloaded.
        display: Shows lines and progress.
        opened: The one of a search for its ratios: what that has read is not read again.

    Raises:
        OptionError: If two datasets are one folder.
        StoreError: If the store cannot be opened.
    """
    if renamed := explain_labels(grid.data):
        display.say(renamed)
    workspace = opened or new_workspace(grid, root, data_root, download, display)
    if own_ratios and (note := explain_other_chain(path, grid)):
        display.say(note)
    workspace.before_first_training = lambda: announce(variants, grid, workspace)
    return workspace


def new_workspace(
    grid: Grid, root: Path | None, data_root: Path | None, download: bool, display: ProgressDisplay
) -> Workspace:
    """Open the store and the datasets alone, for a grid whose ratios are not known yet."""
    store = Store(root or default_root(), notify=display.say)
    return Workspace(store, display, data_root, download, pictures=grid)
