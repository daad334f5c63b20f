"""Kinds of options that several commands share. Not for: the commands (`cli.py`)."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

store_option = click.option(
    "--store",
    "root",
    type=FOLDER,
    envvar="PRUNING_BENCH_STORE",
    help="Where checkpoints are kept (default: the user's cache folder).",
)
