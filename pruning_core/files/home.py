"""`~` at the beginning of a path, where no shell has expanded it: in a file, a variable, or `--store=~/x`."""

from pathlib import Path

from pruning_core.errors import OptionError, PruningBenchError


def expand_home(path: Path, what: str = "", refuse: type[PruningBenchError] = OptionError) -> Path:
    """Return a path whose `~` or `~user` is that home folder.

    Args:
        path: Any; a folder called `~` is named `./~`.
        what: It is for, for the error.
        refuse: The kind of error.

    Raises:
        PruningBenchError: Of that kind, in one line, if there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        named = f"{what} {path}".strip()
        raise refuse(f"{named}: there is no user of that name; give the path in full") from None
