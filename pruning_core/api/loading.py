"""A network from a store, or from the folder of one checkpoint."""

from __future__ import annotations

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
        key: Of a store's checkpoint: all of it, or so much that it is the only one. The only checkpoint of a
            store needs none.

    Raises:
        StoreError: If there is no such checkpoint, several begin so, or it is damaged.
        ModelError: If its network cannot be built here, or answers otherwise than when it was stored.
    """
    from pruning_core.chain.networks import load_network

    return load_network(find_checkpoint(store_or_folder, key))


def find_checkpoint(store_or_folder: str | Path | None, key: str) -> Checkpoint:
    """Return a checkpoint, verified; arguments and errors are those of `load`."""
    from pruning_core.errors import StoreError
    from pruning_core.store import Store, default_root
    from pruning_core.store.reading import key_in, read_checkpoint

    folder = default_root() if store_or_folder is None else Path(store_or_folder)
    if not folder.is_dir():
        raise StoreError(f"no folder {folder}: name a store, or the folder of one checkpoint")
    if (folder / "spec.json").is_file():
        found = key_in(folder)
        if not found.startswith(key.lower()):
            raise StoreError(f"{folder} holds checkpoint {found}, whose key does not begin with {key!r}")
        return read_checkpoint(folder, found)
    store = Store.open_existing(folder)
    keys = [stored for stored in store.stored_keys() if stored.startswith(key.lower())]
    if len(keys) != 1:
        known = keys or list(store.stored_keys())
        shown = ", ".join(stored[:12] for stored in known[:MAX_KEYS])
        more = f" and {len(known) - MAX_KEYS} more" if len(known) > MAX_KEYS else ""
        what = f"{len(keys)} checkpoints" if keys else "no checkpoint"
        begins = f" whose key begins with {key!r}" if key else ""
        raise StoreError(f"{what}{begins} in {folder}; it has: {shown or 'none'}{more}")
    return store.load(keys[0])


MAX_KEYS = 12
"""Keys that an error lists."""
