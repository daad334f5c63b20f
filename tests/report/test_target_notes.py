"""A report says below its table which targets the ratios were found for, and whether they are met."""

from pathlib import Path

import pytest

from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.reports import report_on

FIELDS = {"target": "2x fewer MACs; 9M MACs", "target_met": "met; missed", "target_reached": "2.1x; 10M"}


def content_with(fields: dict[str, str]) -> dict[str, object]:
    """Make a run in which the cost record of one ratio has a target."""
    content = factory.make_content(ratios=(0.25, 0.5), backends=("eager:fp32",), suites=("cost",))
    for record in factory.records_of(content, "cost"):
        record.update(fields if record["ratio"] == 0.5 else {})
    return content


@pytest.mark.parametrize("format", ["terminal", "markdown", "json", "html"])
def test_each_target_has_a_line(tmp_path: Path, format: str) -> None:
    """Every format for people says each, and what was reached."""
    text = render(report_on(content_with(FIELDS), tmp_path), format, width=120)
    assert "target 2x fewer MACs: met (ratio 0.5 reaches 2.1x)." in text
    assert "target 9M MACs: missed (ratio 0.5 reaches 10M)." in text


def test_ratios_of_a_users_choice_have_none(tmp_path: Path) -> None:
    """Nothing is said of targets where there were none."""
    notes = report_on(content_with({}), tmp_path).tables[0].notes
    assert not any("target" in note for note in notes)
