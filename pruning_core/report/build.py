"""Benchmark JSON files → tables that people read: terminal, Markdown, CSV, JSON.

    read the files  →  build_report: plain tables of exact numbers  →  render: words and rounding

`run_index.py` finds a cell's records, `tables.py` makes the tables of one run, `comparison_table.py` puts
runs side by side, `number_format.py` rounds, `writers.py` writes. Must not import torch.
"""

from collections.abc import Sequence

from pruning_core.records.run import Run
from pruning_core.report.comparison_table import comparison_tables
from pruning_core.report.dataset_names import name_datasets
from pruning_core.report.run_index import RunIndex, costs_by_key
from pruning_core.report.seed_table import seed_tables
from pruning_core.report.tables import Report, run_tables
from pruning_core.report.training_table import training_tables
from pruning_core.report.tutorial_table import tutorial_tables


def build_report(runs: Sequence[Run], columns: str = "all") -> Report:
    """Make every table that several runs give: those of each run, then the runs side by side.

    Args:
        runs: At least one, in the order in which they are to stand.
        columns: `all`, or `tutorial` for the columns that the tutorial published, and no other table.
    """
    names = name_datasets(runs)
    indexes = [RunIndex(run, names) for run in runs]
    costs = costs_by_key(runs)
    if columns == "tutorial":
        tables = [table for index in indexes for table in tutorial_tables(index, costs)]
    else:
        tables = [table for index in indexes for table in run_tables(index, costs)]
        tables += [table for index in indexes for table in training_tables(index)]
        tables += seed_tables(indexes)
        tables += comparison_tables(indexes)
    return Report(tuple(indexes), tuple(tables))
