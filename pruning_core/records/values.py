"""Which values a field may have: types, ranges, lengths."""

import re
from collections.abc import Mapping
from typing import Any

from pruning_core.records.fields import FIELDS, HIGHER, LOWER, Field

MAX_VALUES = {
    "ms": 1e9,
    "µs": 1e9,
    "ratio": 1e9,
    "1/s": 1e12,
    "ln ratio": 50.0,
    "MHz": 1e6,
    "GFLOP/s": 1e9,
    "GB/s": 1e9,
}
"""Positive numbers beyond these (in absolute value, for ln) are no measurement but damage."""

MIN_VALUE = 1e-12
"""Positive numbers below this are none either: a picosecond, a call in 30,000 years."""

MAX_TEXT_LENGTHS = {
    "score_name": 60,
    "cell": 1000,
    "reference": 1000,
    "failure": 20_000,
    "contention": 20_000,
    "protect": 50_000,
    "ratio_of": 50_000,
    "proof": 2000,
    "target": 5000,
    "target_met": 5000,
    "target_reached": 5000,
    "correct_bits": 2_500_000,
}
"""Characters that a text may have: ids are made of several names, and answers are a digit for four images."""

MAX_NAME_LENGTH = 200
"""Characters that any other text may have, and the name of a layer."""

MAX_REASON_LENGTH = 500
"""Characters of the text that a layer may have."""

MAX_ROUNDS = 2000
MAX_LAYERS = 20_000

_HEX = re.compile("[0-9a-f]*")


def _range_of(field: Field) -> tuple[float, float, str]:
    """Return the least and the greatest value that a field may hold, and how to say so."""
    if field.kind is int:
        return (1 if field.unit in ("images", "examples") else 0), 2**63 - 1, "a count"
    if field.unit == "fraction":
        low = -1 if field.name.endswith("drop") else 0  # a drop is a difference of two fractions
        return low, 1, f"a fraction in [{low}, 1]"
    if field.unit in MAX_VALUES:
        largest = MAX_VALUES[field.unit]
        return MIN_VALUE, largest, f"a number in [{MIN_VALUE:g}, {largest:g}]"
    if field.unit == "s":
        return 0, 1e9, "a number of seconds in [0, 1e+09]"
    return -1e30, 1e30, f"a {field.kind.__name__} within ±1e+30"


RANGES: Mapping[str, tuple[float, float, str]] = {
    field.name: _range_of(field) for field in FIELDS if field.kind in (int, float, bool)
}
"""Field that holds a number → least, greatest, and how to say so."""


def value_problem(field: Field, value: Any) -> str | None:
    """Return what the value should have been; None when it is as it should be."""
    if not is_kind(value, field.kind):
        return field.kind.__name__
    if field.name in RANGES:
        low, high, words = RANGES[field.name]
        return None if low <= value <= high else words
    if field.kind is list:
        largest = MAX_VALUES[field.unit]
        fine = len(value) <= MAX_ROUNDS and all(
            (type(x) is float or is_kind(x, float)) and -largest <= x <= largest for x in value
        )
        return None if fine else f"a list of numbers within ±{largest:g}, {MAX_ROUNDS} at most"
    if field.kind is dict and not field.unit:
        fine = len(value) <= MAX_LAYERS and all(
            isinstance(item, str) and len(item) <= MAX_REASON_LENGTH and len(name) <= MAX_NAME_LENGTH
            for name, item in value.items()
        )
        return None if fine else f"a text for each layer, {MAX_LAYERS} at most"
    if field.kind is dict:
        fine = len(value) <= MAX_LAYERS and all(
            is_kind(item, int) and 0 <= item < 2**63 and len(name) <= MAX_NAME_LENGTH
            for name, item in value.items()
        )
        return None if fine else f"a count for each layer, {MAX_LAYERS} at most"
    if field.name == "score_better" and value not in (HIGHER, LOWER):
        return f"{HIGHER} or {LOWER}"
    longest = MAX_TEXT_LENGTHS.get(field.name, MAX_NAME_LENGTH)
    if len(value) > longest:
        return f"a text of at most {longest} characters"
    if field.unit == "hex":
        return None if _HEX.fullmatch(value) else "hex digits"
    return None


def is_kind(value: object, kind: type) -> bool:
    """Tell whether a value is of a kind: a bool is no number, a whole number may stand for a float."""
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind is float:
        # Not beyond 1e300: a whole number that long cannot be made a float.
        return isinstance(value, int | float) and value == value and abs(value) < 1e300
    return isinstance(value, kind)
