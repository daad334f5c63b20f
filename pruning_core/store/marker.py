"""What a store is: its marker, and of which version it and its checkpoints are.

Without the marker a folder is somebody else's, however much it looks like a store; what another version of
this program made is named and left alone.
"""

import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from pruning_core.config.spec import RECIPE_VERSION, CheckpointSpec, key_of
from pruning_core.errors import DamagedCheckpointError, OtherVersionError, StoreError
from pruning_core.files.atomic import replace_synced, sync_to_disk
from pruning_core.store.files import parse_object, read_regular, to_json

MARKER = "pruning-bench-store.json"
FORMAT = 1
QUARANTINE = "set-aside"
"""The folder of damaged checkpoints; its name is part of the format."""

KEY = re.compile(r"[0-9a-f]{32}")


def is_store(root: Path) -> bool:
    """Return whether a folder is a store: it has the marker, or a checkpoint older than the marker."""
    if not root.is_dir():
        return False
    if (root / MARKER).is_file():
        return True
    try:
        keys = [path for path in root.iterdir() if KEY.fullmatch(path.name)]
        return any(
            parse_object(read_regular(path / "spec.json"), "").get("key") == path.name for path in keys
        )
    except (OSError, StoreError):
        return False


def check_format(root: Path) -> None:
    """Refuse a store whose marker is of another format than this program writes.

    Raises:
        OtherVersionError: If it is; nothing in it is touched.
        StoreError: If the marker cannot be read.
    """
    if not os.path.lexists(root / MARKER):
        return  # older than the marker
    try:
        found = parse_object(read_regular(root / MARKER), MARKER).get("format")
    except DamagedCheckpointError as error:
        raise StoreError(f"store {root}: its marker {MARKER} cannot be read ({error})") from None
    if found != FORMAT:
        raise OtherVersionError(
            f"store {root} is of format {str(found)[:20]}, this program reads {FORMAT}: left as it is. "
            "Name another with --store"
        )


def write_marker(root: Path) -> None:
    """Mark a folder as a store, whole or not at all."""
    draft = root / "temporary" / f"marker-{uuid.uuid4().hex}"
    replace_synced(root / MARKER, draft, to_json({"format": FORMAT, "recipe_version": RECIPE_VERSION}))
    sync_to_disk(root)


def check_version(key: str, header: Mapping[str, object]) -> None:
    """Refuse a checkpoint whose `spec.json` names another version than ours.

    Raises:
        OtherVersionError: If it does.
    """
    for what, ours in (("format", FORMAT), ("recipe_version", RECIPE_VERSION)):
        found = header.get(what, ours)  # without a recipe_version it is judged by its key
        if isinstance(found, int) and found != ours:
            raise OtherVersionError(
                f"checkpoint {key}: {what.replace('_', ' ')} {found}, this program reads {ours}; "
                "left as it is"
            )


def check_key(key: str, spec: CheckpointSpec) -> None:
    """Check that a spec is the one of its key.

    Raises:
        OtherVersionError: If an earlier recipe version gave it this key.
        DamagedCheckpointError: If none did.
    """
    if key_of(spec) == key:
        return
    for version in range(1, RECIPE_VERSION):
        if key_of(spec, version) == key:
            raise OtherVersionError(
                f"checkpoint {key}: recipe version {version}, this program makes {RECIPE_VERSION}; "
                "left as it is"
            )
    raise DamagedCheckpointError("its spec has another key; it was copied or altered")
