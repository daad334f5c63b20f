"""The commands `pruning-bench store ls | verify | gc`.

Not for: what a store is (`store.py`), or the other commands (`cli.py`).
"""

import sys
from pathlib import Path
from typing import Any

import click

from pruning_core.cli_options import store_option
from pruning_core.errors import OptionError, PruningBenchError


@click.group()
def store() -> None:
    """Show, verify or tidy the store of checkpoints."""


@store.command("ls")
@store_option
def store_ls(root: Path | None) -> None:
    """List the checkpoints: key, what they are, size, accuracy."""
    from pruning_core.errors import DamagedCheckpointError
    from pruning_core.spec import PrunedSpec

    opened = _open_store(root)
    total_bytes = 0
    for key in opened.walk_keys():
        try:
            checkpoint = opened.load(key)
        except DamagedCheckpointError as error:
            click.echo(f"{key[:12]}  damaged: {error}")
            continue
        spec, metrics = checkpoint.spec, checkpoint.metrics
        what = f"{spec.method.name} {spec.ratio:g}" if isinstance(spec, PrunedSpec) else "dense"
        total_bytes += metrics.size_bytes
        click.echo(
            f"{key[:12]}  {spec.model.name:14} {spec.dataset.name:14} {what:18} "
            f"{metrics.size_bytes / 1e6:8.2f} MB  {metrics.accuracy:7.2%}  {metrics.created}"
        )
    click.echo(f"{opened.root}: {total_bytes / 1e6:.1f} MB of weights")


@store.command("verify")
@store_option
def store_verify(root: Path | None) -> None:
    """Check every checkpoint against its hashes; exit code 2 if one is damaged."""
    from pruning_core.errors import DamagedCheckpointError

    opened = _open_store(root)
    sound, damaged = 0, 0
    for key in opened.walk_keys():
        try:
            opened.load(key)
            sound += 1
        except DamagedCheckpointError as error:
            damaged += 1
            click.echo(f"damaged: {error}", err=True)
    click.echo(f"{opened.root}: {sound} sound, {damaged} damaged")
    if damaged:
        sys.exit(PruningBenchError.exit_code)


@store.command("gc")
@store_option
def store_gc(root: Path | None) -> None:
    """Delete leftovers of killed processes and damaged checkpoints that were set aside."""
    opened = _open_store(root)
    deleted = opened.collect_garbage()
    for path, size_bytes in deleted:
        click.echo(f"deleted {path} ({size_bytes / 1e6:.2f} MB)")
    click.echo(
        f"{opened.root}: {len(deleted)} deleted, {sum(size for _, size in deleted) / 1e6:.2f} MB freed"
    )


def _open_store(root: Path | None) -> Any:
    from pruning_core.store import Store, default_root

    folder = root or default_root()
    if not folder.is_dir():
        raise OptionError(
            f"no store at {folder}. Name one with --store, or make one with `pruning-bench prepare`."
        )
    return Store(folder)
