"""Kinds of options that several commands share."""

import os
from pathlib import Path

import click


class _Folder(click.Path):
    """A folder; an empty text is none, where Python would take it for the current one."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Refuse an empty text, else do as click does."""
        if not os.fspath(value):
            self.fail("needs the path of a folder; got an empty text", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = _Folder(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

protect_option = click.option(
    "--protect", metavar="LIST", help="Layers that stay whole: names or patterns, layer1.*,head."
)
ratio_of_option = click.option(
    "--ratio-of", metavar="LIST", help="Layers with a ratio of their own: layer4.*=0.8,head=0.2."
)

store_option = click.option(
    "--store",
    "root",
    type=FOLDER,
    envvar="PRUNING_BENCH_STORE",
    help="Where checkpoints are kept (default: the user's cache folder).",
)
