"""Ratios as one text: a list, ranges, and schedules that end at a ratio after so many steps.

`start:stop:step` holds its stop. `linear:stop:steps` takes equal steps; `exponential:stop:steps` removes, at
each, the same share of what is left.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from pruning_core.console.shown import shown

MAX_NUMBER_LENGTH = 30
"""Characters of a number."""

DECIMALS = (3, 4, 5, 6)
"""Of a ratio that is computed: as few as tell all steps apart, since it stands in the names of cells."""

SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda stop, done: stop * done,
    "exponential": lambda stop, done: 1 - (1 - stop) ** done,
}
"""Name → the ratio at a fraction of the steps, of the one at the last."""

ALLOWED = "a ratio, start:stop:step with a step above 0, or linear:stop:steps or exponential:stop:steps"


def ratios_of_text(text: str, max_length: int) -> list[float]:
    """Return the ratios that a text stands for, as they stand in it.

    Args:
        text: Ratios, ranges and schedules, separated by commas.
        max_length: Of all of them.

    Raises:
        ValueError: If something in it is none of these, or is more than `max_length` ratios.
    """
    return [r for part in text.split(",", max_length) for r in _ratios_of(part.strip(), max_length)]


def _ratios_of(part: str, max_length: int) -> list[float]:
    texts = part.split(":", 3)
    if texts[0].strip() in SCHEDULES:
        return _schedule_of(part, texts, max_length)
    numbers = _numbers(texts)
    if len(numbers) == 1:
        return [float(numbers[0])]
    if len(numbers) != 3 or numbers[2] <= 0:
        raise ValueError(f"{ALLOWED}; got {shown(part)}")
    start, stop, step = numbers
    if (stop - start) / step > max_length:
        raise ValueError(f"{shown(part)} is more than {max_length} ratios")
    count = int((stop - start) / step) + 1
    return [float(start + i * step) for i in range(count)]


def _schedule_of(part: str, texts: list[str], max_length: int) -> list[float]:
    """Return the ratios of a schedule: the last is the one that is named, the others are rounded."""
    kind, numbers = texts[0].strip(), _numbers(texts[1:])
    if len(numbers) != 2 or numbers[1] != int(numbers[1]) or not 1 <= numbers[1] <= max_length:
        raise ValueError(
            f"{kind}:stop:steps, such as {kind}:0.9:6, with 1 to {max_length} steps; got {shown(part)}"
        )
    stop, steps = float(numbers[0]), int(numbers[1])
    if not 0 < stop <= 1 or (stop == 1 and kind == "exponential"):
        most = "below 1: of what is left some always stays" if kind == "exponential" else "at most 1"
        raise ValueError(f"{kind}: the last ratio is above 0 and {most}; got {shown(part)}")
    exact = [SCHEDULES[kind](stop, step / steps) for step in range(1, steps)]
    for decimals in DECIMALS:
        ratios = [*(round(ratio, decimals) for ratio in exact), stop]
        if all(before < after for before, after in pairwise([0.0, *ratios])):
            return ratios
    raise ValueError(
        f"{kind}: {steps} steps up to {stop:g} are so close that {DECIMALS[-1]} decimals do not tell them "
        f"apart; got {shown(part)}"
    )


def _numbers(texts: list[str]) -> list[Decimal]:
    """Return texts as numbers, none where one is no number of sane size."""
    # Decimal, so that 0.05:1.0:0.05 is the twenty numbers one would write by hand.
    try:
        numbers = [Decimal(text) for text in texts if len(text) <= MAX_NUMBER_LENGTH]
    except InvalidOperation:
        return []
    # Beyond these a sum of two has thousands of digits, or none that are right.
    sane = all(n.is_finite() and (n == 0 or -20 <= n.adjusted() <= 20) for n in numbers)
    return numbers if len(numbers) == len(texts) and sane else []
