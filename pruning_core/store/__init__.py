"""Checkpoints on disk, by key: written whole or not at all, verified on loading, made once.

    <root>/pruning-bench-store.json        the marker: without it nothing is listed, verified or deleted
    <root>/<key>/{spec.json, plan.json, metrics.json, weights.safetensors}    finished checkpoints
    <root>/unfinished/<key>.safetensors    state after an epoch of an interrupted training
    <root>/set-aside/<key>-<time>/         damaged checkpoints: never used again, deleted by `gc` alone
    <root>/locks/<key>.lock                held by the one process that makes a checkpoint
    <root>/temporary/<key>-*/              being written; leftovers of killed processes
    <root>/attempts/                       what is being made (`attempts.py`)

`spec.json` holds the spec and the hashes of the other three files. Nothing is ever unpickled. Only what was
read whole and is wrong is set aside; what cannot be read just now, or is of another version, stays.
"""

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

import safetensors
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from pydantic import AliasChoices, Field, TypeAdapter, ValidationError
from torch import Tensor

from pruning_core.config.spec import RECIPE_VERSION, CheckpointSpec, PrunedSpec, StrictModel, key_of
from pruning_core.errors import DamagedCheckpointError, StoreError
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.store.attempts import Attempt, Attempts
from pruning_core.store.files import MAX_WEIGHTS_BYTES, hash_regular, open_regular, parse_object, read_regular
from pruning_core.store.files import first_line as _first_line
from pruning_core.store.files import sync_folder as _sync_folder
from pruning_core.store.files import to_json as _json
from pruning_core.store.files import write_errors as _write_errors
from pruning_core.store.files import write_file as _write_file
from pruning_core.store.garbage import Collected, collect
from pruning_core.store.marker import (
    FORMAT,
    KEY,
    MARKER,
    check_format,
    check_key,
    check_version,
    is_store,
    write_marker,
)
from pruning_core.system.hardware import native_conditions
from pruning_core.training.loop import EpochState

ROOT_VARIABLE = "PRUNING_BENCH_STORE"
_HASHED = ("plan.json", "metrics.json", "weights.safetensors")
_SPEC_ADAPTER: TypeAdapter[CheckpointSpec] = TypeAdapter(CheckpointSpec)


class Metrics(StrictModel):
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
    train_overhead_s: float = Field(
        validation_alias=AliasChoices("train_overhead_s", "train_outside_s"),
        description="Of train_s, outside of the training steps.",
    )
    train_losses: tuple[float, ...]
    train_precision: str
    train_device: str
    train_threads: int
    train_cuda_graph: bool = Field(
        False,
        validation_alias=AliasChoices("train_cuda_graph", "train_graphed"),
        description="Steps were launched as one CUDA graph.",
    )
    train_memory_format: str = Field(
        "channels_last", description="How images and weights lay in memory; earlier versions knew one way."
    )
    torch: str
    answers: tuple[float | None, ...] | None = Field(
        None, description="Logits of two fixed images (see answers.py); earlier versions kept none."
    )
    created: str = Field(description="UTC, ISO 8601.")


@dataclass(frozen=True)
class NewCheckpoint:
    """What making a checkpoint gives, before it is stored."""

    plan: ChannelPlan
    weights: Mapping[str, Tensor]
    metrics: Metrics


@dataclass(frozen=True)
class Checkpoint:
    """A stored checkpoint, verified."""

    key: str
    spec: CheckpointSpec
    plan: ChannelPlan
    metrics: Metrics
    path: Path

    def weights(self) -> dict[str, Tensor]:
        """Read the weights: name → tensor, on the CPU."""
        return safetensors.torch.load_file(self.path / "weights.safetensors")


