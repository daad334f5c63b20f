"""Patterns of layers as people write them: of those to protect, and of those with a ratio of their own.

What a pattern matches is decided where a network is known: `pruning/targets.py`. The order in which patterns
are written means nothing there, so they are sorted here, and one key is one meaning.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from pruning_core.config.parse import MAX_AXIS_LENGTH, parse_names
from pruning_core.console.shown import shown

MAX_TEXT_LENGTH = 10_000
"""Characters of all patterns: they stand in each record."""


def parse_patterns(value: object) -> tuple[str, ...]:
    """Turn a list of patterns, which may be empty, or patterns separated by commas, into a sorted tuple.

    Raises:
        ValueError: If it is neither, or a pattern is empty, too long, holds a comma, or stands twice.
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",", MAX_AXIS_LENGTH)]
    if not isinstance(value, list | tuple) or not all(isinstance(pattern, str) for pattern in value):
        raise ValueError(f'needs a list of names of layers, as ["layer1.*", "head"]; got {shown(value)}')
    return _in_order(value)


def parse_ratios_by_pattern(value: object) -> tuple[tuple[str, float], ...]:
    """Turn a table of pattern → ratio, pairs of them, or text as `layer4.*=0.8,head=0.2`, into sorted pairs.

    Raises:
        ValueError: If it is none of them, a pattern is empty, too long, holds a comma, or stands twice, or a
            ratio is outside [0, 1].
    """
    if isinstance(value, str):
        value = [_pair_of(item.strip()) for item in value.split(",", MAX_AXIS_LENGTH)]
    if isinstance(value, Mapping):
        value = list(value.items())
    if not isinstance(value, list | tuple) or not all(map(_is_pair, value)):
        raise ValueError(f'needs a table of layers and ratios, as "layer4.*" = 0.8; got {shown(value)}')
    for pattern, ratio in value:
        if isinstance(ratio, Mapping):
            raise ValueError(f'a name with a dot needs quotes, as "layer4.*" = 0.8; got {shown(pattern)}')
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio <= 1:
            raise ValueError(
                "a ratio is the fraction of a layer's channels removed, in [0, 1]; "
                f"got {shown(ratio)} for {shown(pattern)}"
            )
    patterns = _in_order([pattern for pattern, _ in value])
    ratios = {pattern: float(ratio) + 0.0 for pattern, ratio in value}  # −0 is 0
    return tuple((pattern, ratios[pattern]) for pattern in patterns)


def _check_local(value: tuple[tuple[str, float], ...], info: ValidationInfo) -> tuple[tuple[str, float], ...]:
    if value and info.data.get("scope", "local") != "local":
        raise ValueError(
            "a layer's own ratio needs local scope; in another one a ranking over several layers decides how "
            "much each loses (protect works in all)"
        )
    return value


Patterns = Annotated[tuple[str, ...], BeforeValidator(parse_patterns)]
"""Patterns of layers, sorted."""

RatiosByPattern = Annotated[
    tuple[tuple[str, float], ...], BeforeValidator(parse_ratios_by_pattern), AfterValidator(_check_local)
]
"""(pattern, ratio), sorted by pattern; for a field of a model that has a `scope` before it."""


def patterns_text(patterns: Sequence[str]) -> str:
    """Return patterns as an option says them, for records: `head,layer1.*`."""
    return ",".join(patterns)


def ratios_text(ratio_of: RatiosByPattern) -> str:
    """Return ratios by pattern as an option says them, for records: `layer4.*=0.8`."""
    return ",".join(f"{pattern}={ratio!r}" for pattern, ratio in ratio_of)


def _in_order(patterns: Sequence[str]) -> tuple[str, ...]:
    for pattern in patterns:
        if "," in pattern:
            raise ValueError(f"no layer has a comma in its name; got {shown(pattern)}")
    if sum(map(len, patterns)) > MAX_TEXT_LENGTH:
        raise ValueError(f"at most {MAX_TEXT_LENGTH} characters in all")
    if patterns:
        parse_names(list(patterns))
    return tuple(sorted(patterns))


def _is_pair(item: object) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str)


def _pair_of(item: str) -> tuple[str, float]:
    pattern, equals, text = item.rpartition("=")
    try:
        if equals and len(text) <= 30:
            return pattern.strip(), float(text)
    except ValueError:
        pass
    raise ValueError(f"write layer4.*=0.8, several separated by commas; got {shown(item)}")
