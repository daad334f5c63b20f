"""Read a checkpoint from its folder, and verify it."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pruning_core.config.spec import CheckpointSpec
from pruning_core.errors import DamagedCheckpointError, first_line
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.store.checkpoint import Checkpoint, Metrics
from pruning_core.store.files import hash_regular, parse_object, read_regular
from pruning_core.store.marker import KEY, check_key, check_version

_HASHED = ("plan.json", "metrics.json", "weights.safetensors")
_SPEC_ADAPTER: TypeAdapter[CheckpointSpec] = TypeAdapter(CheckpointSpec)


def read_checkpoint(folder: Path, key: str) -> Checkpoint:
    """Read and verify one checkpoint; its weights stay on disk until they are asked for.

    Args:
        folder: With the files of one checkpoint.
        key: That it must have.

    Raises:
        DamagedCheckpointError: If a file is missing, altered or of another checkpoint.
        OtherVersionError: If another version of this program made it.
    """
    try:
        if not folder.is_dir():
            raise DamagedCheckpointError("it is not a folder")
        header = parse_object(read_regular(folder / "spec.json"), "spec.json")
        check_version(key, header)
        if header["key"] != key:
            raise DamagedCheckpointError("it names another key; it was copied or altered")
        spec = _SPEC_ADAPTER.validate_json(json.dumps(header["spec"]))
        for name in _HASHED:
            if header["sha256"][name] != hash_regular(folder / name):
                raise DamagedCheckpointError(f"{name} was altered or is truncated")
        check_key(key, spec)
        plan = ChannelPlan.model_validate_json(read_regular(folder / "plan.json"))
        metrics = Metrics.model_validate_json(read_regular(folder / "metrics.json"))
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(f"checkpoint {key}: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {key}: a file cannot be read ({first_line(error)})"
        ) from None
    return Checkpoint(key, spec, plan, metrics, folder)


def read_folder(folder: Path) -> Checkpoint:
    """Read and verify the checkpoint in a folder, wherever it was copied to, under whatever name.

    Raises:
        DamagedCheckpointError: If a file is missing or altered.
        OtherVersionError: If another version of this program made it.
    """
    return read_checkpoint(folder, key_in(folder))


def key_in(folder: Path) -> str:
    """Return the key that the checkpoint in a folder says it has, wherever it was copied to.

    Raises:
        DamagedCheckpointError: If it says none.
    """
    key = parse_object(read_regular(folder / "spec.json"), "spec.json").get("key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise DamagedCheckpointError(f"{folder}: its spec.json names no key")
    return key
