"""What errors say: one line, whatever a library raised."""

import pytest

from pruning_core.errors import MAX_LINE_LENGTH, UnknownNameError, first_line


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


def test_of_very_many_names_the_closest_are_shown():
    """An error stays short, however many names there are; a suggestion that is known better goes first."""
    names = [f"network{number}" for number in range(1000)]
    text = str(UnknownNameError("model", "netwrk77", names))
    assert "Did you mean 'network77'?" in text
    assert "… 1000 in all" in text
    assert len(text) < 250
    assert "network10, " in str(UnknownNameError("model", "zz", names))
    assert "Did you mean 'other'?" in str(UnknownNameError("model", "network7", names, suggestion="other"))
