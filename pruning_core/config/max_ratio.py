"""How much one layer may lose at most."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

MaxRatio = Annotated[
    float, Field(gt=0.0, le=1.0, description="No layer loses more than this share of its dense width.")
]


def check_ratios(max_ratio: float, ratios: Iterable[float], of: str = "") -> None:
    """Refuse a ratio that no layer may reach: a network of it would be one of another ratio.

    Args:
        max_ratio: What a layer may lose at most.
        ratios: Asked for.
        of: Where they are from, for the message.

    Raises:
        ValueError: In one line.
    """
    above = [ratio for ratio in ratios if ratio > max_ratio]
    if above:
        raise ValueError(
            f"max_ratio: no layer may lose more than {max_ratio:g} of its width, so no network can lose "
            f"{of}{above[0]:g}; name ratios up to {max_ratio:g}, or raise max_ratio"
        )
