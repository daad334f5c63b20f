"""A checkpoint's key as people type it: whole, or its first digits."""

import re
from pathlib import Path

from filelock import FileLock, Timeout

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError, StoreError, UnknownNameError
from pruning_core.store import Store

MIN_DIGITS = 6
"""Of a key's beginning: fewer would soon be those of several."""

_DIGITS = re.compile(rf"[0-9a-f]{{{MIN_DIGITS},32}}")


def looks_like_key(text: str) -> bool:
    """Return whether a text may be a key, or the beginning of one."""
    return _DIGITS.fullmatch(text.lower()) is not None


def find_key(store: Store, text: str) -> str:
    """Return the one key in a store that begins so.

    Raises:
        OptionError: If the text is no key, or several keys begin so.
        UnknownNameError: If none does.
        StoreError: If a process is making it just now.
    """
    if not looks_like_key(text):
        raise OptionError(
            f"a key is 32 hexadecimal digits, of which the first {MIN_DIGITS} will do; got {shown(text)}"
        )
    asked = text.lower()
    keys = list(store.stored_keys())
    found = [key for key in keys if key.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(key[: len(asked) + 6] for key in found[:5])
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise OptionError(f"{len(found)} checkpoints begin with {asked}: {listed}{more}; name more digits")
    if being_made := _being_made(store.root, asked):
        raise StoreError(
            f"checkpoint {being_made} is being made by another process, which holds its lock; wait "
            "until it is done"
        )
    known = [key[: max(len(asked), 12)] for key in keys]
    if not known:
        raise StoreError(f"no checkpoint {asked} in {store.root}: it holds none. Name a store with --store")
    raise UnknownNameError("checkpoint", asked, known, f"in {store.root}; see `pruning-bench store ls`")


def _being_made(root: Path, beginning: str) -> str:
    """Return the key that begins so and whose lock another process holds; empty where none does."""
    for path in sorted((root / "locks").glob(f"{beginning}*.lock")):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            return path.stem
        except OSError:  # a store that may only be read: nobody here makes anything in it
            continue
    return ""
