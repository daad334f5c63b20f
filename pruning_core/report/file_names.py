"""What titles call the files of a report: their names, with a folder where two are called alike."""

from collections.abc import Sequence
from pathlib import Path


def name_files(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file, none of them twice.

    Files of one name get the folder in which they lie; what is still the same gets a number.
    """
    names = [path.name for path in paths]
    full = [f"{path.absolute().parent.name}/{path.name}" for path in paths]
    named = [full[at] if names.count(name) > 1 else name for at, name in enumerate(names)]
    return [
        f"{name} ({named[: at + 1].count(name)})" if named.count(name) > 1 else name
        for at, name in enumerate(named)
    ]
