"""What errors say: one line, whatever a library raised."""

import pytest

from pruning_core.errors import MAX_LINE_LENGTH, first_line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("shape mismatch\n  at layer 3\n  ..."), "shape mismatch"),
        (ValueError("\n\n  indented first\nsecond"), "indented first"),
        (KeyError(), "KeyError"),
        (OSError("   \n "), "OSError"),
        (RuntimeError("x" * 10_000), "x" * MAX_LINE_LENGTH),
    ],
)
def test_the_first_line_of_what_a_library_raised(error, expected):
    """Pages of text become their first line, cut to a length; an error without text is called by its type."""
    assert first_line(error) == expected
