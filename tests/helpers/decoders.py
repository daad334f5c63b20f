"""Which processes decode pictures."""

from contextlib import suppress

import psutil


def decoding_processes() -> list[psutil.Process]:
    """Return the processes below this one that decode."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends while it is looked at
            if process.status() != psutil.STATUS_ZOMBIE and "pruning_core.pictures" in str(process.cmdline()):
                found.append(process)
    return found
