"""Where grid files lie: a project's own in `bench/grids`, and those that pruning-bench brings along."""

from pathlib import Path

from pruning_core.errors import UnknownNameError

DEFAULT = "quick"
"""The grid that is meant where none is named."""


def shipped_suites() -> Path:
    """Return the folder of our own suites and grids: in an installed wheel, else `bench/` of the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / "bench"


def own_grid(*folders: Path) -> Path | None:
    """Return the grid `quick` of the first of these projects that has one."""
    return _named_in(*folders).get(DEFAULT)


def find_grid(name: str | None, *folders: Path) -> Path:
    """Return the grid file of a name or path; without a name, that of `quick`.

    Args:
        name: What `--grid` said: a path, or the name of a file in `bench/grids`.
        folders: Projects whose own `bench/grids` go before ours, the first before the others.

    Raises:
        UnknownNameError: If it is neither a file nor a known name.
    """
    known = _grids_in(shipped_suites() / "grids") | _named_in(*folders)
    found = known.get(DEFAULT if name is None else name)
    if found is not None:
        return found
    try:
        if name is not None and Path(name).is_file():
            return Path(name)
    except (OSError, ValueError):  # a name that no file can have
        pass
    raise UnknownNameError("grid", DEFAULT if name is None else name, known, "or the path of a TOML file")


def _named_in(*folders: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for folder in reversed(folders):
        named |= _grids_in(folder / "bench" / "grids")
    return named


def _grids_in(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
