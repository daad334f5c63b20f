"""Checkpoints on disk, by key: written whole or not at all, verified on loading, made once.

    <root>/<key>/{spec.json, plan.json, metrics.json, weights.safetensors}    finished checkpoints
    <root>/unfinished/<key>.safetensors    state after an epoch of an interrupted training
    <root>/set-aside/<key>-<time>/         damaged checkpoints: never used again, deleted by `gc` alone
    <root>/locks/<key>.lock                held by the one process that makes a checkpoint
    <root>/temporary/                      being written; leftovers of killed processes
    <root>/attempts/                       what is being made (`attempts.py`)

`spec.json` holds the spec and the hashes of the other three files. Nothing is ever unpickled.
Not for: knowing how a checkpoint is made (`pipeline.py`).
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from pruning_core.attempts import Attempt, Attempts
from pruning_core.errors import DamagedCheckpointError, StoreError
from pruning_core.plan import Plan
from pruning_core.spec import CheckpointSpec, Frozen, PrunedSpec, key_of
from pruning_core.system.hardware import native_conditions
from pruning_core.training import EpochState

ROOT_VARIABLE = "PRUNING_BENCH_STORE"
FORMAT = 1
_HASHED = ("plan.json", "metrics.json", "weights.safetensors")
_SPEC_ADAPTER: TypeAdapter[CheckpointSpec] = TypeAdapter(CheckpointSpec)


class Metrics(Frozen):
    """What was found out about a checkpoint when it was made."""

    macs: int
    params: int
    size_bytes: int
    accuracy: float = Field(description="Top-1 on the whole test split, eager fp32, fraction.")
    accuracy_pruned: float = Field(description="The same before fine-tuning; equal to accuracy for dense.")
    accuracy_n: int
    exhausted: bool = Field(description="Pruning removed nothing that the parent still had.")
    sparsity: float = Field(description="Weights of convolutions and linear layers that are 0, fraction.")
    prune_s: float
    train_s: float
    train_outside_s: float = Field(description="Of train_s, outside of the training steps.")
    train_losses: tuple[float, ...]
    train_precision: str
    train_device: str
    train_threads: int
    train_graphed: bool = Field(False, description="Steps were launched as one CUDA graph.")
    train_memory_format: str = Field(
        "channels_last", description="How images and weights lay in memory; earlier versions knew one way."
    )
    torch: str
    created: str = Field(description="UTC, ISO 8601.")


@dataclass(frozen=True)
class Made:
    """What making a checkpoint gives, before it is stored."""

    plan: Plan
    weights: Mapping[str, Tensor]
    metrics: Metrics


@dataclass(frozen=True)
class Checkpoint:
    """A stored checkpoint, verified."""

    key: str
    spec: CheckpointSpec
    plan: Plan
    metrics: Metrics
    path: Path

    def weights(self) -> dict[str, Tensor]:
        """Read the weights: name → tensor, on the CPU."""
        return safetensors.torch.load_file(self.path / "weights.safetensors")


class Unfinished:
    """Where the training of one key keeps its state between epochs."""

    def __init__(self, path: Path, attempt: Attempt | None = None) -> None:
        self._path, self._attempt = path, attempt

    def note_step(self, what: str) -> None:
        """Note on disk which step of the making begins, for the run after this one."""
        if self._attempt is not None:
            self._attempt.step(what)

    def note_silence(self, what: str) -> None:
        """Note on disk that a step has not ended for long."""
        if self._attempt is not None:
            self._attempt.note_silence(what)

    def load(self) -> EpochState | None:
        """Return the last state that was saved, or None if there is none that can be used."""
        try:
            with safetensors.safe_open(self._path, framework="pt") as file:
                about = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            seconds, outside_s, losses = about["seconds"], about["outside_s"], tuple(about["losses"])
            return EpochState(about["epoch"], tensors, seconds, outside_s, losses)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
            return None

    def save(self, state: EpochState) -> None:
        """Replace the state, whole or not at all.

        Raises:
            StoreError: If it cannot be written; the earlier state stays.
        """
        about = {
            "epoch": state.epoch,
            "seconds": state.seconds,
            "outside_s": state.outside_s,
            "losses": state.losses,
        }
        content = safetensors.torch.save(state.tensors, metadata={"state": json.dumps(about)})
        with _write_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".writing")
            try:
                _write_file(temporary, content)
                os.replace(temporary, self._path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def clear(self) -> None:
        """Forget the state: the checkpoint is finished."""
        self._path.unlink(missing_ok=True)


class Store:
    """A folder of checkpoints. Safe for many processes at once, on one machine."""

    def __init__(self, root: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """Open a store, and make its folder if there is none.

        Args:
            root: The store's folder.
            say: Takes one line about what a user should know: a damaged checkpoint, a wait.

        Raises:
            StoreError: If the folder cannot be made or written.
        """
        self.root = root
        self._say = say
        self.attempts = Attempts(root, say)
        with _write_errors(root):
            (root / "locks").mkdir(parents=True, exist_ok=True)
            (root / "temporary").mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=root / "temporary"):
                pass  # only to see now, not after an hour of training, that the store can be written

    def load_or_make(self, spec: CheckpointSpec, make: Callable[[Unfinished], Made]) -> Checkpoint:
        """Load the checkpoint of a spec, or make and store it; of several processes, one makes it.

        Args:
            spec: What decides its content.
            make: Makes it. It is given the place for its state between epochs.

        Raises:
            StoreError: If it cannot be written. Nothing half-written is left.
        """
        key = key_of(spec)
        found = self.find(spec)
        if found is not None:
            return found
        with self._lock(key):
            found = self.find(spec)  # another process may have made it while we waited
            if found is None:
                with self.attempts.begin(key, describe(key, spec), native_conditions()) as attempt:
                    unfinished = Unfinished(self.root / "unfinished" / f"{key}.safetensors", attempt)
                    self._write(key, spec, make(unfinished))
                    unfinished.clear()
                found = self.load(key)
        return found

    def has(self, key: str) -> bool:
        """Tell whether a checkpoint of this key is stored, sound or not."""
        return (self.root / key).exists()

    def find(self, spec: CheckpointSpec) -> Checkpoint | None:
        """Return the checkpoint of a spec if it is stored and sound; set a damaged one aside."""
        key = key_of(spec)
        if not self.has(key):
            return None
        try:
            checkpoint = self.load(key)
            if checkpoint.spec != spec:
                raise DamagedCheckpointError(f"checkpoint {key}: its spec is not the one asked for")
        except DamagedCheckpointError as error:
            place = self._set_aside(key)
            self._say(f"{error}; set aside in {place}; making it again")
            return None
        return checkpoint

    def load(self, key: str) -> Checkpoint:
        """Load and verify one checkpoint; its weights stay on disk until they are asked for.

        Raises:
            DamagedCheckpointError: If a file is missing, altered or of another checkpoint.
            StoreError: If there is none of that key.
        """
        folder = self.root / key
        if not folder.is_dir():
            raise StoreError(f"no checkpoint {key} in {self.root}")
        try:
            about = json.loads((folder / "spec.json").read_bytes())
            spec = _SPEC_ADAPTER.validate_json(json.dumps(about["spec"]))
            if about["format"] != FORMAT:
                raise DamagedCheckpointError(
                    f"checkpoint {key}: format {about['format']}, this program reads {FORMAT}"
                )
            for name in _HASHED:
                if about["sha256"][name] != _hash_file(folder / name):
                    raise DamagedCheckpointError(f"checkpoint {key}: {name} was altered or is truncated")
            if key_of(spec) != key:
                raise DamagedCheckpointError(
                    f"checkpoint {key}: its spec has another key; it was copied or altered"
                )
            plan = Plan.model_validate_json((folder / "plan.json").read_bytes())
            metrics = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            what = "a file is missing" if isinstance(error, FileNotFoundError) else "a file cannot be read"
            raise DamagedCheckpointError(f"checkpoint {key}: {what} ({_first_line(error)})") from None
        return Checkpoint(key, spec, plan, metrics, folder)

    def walk_keys(self) -> Iterator[str]:
        """Walk over the keys of all finished checkpoints, sound or not."""
        with suppress(FileNotFoundError):
            for folder in sorted(self.root.iterdir()):
                if folder.is_dir() and len(folder.name) == 32 and set(folder.name) <= set("0123456789abcdef"):
                    yield folder.name

    def collect_garbage(self) -> list[tuple[Path, int]]:
        """Delete what no run will use: leftovers of killed processes, damaged and superseded states.

        The state of a training that can still be resumed is kept.

        Returns:
            Each path deleted, with its size in bytes.
        """
        deleted = []
        leftovers = [*(self.root / "set-aside").glob("*"), *(self.root / "unfinished").glob("*.writing")]
        for path in (self.root / "unfinished").glob("*.safetensors"):
            if (self.root / path.stem).exists():
                leftovers.append(path)
        for path in (self.root / "temporary").glob("*"):
            # A process that is writing right now holds the key's lock.
            key = path.name.partition("-")[0]
            with suppress(Timeout), FileLock(self.root / "locks" / f"{key}.lock", timeout=0):
                leftovers.append(path)
        for path in leftovers:
            size_bytes = sum(f.stat().st_size for f in [path, *path.rglob("*")] if f.is_file())
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            deleted.append((path, size_bytes))
        return deleted

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        lock = FileLock(self.root / "locks" / f"{key}.lock")
        with _write_errors(self.root):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._say(f"another process is making checkpoint {key}; waiting for it")
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _write(self, key: str, spec: CheckpointSpec, made: Made) -> None:
        contents = {
            "plan.json": _json(made.plan.model_dump(mode="json")),
            "metrics.json": _json(made.metrics.model_dump(mode="json")),
            "weights.safetensors": safetensors.torch.save(dict(made.weights)),
        }
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        contents["spec.json"] = _json(
            {"format": FORMAT, "key": key, "spec": spec.model_dump(mode="json"), "sha256": hashes}
        )
        with _write_errors(self.root):
            temporary = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self.root / "temporary"))
            try:
                for name, content in contents.items():
                    _write_file(temporary / name, content)
                _sync_folder(temporary)
                os.rename(temporary, self.root / key)
                _sync_folder(self.root)
            except OSError:
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def _set_aside(self, key: str) -> Path:
        place = self.root / "set-aside" / f"{key}-{time.time_ns()}"
        with _write_errors(self.root):
            place.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # another process was faster
                os.rename(self.root / key, place)
        return place


def describe(key: str, spec: CheckpointSpec) -> str:
    """Say in words which checkpoint a key stands for."""
    what = f"{spec.method.name} {spec.ratio:g}" if isinstance(spec, PrunedSpec) else "dense"
    return f"checkpoint {key[:12]} ({spec.model.name} on {spec.dataset.name}, {what})"


def default_root() -> Path:
    """Return the store's folder where none was named: PRUNING_BENCH_STORE, else the user's cache folder."""
    named = os.environ.get(ROOT_VARIABLE)
    return Path(named) if named else user_cache_path("pruning-bench")


@contextmanager
def _write_errors(place: Path) -> Iterator[None]:
    """Turn a failed write into one line; said here once for every place that writes."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"no space left for the store {place}; nothing was half-written. "
                "Free some, or name another with --store."
            ) from error
        raise StoreError(f"cannot write the store {place}: {error.strerror or error}") from error


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
