"""pytest-benchmark's own tables in a run of our suites: times alone, a table for each suite, few columns.

An entry of `cost` or `accuracy` holds the time of a pruning or of an evaluation, which is no result; what
those suites found is in our own table (`summary_table.py`) and in the JSON.
"""

from typing import Any

import pytest

TIMED_SUITES = ("latency", "training")
COLUMNS = ["median", "rounds"]
"""The others mean little for samples that are means of calls, and are infinite for one round."""

_ALL_COLUMNS = ["min", "max", "mean", "stddev", "median", "iqr", "outliers", "ops", "rounds", "iterations"]
_NEED_ALL = ("compare", "compare_fail", "histogram", "cprofile")
"""Options of pytest-benchmark that concern every entry: with them all are shown."""


def group_by_suite(config: pytest.Config, benchmarks: list[dict[str, Any]], group_by: str) -> bool:
    """Group our entries by suite and leave out what is no time, in place; the JSON is written already.

    Args:
        config: Of the session.
        benchmarks: What pytest-benchmark is about to show.
        group_by: `--benchmark-group-by`; what a user chose there holds.

    Returns:
        Whether all entries are ours.
    """
    ours = [entry for entry in benchmarks if "schema_version" in entry["extra_info"]]
    only_ours = len(ours) == len(benchmarks) > 0
    if group_by == "group":
        for entry in ours:
            entry["group"] = entry["group"] or entry["extra_info"]["suite"]
    if not any(config.getoption(f"benchmark_{name}", None) for name in _NEED_ALL):
        benchmarks[:] = [
            entry for entry in benchmarks if entry["extra_info"].get("suite", "latency") in TIMED_SUITES
        ]
    return only_ours


def show_telling_columns(config: pytest.Config) -> None:
    """Cut the columns to those that mean something, unless `--benchmark-columns` chose others."""
    session: Any = config.pluginmanager.getplugin("pytest-benchmark")
    # Before pytest-benchmark 5.3 the option's default was the list itself.
    if config.getoption("benchmark_columns", None) in (None, _ALL_COLUMNS):
        session.columns = COLUMNS
