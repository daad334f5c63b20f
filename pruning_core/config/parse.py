"""The axes of a grid as people write them: names, ratios, batch sizes, in a list or in one text.

Each function turns what it got into a tuple, or leaves what it does not know for pydantic to refuse.
"""

import os
from collections.abc import Sequence
from itertools import pairwise

from pruning_core.config.precision import PRECISIONS
from pruning_core.config.ratio_texts import MAX_NUMBER_LENGTH, ratios_of_text
from pruning_core.console.shown import shortened, shown

MAX_NAME_LENGTH = 1000
"""Characters of a name, which may hold the path of a folder."""

MAX_AXIS_LENGTH = 1000
"""Values on one axis of a grid."""

MAX_IMAGES = 65_536
"""Images in one batch."""

MAX_EPOCHS = 100_000

MAX_SEED = 2**32 - 1
"""What torch and numpy take, also after a method has multiplied it (`PruningStep.sampling_seed`)."""

USUAL_CLASSES = 10
"""Of a network that is planned, where neither an option nor its weights tell."""

MAX_THREADS = max(256, 4 * (os.cpu_count() or 1))
"""CPU threads: more only wait, and a process that cannot get as many ends without a word."""

LIBRARIES = ("timm", "torchvision")
"""What, before a colon, makes a model's name one of a library's networks, and no user's own module."""


def parse_names(value: object) -> object:
    """Accept one name, a list of names, or names separated by commas; each may stand once."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",", MAX_AXIS_LENGTH)]
    if isinstance(value, list | tuple):
        if not value or "" in value:
            raise ValueError("needs at least one name, and no empty ones")
        _check_length(value)
        for item in value:
            if isinstance(item, str) and (len(item) > MAX_NAME_LENGTH or "\0" in item):
                raise ValueError(
                    f"a name has at most {MAX_NAME_LENGTH} characters, none NUL; got {shown(item)}"
                )
        repeated = sorted({str(item) for item in value if value.count(item) > 1})
        if repeated:
            raise ValueError(f"has duplicates: {shortened(', '.join(repeated), 200)}")
        return tuple(value)
    return value


def parse_ratios(value: object) -> object:
    """Accept a list of ratios, or text: `0.25,0.5`, `0.05:1.0:0.05` (the stop included), `linear:0.9:6`.

    Raises:
        ValueError: If a ratio is outside [0, 1], or the ratios do not rise, by what six digits show.
    """
    if isinstance(value, str):
        value = ratios_of_text(value, MAX_AXIS_LENGTH)
    if not isinstance(value, list | tuple):
        return value
    _check_length(value)
    # Only those that are in range: a whole number may be too large for a float.
    ratios = [float(item) if type(item) is int and 0 <= item <= 1 else item for item in value]
    for ratio in ratios:
        if type(ratio) is int:
            raise ValueError(f"a ratio is the fraction of channels removed, in [0, 1]; got {shown(ratio)}")
    if not all(isinstance(item, float) for item in ratios):
        return tuple(ratios)
    for ratio in ratios:
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"a ratio is the fraction of channels removed, in [0, 1]; got {ratio:g}")
    for before, after in pairwise(ratios):
        if after <= before:
            raise ValueError(f"a schedule only goes up; {after:g} follows {before:g}")
        if f"{after:g}" == f"{before:g}":
            raise ValueError(f"ratios are told apart by six digits; two are {after:g}")
    if not ratios:
        raise ValueError("needs at least one ratio")
    return tuple(ratios)


def parse_batch_sizes(value: object) -> object:
    """Accept a list of batch sizes, one batch size, or text such as `1,32`.

    Raises:
        ValueError: If one is below 1 or above `MAX_IMAGES`, repeated, or no whole number.
    """
    return _whole_numbers(value, "batch sizes", MAX_IMAGES)


def parse_threads(value: object) -> object:
    """Accept numbers of threads as `parse_batch_sizes` does, and 0 alone: as many as the process may use.

    Raises:
        ValueError: If one is below 1 (below 0 where it stands alone) or above `MAX_THREADS`, repeated, or no
            whole number.
    """
    alone = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    return (
        (0,)
        if alone == "0" or (type(alone) is int and alone == 0)
        else _whole_numbers(value, "numbers of threads", MAX_THREADS)
    )


def parse_epochs_by_ratio(value: object) -> object:
    """Turn lists of [ratio, epochs] into pairs.

    Raises:
        ValueError: If the ratios do not rise in [0, 1], or epochs are negative or too many.
    """
    if not isinstance(value, list) or not all(isinstance(item, list) and len(item) == 2 for item in value):
        return value
    fine = all(
        type(ratio) in (int, float) and 0 <= ratio <= 1 and type(epochs) is int and 0 <= epochs <= MAX_EPOCHS
        for ratio, epochs in value
    )
    ratios = [float(ratio) for ratio, _ in value] if fine else []
    if not fine or ratios != sorted(set(ratios)):
        raise ValueError(
            f"[ratio, epochs] with rising ratios in [0, 1] and epochs of 0 to {MAX_EPOCHS}; "
            f"got {shown(value)}"
        )
    return tuple(zip(ratios, (epochs for _, epochs in value), strict=True))


def parse_seeds(value: object) -> object:
    """Accept seeds as `parse_batch_sizes` does, 0 among them; or none.

    Raises:
        ValueError: If one is negative or above what torch and numpy take, repeated, or no whole number.
    """
    none = isinstance(value, list | tuple) and not value
    return () if none else _whole_numbers(value, "seeds", MAX_SEED, 0)


def _whole_numbers(value: object, what: str, most: int, least: int = 1) -> object:
    if isinstance(value, str):
        try:
            value = [_whole_number(part) for part in value.split(",", MAX_AXIS_LENGTH)]
        except ValueError:
            raise ValueError(f"{what} are whole numbers separated by commas; got {shown(value)}") from None
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list | tuple) and all(type(item) is int for item in value):
        _check_length(value)
        if not value or not all(least <= item <= most for item in value) or len(set(value)) < len(value):
            raise ValueError(
                f"{what} are at least {least} and at most {most}, each once; got {shown(list(value))}"
            )
        return tuple(value)
    return value


def _whole_number(text: str) -> int:
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError
    return int(text)


def _check_length(items: Sequence[object]) -> None:
    if len(items) > MAX_AXIS_LENGTH:
        raise ValueError(f"at most {MAX_AXIS_LENGTH} of them")


def parse_backend(item: str) -> tuple[str, str]:
    """Split `name` or `name:precision` of a grid; the precision is `fp32` unless it is said.

    Raises:
        ValueError: If the precision is not one of `PRECISIONS`.
    """
    name, _, precision = item.partition(":")
    precision = precision or "fp32"
    if precision not in PRECISIONS:
        raise ValueError(
            f"no precision {shown(precision)} in {shown(item)}; allowed: {', '.join(PRECISIONS)}"
        )
    return name, precision
