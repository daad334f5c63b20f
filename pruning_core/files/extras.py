"""Optional packages of ours: one message where one is missing."""

import importlib.metadata
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


def require_timm() -> None:
    """Find out whether timm is installed; nothing is imported, and a user's file of that name is not meant.

    Raises:
        OptionError: If it is not.
    """
    try:
        importlib.metadata.distribution("timm")
    except importlib.metadata.PackageNotFoundError:
        raise OptionError("timm is not installed: pip install 'pruning-bench[timm]'") from None
