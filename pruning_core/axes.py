"""The axes of a grid as people write them: names, ratios, batch sizes, in a list or in one text.

Each function turns what came into a tuple, or leaves what it does not know for pydantic to refuse. Not for:
looking names up (`checks.py`).
"""

from decimal import Decimal, InvalidOperation
from itertools import pairwise

PRECISIONS = ("fp32", "bf16", "fp16", "int8")


def names_of(value: object) -> object:
    """Accept one name, a list of names, or names separated by commas; each may stand once."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if isinstance(value, list | tuple):
        if not value or "" in value:
            raise ValueError("needs at least one name, and no empty ones")
        repeated = sorted({str(item) for item in value if value.count(item) > 1})
        if repeated:
            raise ValueError(f"names each thing once; repeated: {', '.join(repeated)}")
        return tuple(value)
    return value


def ratios_of(value: object) -> object:
    """Accept a list of ratios, or text such as `0.25,0.5` or `0.05:1.0:0.05` (the stop included).

    Raises:
        ValueError: If a ratio is outside [0, 1], or the ratios do not rise.
    """
    if isinstance(value, str):
        value = [ratio for part in value.split(",") for ratio in _range_of(part.strip())]
    if not isinstance(value, list | tuple):
        return value
    ratios = [float(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]
    if not all(isinstance(item, float) for item in ratios):
        return tuple(ratios)
    for ratio in ratios:
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"a ratio is the fraction of channels removed, in [0, 1]; came {ratio:g}")
    for before, after in pairwise(ratios):
        if after <= before:
            raise ValueError(f"a schedule only goes up; {after:g} follows {before:g}")
    if not ratios:
        raise ValueError("needs at least one ratio")
    return tuple(ratios)


def batch_sizes_of(value: object) -> object:
    """Accept a list of batch sizes, one batch size, or text such as `1,32`.

    Raises:
        ValueError: If one is below 1, repeated, or no whole number.
    """
    return _whole_numbers(value, "batch sizes")


def threads_of(value: object) -> object:
    """Accept numbers of threads as `batch_sizes_of` does, and 0 alone: as many as the process may use.

    Raises:
        ValueError: If one is below 1 (below 0 where it stands alone), repeated, or no whole number.
    """
    return (0,) if value in (0, "0", [0], (0,)) else _whole_numbers(value, "numbers of threads")


def _whole_numbers(value: object, what: str) -> object:
    if isinstance(value, str):
        try:
            value = [int(part) for part in value.split(",")]
        except ValueError:
            raise ValueError(f"{what} are whole numbers separated by commas; came {value!r}") from None
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list | tuple) and all(isinstance(item, int) for item in value):
        if not value or any(item < 1 for item in value) or len(set(value)) < len(value):
            raise ValueError(f"{what} are at least 1, each once; came {list(value)!r}")
        return tuple(value)
    return value


def _range_of(part: str) -> list[float]:
    # Decimal, so that 0.05:1.0:0.05 is the twenty numbers one would write by hand.
    try:
        numbers = [Decimal(text) for text in part.split(":")]
    except InvalidOperation:
        numbers = []
    if len(numbers) == 1 and numbers[0].is_finite():
        return [float(numbers[0])]
    if len(numbers) != 3 or not all(n.is_finite() for n in numbers) or numbers[2] <= 0:
        raise ValueError(f"a ratio, or start:stop:step with a step above 0; came {part!r}")
    start, stop, step = numbers
    if (stop - start) / step > 1000:
        raise ValueError(f"{part!r} is more than 1000 ratios")
    count = int((stop - start) / step) + 1
    return [float(start + i * step) for i in range(count)]


def split_backend(item: str) -> tuple[str, str]:
    """Split `name` or `name:precision` of a grid; the precision is `fp32` unless it is said.

    Raises:
        ValueError: If the precision is not one of `PRECISIONS`.
    """
    name, _, precision = item.partition(":")
    precision = precision or "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"no precision {precision!r} in {item!r}; allowed: {', '.join(PRECISIONS)}")
    return name, precision
