"""A file is written beside its place, looked at, and only then put there: whole, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pruning_core.errors import OptionError
from pruning_core.export.base import ExportFormat

OF_OURS = ("network.py", "plan.json", "metadata.json")
"""What a folder must hold to be replaced: a user's own folder is never deleted."""


def check_target(form: ExportFormat, path: Path, force: bool) -> None:
    """Find out before long work whether a file can be put in its place.

    Raises:
        OptionError: If its name does not end as the format's, something is there already, or its folder is
            not there or may not be written to.
    """
    if form.ending and path.suffix != form.ending:
        raise OptionError(f"a file of format {form.name} ends with {form.ending}; got {path}")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise OptionError(f"cannot write {path}: there is no folder {path.parent}. Make it first")
    for target in form.files(path):
        if not os.path.lexists(target):
            continue
        if not force:
            raise OptionError(f"{target} is there already: replace it with --force, or name another path")
        if form.ending and not target.is_file():
            raise OptionError(f"cannot replace {target}: it is no file")
        if not form.ending and (
            target.is_symlink() or not all((target / name).is_file() for name in OF_OURS)
        ):
            raise OptionError(f"cannot replace {target}: it is no folder that this command has written")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OptionError(f"cannot write {path}: its folder may not be written to")


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Give a path of the same name in a folder of its own, beside `path`, that is deleted at the end."""
    try:
        folder = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name[:40]}."))
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(form: ExportFormat, draft: Path, path: Path) -> None:
    """Move what was written to its place; each file in one step, the one that is opened last.

    Raises:
        OptionError: If it cannot be moved.
    """
    try:
        for source, target in zip(form.files(draft), form.files(path), strict=True):
            if target.is_dir():
                os.rename(target, draft.parent / "replaced")  # deleted with the draft's folder
            os.replace(source, target)
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from None
