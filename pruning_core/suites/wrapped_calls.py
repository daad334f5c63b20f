"""How a pytest plugin changes what is timed: `config.stash[WRAP_CALL] = function`, in its `pytest_configure`.

For experiments that need a known difference (`selftest/slowdown_plugin.py`). Without one, calls are timed as
a backend returns them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pruning_core.system.clock import Call

if TYPE_CHECKING:
    from pruning_core.config.cells import Cell

WrapCall = Callable[["Cell", Call], Call]
"""Takes a cell and its call; returns the call that is timed instead."""

WRAP_CALL = pytest.StashKey[WrapCall]()
