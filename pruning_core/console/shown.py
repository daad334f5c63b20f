"""A value from outside, as an error shows it: printable, and short however long it is."""

import re

MAX_SHOWN = 60
"""Characters of a value that an error shows."""

# Control characters and halves of surrogate pairs: they would act on a terminal, or cannot be written.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def shown(value: object, max_length: int = MAX_SHOWN) -> str:
    """Return a value as Python writes it, without what is not printable, cut to a length.

    Args:
        value: Anything, for example a number of thousands of digits, or a list in a list in a list.
        max_length: Characters that are kept.
    """
    if isinstance(value, str | bytes | list | tuple):
        value = value[: 4 * max_length]  # to write all of 200 MB would take its time
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number too long to print; nesting too deep
        text = "…"
    return shortened(text, max_length)


def shortened(text: str, max_length: int = MAX_SHOWN) -> str:
    """Return a text as one printable line, cut to a length.

    Args:
        text: From outside; it may hold line ends.
        max_length: Characters that are kept.
    """
    line = " ".join(UNPRINTABLE.sub("\ufffd", text[: 4 * max_length]).split())
    return line if len(line) <= max_length and len(text) <= 4 * max_length else f"{line[:max_length]}…"
