"""How the report prints numbers: rounded as the tutorial does, and never as nothing."""

import pytest

from pruning_core.report.estimate import Estimate
from pruning_core.report.number_format import macs_text, number_text, params_text


@pytest.mark.parametrize(
    ("macs", "text"),
    [
        (555_422_720, "0.56 G"),
        (35_180_000, "0.04 G"),
        (4_630_000, "4.63 M"),
        (900, "0.90 k"),
        (3, "3"),
        (0, "0"),
    ],
)
def test_macs_never_show_as_nothing(macs: int, text: str) -> None:
    """Multiply-adds stand in G as in the tutorial, and in a smaller unit where that would say 0.00."""
    assert macs_text(macs) == text


def test_numbers_are_printed_as_the_tutorial_does() -> None:
    """Parameters in M, fractions in percent, the dense ratio as a word, absent values as a dash."""
    assert params_text(11_173_962) == "11.17 M"
    assert params_text(3_000) == "3.00 k"
    assert number_text(Estimate(0.9722, 0.95, 0.98), "percent") == ("97.22", "95.00–98.00")
    assert number_text(Estimate(0.5), "percent") == ("50.00", "")
    assert number_text(None, "ms") == ("–", "")
    assert [number_text(ratio, "ratio")[0] for ratio in (0.0, 0.5, 0.333, 1.0)] == [
        "dense",
        "0.50",
        "0.333",
        "1.00",
    ]
    assert [number_text(ms, "ms")[0] for ms in (123.456, 16.519, 0.8204, 0.012)] == [
        "123.5",
        "16.52",
        "0.820",
        "0.0120",
    ]
