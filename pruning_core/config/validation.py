"""What specs, grids and thresholds are built on: strict models, and their errors in words, a line a field."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pruning_core.console.shown import shortened, shown
from pruning_core.errors import OptionError

MAX_LINES = 5
"""Fields of one file that an error names."""


class StrictModel(BaseModel):
    """A spec: immutable, no unknown fields, no silent conversion of text to numbers, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def option_error(error: ValidationError, where: str = "") -> OptionError:
    """Turn pydantic's report into one line a field: its name, what is allowed, what it got.

    Args:
        error: What pydantic raised.
        where: Where the values came from, for example "my.toml"; empty where it is obvious.
    """
    prefix = f"{where}: " if where else ""
    return OptionError(
        lines_of(error, lambda item: f"{prefix}{_dotted(item['loc'])}: {item['msg'].lower()}{_got(item)}")
    )


def lines_of(error: ValidationError, line_of: Callable[[Any], str]) -> str:
    """Return a line for each of the first invalid fields, and how many more there are."""
    items = error.errors(include_url=False, include_context=False)
    lines = [line_of(item) for item in items[:MAX_LINES]]
    return "\n  ".join(lines + ([f"and {len(items) - MAX_LINES} more"] if len(items) > MAX_LINES else []))


def _dotted(location: tuple[int | str, ...]) -> str:
    return shortened(".".join(str(part) for part in location), 100) or "value"


def _got(item: Any) -> str:
    return "" if item["type"] in ("missing", "extra_forbidden") else f" (got: {shown(item['input'])})"
