"""A network from a store, or from the folder of one checkpoint."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from pruning_core.store.checkpoint import Checkpoint


def load(store_or_folder: str | Path | None = None, key: str = "") -> nn.Module:
    """Return a stored network, whole and verified, in evaluation mode on the CPU.

    By its key, or the beginning of it, as `pruning-bench store ls` shows them:

        >>> network = load("my-store", "3f6a2c")  # doctest: +SKIP

    From the folder of one checkpoint, wherever it was copied to:

        >>> network = load("deployed/best")  # doctest: +SKIP

    Its dense network is built, cut to the plan and given the weights; a `module:function` of yours has to be
    importable here. Nothing is unpickled, and nothing is written.

    Args:
        store_or_folder: A store, or a folder with `spec.json`, `plan.json`, `metrics.json` and
            `weights.safetensors`; None: the store that is used where none is named.
        key: Of a store's checkpoint, or its first six digits or more; its only checkpoint needs none.

    Raises:
        OptionError: If the key is none, no checkpoint has it (UnknownNameError), or several begin so; or if
            there is no user whose home `~` stands for.
        StoreError: If there is no such store or folder, or the checkpoint is damaged.
        ModelError: If its network cannot be built here, or answers otherwise than when it was stored.
    """
    from pruning_core.chain.networks import load_network

    return load_network(find_checkpoint(store_or_folder, key))


def find_checkpoint(store_or_folder: str | Path | None, key: str) -> Checkpoint:
    """Return a checkpoint, verified; arguments and errors are those of `load`."""
    from pruning_core.console.shown import shown
    from pruning_core.errors import OptionError, StoreError
    from pruning_core.files.home import expand_home
    from pruning_core.store import Store, default_root
    from pruning_core.store.lookup import find_key
    from pruning_core.store.reading import key_in, read_checkpoint

    if not isinstance(store_or_folder, str | PathLike | None) or not isinstance(key, str):
        named = f"{shown(store_or_folder)}, {shown(key)}"
        raise OptionError(f"name a folder, and a key as text; got {named}")
    if store_or_folder is not None and not str(store_or_folder):
        raise OptionError("name a folder; got an empty text")
    folder = default_root() if store_or_folder is None else expand_home(Path(store_or_folder))
    if not folder.is_dir():
        raise StoreError(f"no folder {folder}: name a store, or the folder of one checkpoint")
    if (folder / "spec.json").is_file():
        found = key_in(folder)
        if not found.startswith(key.lower()):
            raise StoreError(f"{folder} holds checkpoint {found}, whose key does not begin with {key!r}")
        return read_checkpoint(folder, found)
    store = Store.open_existing(folder)
    if key:
        return store.load(find_key(store, key))
    keys = list(store.stored_keys())
    if len(keys) != 1:
        raise StoreError(
            f"{len(keys)} checkpoints in {folder}: name one by its key (`pruning-bench store ls`)"
        )
    return store.load(keys[0])
