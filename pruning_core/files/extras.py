"""Optional packages of ours: one message where one is missing."""

import importlib.util

from pruning_core.errors import OptionError


def require_matplotlib() -> None:
    """Find out whether a figure can be drawn; nothing is imported.

    Raises:
        OptionError: If matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise OptionError(
            "a figure needs matplotlib, which is not installed. Install with: "
            "pip install 'pruning-bench[figures]'"
        )