class ResumeState:
    """Where the training of one key keeps its state between epochs."""

    def __init__(
        self, path: Path, attempt: Attempt | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Keep states of the key that the file is named by.

        Args:
            path: `<key>.safetensors`.
            attempt: The note on disk of what is being made.
            say: Takes one line about a state that cannot be used.
        """
        self._path, self._attempt, self._say = path, attempt, say

    def note_step(self, what: str) -> None:
        """Note on disk which step of the making begins, for the run after this one."""
        if self._attempt is not None:
            self._attempt.step(what)

    def note_silence(self, what: str) -> None:
        """Note on disk that a step has not ended for long."""
        if self._attempt is not None:
            self._attempt.note_silence(what)

    def load(self) -> EpochState | None:
        """Return the last state that was saved, or None if there is none that can be used.

        Raises:
            StoreError: If it cannot be read just now.
        """
        try:
            with open_regular(self._path, MAX_WEIGHTS_BYTES) as file:
                content = file.read()
        except DamagedCheckpointError as error:
            if os.path.lexists(self._path):
                self._drop(str(error))
            return None
        try:
            tensors = safetensors.torch.load(content)
            length = int.from_bytes(content[:8], "little")
            about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
            # Earlier versions wrote it under another name.
            overhead_s = about["overhead_s" if "overhead_s" in about else "outside_s"]
            state = EpochState(about["epoch"], tensors, about["seconds"], overhead_s, tuple(about["losses"]))
            if about["key"] != self._path.stem or about["sha256"] != _hash_state(state, about["key"]):
                raise ValueError("it was altered, or is of another training")
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            self._drop(_first_line(error))
            return None
        return state

    def _drop(self, reason: str) -> None:
        self._say(
            f"the state of an interrupted training in {self._path.name} cannot be used ({reason}): "
            "dropped, and the training begins anew"
        )
        with suppress(OSError):  # a folder in its place, say
            self._path.unlink()

    def save(self, state: EpochState) -> None:
        """Replace the state, whole or not at all.

        Raises:
            StoreError: If it cannot be written; the earlier state stays.
        """
        key = self._path.stem
        about = {
            "key": key,
            "sha256": _hash_state(state, key),
            "epoch": state.epoch,
            "seconds": state.seconds,
            "overhead_s": state.overhead_s,
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
            root: The store's folder. One that cannot be written is opened for reading if it is a store.
            say: Takes one line about what a user should know: a damaged checkpoint, a wait.

        Raises:
            StoreError: If the folder cannot be made or written, or is a store of another format.
        """
        self.root = root
        self._say = say
        self.attempts = Attempts(root, say)
        self._read_only: StoreError | None = None
        try:
            with _write_errors(root):
                (root / "locks").mkdir(parents=True, exist_ok=True)
                (root / "temporary").mkdir(exist_ok=True)
                with tempfile.TemporaryFile(dir=root / "temporary"):
                    pass  # only to see now, not after an hour of training, that the store can be written
                if not os.path.lexists(root / MARKER):
                    write_marker(root)
        except StoreError as error:
            if not is_store(root):
                raise
            self._read_only = error
        check_format(root)

    @classmethod
    def open_existing(cls, root: Path, say: Callable[[str], None] = lambda _: None) -> "Store":
        """Open a store that is there, to read or tidy it; nothing is written.

        Raises:
            StoreError: If the folder is no store of ours, or one of another format.
        """
        if not is_store(root):
            raise StoreError(
                f"{root} is no store of pruning-bench: it has no {MARKER} and no checkpoint. Name a store "
                "with --store, or make one with `pruning-bench prepare`"
            )
        check_format(root)
        store = cls.__new__(cls)
        store.root, store._say = root, say
        store.attempts = Attempts(root, say)
        store._read_only = StoreError(f"the store {root} was opened for reading")
        return store

    def get_or_make(self, spec: CheckpointSpec, make: Callable[[ResumeState], NewCheckpoint]) -> Checkpoint:
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
        if self._read_only is not None:
            raise self._read_only
        with self._lock(key):
            found = self.find(spec)  # another process may have made it while we waited
            if found is None:
                with self.attempts.begin(key, describe(key, spec), native_conditions()) as attempt:
                    path = self.root / "unfinished" / f"{key}.safetensors"
                    unfinished = ResumeState(path, attempt, self._say)
                    self._write(key, spec, make(unfinished))
                    unfinished.clear()
                found = self.load(key)
        return found

    def has(self, key: str) -> bool:
        """Tell whether a checkpoint of this key is stored, sound or not."""
        return os.path.lexists(self.root / key)

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
            if self._read_only is not None:
                raise StoreError(f"{error}; it cannot be set aside: {self._read_only}") from None
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
        if not os.path.lexists(folder):
            raise StoreError(f"no checkpoint {key} in {self.root}")
        try:
            if not folder.is_dir():
                raise DamagedCheckpointError("it is no folder")
            about = parse_object(read_regular(folder / "spec.json"), "spec.json")
            check_version(key, about)
            if about["key"] != key:
                raise DamagedCheckpointError("it names another key; it was copied or altered")
            spec = _SPEC_ADAPTER.validate_json(json.dumps(about["spec"]))
            for name in _HASHED:
                if about["sha256"][name] != hash_regular(folder / name):
                    raise DamagedCheckpointError(f"{name} was altered or is truncated")
            check_key(key, spec)
            plan = ChannelPlan.model_validate_json(read_regular(folder / "plan.json"))
            metrics = Metrics.model_validate_json(read_regular(folder / "metrics.json"))
        except DamagedCheckpointError as error:
            raise DamagedCheckpointError(f"checkpoint {key}: {error}") from None
        except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
            raise DamagedCheckpointError(
                f"checkpoint {key}: a file cannot be read ({_first_line(error)})"
            ) from None
        return Checkpoint(key, spec, plan, metrics, folder)

    def stored_keys(self) -> Iterator[str]:
        """Walk over the keys of all finished checkpoints, sound or not."""
        with suppress(FileNotFoundError):
            for folder in sorted(self.root.iterdir()):
                if KEY.fullmatch(folder.name):
                    yield folder.name

    def collect_garbage(self) -> Collected:
        """Delete what no run will use: leftovers of killed processes, damaged and superseded states.

        The state of a training that can still be resumed is kept, and what other processes are working on.
        """
        return collect(self.root)

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

    def _write(self, key: str, spec: CheckpointSpec, made: NewCheckpoint) -> None:
        contents = {
            "plan.json": _json(made.plan.model_dump(mode="json")),
            "metrics.json": _json(made.metrics.model_dump(mode="json")),
            "weights.safetensors": safetensors.torch.save(dict(made.weights)),
        }
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        about: dict[str, object] = {"key": key, "sha256": hashes, "spec": spec.model_dump(mode="json")}
        about |= {"format": FORMAT, "recipe_version": RECIPE_VERSION}
        contents["spec.json"] = _json(about)
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


def _hash_state(state: EpochState, key: str) -> str:
    """Return a hash over all that a training goes on from."""
    digest = hashlib.sha256()
    facts = [key, state.epoch, state.seconds, state.overhead_s, list(state.losses)]
    digest.update(json.dumps(facts).encode())
    for name in sorted(state.tensors):
        tensor = state.tensors[name].detach().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
