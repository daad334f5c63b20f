"""A table of rates fits its terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from pruning_core.selftest.narrow import fit_rates
from tests.helpers.command_line import command_line

TABLE = "| trials | n |\n|---|---|\n| A/A, quiet | 4 |\n| +10% injected, quiet | 5 |"
EARLIER = Path(__file__).parents[2] / "results/selftest-latency/run.json"


def test_a_table_that_does_not_fit_has_its_rows_below_each_other() -> None:
    """Each value stands beside its heading; where the table fits it stays one."""
    assert fit_rates(TABLE, 80) == TABLE
    assert fit_rates(TABLE, 20) == "trials: A/A, quiet\nn: 4\n\ntrials: +10% injected, quiet\nn: 5"


def test_what_an_earlier_run_has_settled_is_not_asked_for(monkeypatch, capsys) -> None:
    """Options of trials beside `--from-json`, which runs none, are refused, not ignored."""
    arguments = ("--from-json", str(EARLIER), "--trials", "5", "--json", "new.json")
    code, out, err = command_line(monkeypatch, capsys)("selftest", "latency", *arguments)
    assert (code, out, "--trials, --json: not with --from-json" in err) == (2, "", True), err


@pytest.mark.parametrize("columns", ["80", ""])
def test_the_command_fits_its_terminal_and_writes_markdown_to_a_file(columns: str) -> None:
    """As COLUMNS says; without a terminal it is the table for a README."""
    done = subprocess.run(
        [sys.executable, "-m", "pruning_core", "selftest", "latency", "--from-json", str(EARLIER)],
        env={"PATH": "/usr/bin:/bin", "COLUMNS": columns},
        capture_output=True,
        text=True,
        check=True,
    )
    widest = max(map(len, done.stdout.splitlines()))
    assert (widest <= 80) == bool(columns)
    assert done.stdout.startswith("trials: " if columns else "|")
