"""The commands `pruning-bench store ls | verify | gc`."""

import sys
from pathlib import Path
from typing import Any

import click

from pruning_core.cli.options import store_option
from pruning_core.console.escaping import for_terminal
from pruning_core.errors import OptionError, PruningBenchError


@click.group()
def store() -> None:
    """Show, verify or tidy the store of checkpoints."""


@store.command("ls")
@store_option
def store_ls(root: Path | None) -> None:
    """List the checkpoints: key, what they are, size, accuracy."""
    from pruning_core.config.stages import stage_words
    from pruning_core.errors import StoreError

    opened = _open_store(root)
    total_bytes = 0
    for key in opened.stored_keys():
        try:
            checkpoint = opened.load(key)
        except StoreError as error:
            _print(f"{key[:12]}  {_kind_of(error)}: {error}")
            continue
        spec, metrics = checkpoint.spec, checkpoint.metrics
        total_bytes += metrics.size_bytes
        _print(
            f"{key[:12]}  {spec.model.name:14} {spec.dataset.name:14} {stage_words(spec):18} "
            f"{metrics.size_bytes / 1e6:8.2f} MB  {metrics.score_text:>7}  {metrics.created}"
        )
    _print(f"{opened.root}: {total_bytes / 1e6:.1f} MB of weights")


@store.command("verify")
@store_option
def store_verify(root: Path | None) -> None:
    """Check every checkpoint against its hashes; exit code 2 if one is damaged or cannot be read."""
    from pruning_core.errors import StoreError

    opened = _open_store(root)
    counts = {"sound": 0, "damaged": 0, "of another version": 0, "not readable": 0}
    for key in opened.stored_keys():
        try:
            opened.load(key)
            counts["sound"] += 1
        except StoreError as error:
            kind = _kind_of(error)
            counts[kind] += 1
            _print(f"{kind}: {error}", err=True)
    shown = {kind: n for kind, n in counts.items() if n or kind in ("sound", "damaged")}
    _print(f"{opened.root}: {', '.join(f'{n} {kind}' for kind, n in shown.items())}")
    if counts["damaged"] or counts["not readable"]:
        sys.exit(PruningBenchError.exit_code)


@store.command("gc")
@store_option
def store_gc(root: Path | None) -> None:
    """Delete leftovers of killed processes, and damaged checkpoints that were quarantined.

    What a running process works on, and whatever has another name than ours, is left alone; links are
    not followed.
    """
    opened = _open_store(root)
    collected = opened.collect_garbage()
    for path, size_bytes in collected.deleted:
        _print(f"deleted {path} ({size_bytes / 1e6:.2f} MB)")
    for path, reason in collected.kept:
        _print(f"cannot delete {path}: {reason}", err=True)
    freed_bytes = sum(size for _, size in collected.deleted)
    _print(f"{opened.root}: {len(collected.deleted)} deleted, {freed_bytes / 1e6:.2f} MB freed")
    if collected.kept:
        sys.exit(PruningBenchError.exit_code)


def _print(line: str, err: bool = False) -> None:
    print(for_terminal(line), file=sys.stderr if err else sys.stdout)


def _kind_of(error: PruningBenchError) -> str:
    from pruning_core.errors import DamagedCheckpointError, OtherVersionError

    if isinstance(error, DamagedCheckpointError):
        return "damaged"
    return "of another version" if isinstance(error, OtherVersionError) else "not readable"


def _open_store(root: Path | None) -> Any:
    from pruning_core.store import Store, default_root

    folder = root or default_root()
    if not folder.is_dir():
        raise OptionError(
            f"no store at {folder}. Name one with --store, or make one with `pruning-bench prepare`."
        )
    return Store.open_existing(folder)
