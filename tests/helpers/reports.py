"""Reports on made-up runs, and their tables read back. Not for: what they should hold (`test_report*.py`)."""

import re
from pathlib import Path
from typing import Any

from pruning_core.records.run import Run
from pruning_core.report.build import build_report
from pruning_core.report.table import Report
from tests.helpers import record_factory as factory


def runs(folder: Path) -> list[Run]:
    """Make two runs: one of four ratios on one machine's CPU, one of three on another's GPU."""
    first = factory.make_content(ratios=(0.25, 0.5, 0.75, 0.95))
    second = factory.make_content(seed=1, machine="box-b", device="cuda:0")
    return [factory.as_run(c, folder, f"{i}.json") for i, c in enumerate((first, second))]


def report_on(content: dict[str, Any], folder: Path) -> Report:
    """Make the report of one run."""
    return build_report([factory.as_run(content, folder)])


def markdown_tables(text: str) -> list[list[dict[str, str]]]:
    """Read the tables back from Markdown."""
    tables = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        lines = [[part.strip() for part in line.strip("|").split("|")] for line in block.splitlines()]
        tables.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return tables
