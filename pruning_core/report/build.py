"""Benchmark JSON files → every table that they give, as plain data of exact numbers."""

from collections.abc import Sequence

from pruning_core.records.run import Run
from pruning_core.report.cells import costs_by_key
from pruning_core.report.comparison_table import comparison_tables
from pruning_core.report.dataset_names import name_datasets
from pruning_core.report.file_names import name_files
from pruning_core.report.method_table import method_tables
from pruning_core.report.replicates import split_by_seed
from pruning_core.report.run_index import RunIndex
from pruning_core.report.run_tables import run_tables
from pruning_core.report.seed_table import seed_tables
from pruning_core.report.table import Report
from pruning_core.report.training_table import training_tables
from pruning_core.report.tutorial_table import tutorial_tables


def build_report(runs: Sequence[Run], columns: str = "all", tables_wanted: bool = True) -> Report:
    """Make every table that several runs give: the runs side by side, then those of each run.

    Args:
        runs: At least one, in the order in which they are to stand.
        columns: `all`, or `tutorial` for the columns that the tutorial published, and no other table.
        tables_wanted: CSV shows none, and of many cells they would take most of its time.
    """
    names, files = name_datasets(runs), name_files([run.path for run in runs])
    several = len(runs) > 1
    replicates = [
        [RunIndex(each, names, file, several) for each in split_by_seed(run)]
        for run, file in zip(runs, files, strict=True)
    ]
    firsts, indexes = [own[0] for own in replicates], [index for own in replicates for index in own]
    if not tables_wanted:
        return Report(tuple(indexes), ())
    costs = costs_by_key(runs)
    if columns == "tutorial":
        tables = [table for index in firsts for table in tutorial_tables(index, costs)]
        return Report(tuple(indexes), tuple(tables))
    beside = list(comparison_tables(firsts))
    tables = beside if several else []
    # Of a run of several seeds the first stands for all: the others differ by their scores, which are below.
    tables += [table for index in firsts for table in run_tables(index, costs)]
    tables += [table for index in firsts for table in training_tables(index)]
    tables += [*seed_tables(indexes), *method_tables(indexes)]
    tables += [] if several else beside  # the devices of one file
    return Report(tuple(indexes), tuple(tables))
