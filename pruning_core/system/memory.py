"""The memory of this machine, also where there is no `/proc` to read, as in some sandboxes."""

import os

import psutil


def total_memory_bytes() -> int:
    """Return the size of the memory; 0 where nothing says it."""
    try:
        return int(psutil.virtual_memory().total)
    except (OSError, psutil.Error):
        return _pages_bytes("SC_PHYS_PAGES")


def available_memory_bytes() -> int:
    """Return how much memory can be taken without swapping; 0 where nothing says it."""
    try:
        return int(psutil.virtual_memory().available)
    except (OSError, psutil.Error):
        return _pages_bytes("SC_AVPHYS_PAGES")


def _pages_bytes(name: str) -> int:
    try:
        return max(0, os.sysconf(name) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, AttributeError):
        return 0
