"""Checkpoints on disk, by key: written whole or not at all, verified on loading, made once.

    <root>/pruning-bench-store.json        the marker: without it nothing is listed, verified or deleted
    <root>/<key>/{spec.json, plan.json, metrics.json, weights.safetensors}    finished checkpoints
    <root>/unfinished/<key>.safetensors    the state after an epoch of an interrupted training (`resume.py`)
    <root>/set-aside/<key>-<time>/         quarantined: damaged, never used again, deleted by `gc` alone
    <root>/locks/<key>.lock                held by the one process that makes a checkpoint
    <root>/temporary/<key>-*/              being written; leftovers of killed processes
    <root>/attempts/                       what is being made (`attempts.py`)
    <root>/targets/                        ratios that were found for targets (`found_ratios.py`)

`spec.json` holds the spec and the hashes of the other three files. Nothing is ever unpickled. Only what was
read whole and is wrong is quarantined; what cannot be read just now, or is of another version, stays.
Formats, locks and attempts in full: `store/README.md`.
"""

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import safetensors.torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from pruning_core.config.spec import RECIPE_VERSION, CheckpointSpec, key_of
from pruning_core.errors import DamagedCheckpointError, StoreError
from pruning_core.files.atomic import sync_to_disk, write_synced
from pruning_core.files.home import expand_home
from pruning_core.store.attempts import Attempts
from pruning_core.store.checkpoint import Checkpoint, NewCheckpoint, describe
from pruning_core.store.files import to_json, write_errors
from pruning_core.store.garbage import Collected, collect
from pruning_core.store.marker import (
    FORMAT,
    KEY,
    MARKER,
    QUARANTINE,
    check_format,
    is_store,
    write_marker,
)
from pruning_core.store.reading import read_checkpoint
from pruning_core.store.resume import ResumeState
from pruning_core.system.hardware import native_conditions

ROOT_VARIABLE = "PRUNING_BENCH_STORE"


class Store:
    """A folder of checkpoints. Safe for many processes at once, on one machine."""

    def __init__(self, root: Path, notify: Callable[[str], None] = lambda _: None) -> None:
        """Open a store; its folder is made where it is missing.

        Args:
            root: The store's folder. One that cannot be written is opened for reading if it is a store.
            notify: Takes one line about what a user should know: a damaged checkpoint, a wait.

        Raises:
            StoreError: If the folder cannot be made or written, or is a store of another format.
        """
        self.root = root
        self._notify = notify
        self.attempts = Attempts(root, notify)
        self._read_only: StoreError | None = None
        try:
            with write_errors(root):
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
    def open_existing(cls, root: Path, notify: Callable[[str], None] = lambda _: None) -> "Store":
        """Open an existing store, to read or tidy it; nothing is written.

        Raises:
            StoreError: If the folder is not a store, or a store of another format.
        """
        if not is_store(root):
            raise StoreError(
                f"{root} is not a store of pruning-bench: it has no {MARKER} and no checkpoint. Name a store "
                "with --store, or make one with `pruning-bench prepare`"
            )
        check_format(root)
        store = cls.__new__(cls)
        store.root, store._notify = root, notify
        store.attempts = Attempts(root, notify)
        store._read_only = StoreError(f"the store {root} was opened for reading")
        return store

    def get_or_make(self, spec: CheckpointSpec, make: Callable[[ResumeState], NewCheckpoint]) -> Checkpoint:
        """Load the checkpoint of a spec, or make and store it; of several processes, one makes it.

        Args:
            spec: What decides its content.
            make: Makes it. It is given where its state is kept between epochs.

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
                    resume = ResumeState(path, attempt, self._notify)
                    self._write(key, spec, make(resume))
                    resume.clear()
                found = self.load(key)
        return found

    def has(self, key: str) -> bool:
        """Return whether a checkpoint of this key is stored, sound or damaged."""
        return os.path.lexists(self.root / key)

    def find(self, spec: CheckpointSpec) -> Checkpoint | None:
        """Return the checkpoint of a spec if it is stored and sound; a damaged one is quarantined."""
        key = key_of(spec)
        if not self.has(key):
            return None
        try:
            checkpoint = self.load(key)
            if checkpoint.spec != spec:
                raise DamagedCheckpointError(f"checkpoint {key}: its spec is not the one asked for")
        except DamagedCheckpointError as error:
            if self._read_only is not None:
                raise StoreError(f"{error}; it cannot be quarantined: {self._read_only}") from None
            folder = self._quarantine(key)
            self._notify(f"{error}; quarantined in {folder}; making it again")
            return None
        return checkpoint

    def load(self, key: str) -> Checkpoint:
        """Load and verify one checkpoint; its weights stay on disk until they are asked for.

        Raises:
            DamagedCheckpointError: If a file is missing, altered or of another checkpoint.
            StoreError: If no checkpoint has that key.
        """
        folder = self.root / key
        if not os.path.lexists(folder):
            raise StoreError(f"no checkpoint {key} in {self.root}")
        return read_checkpoint(folder, key)

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
        with write_errors(self.root):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._notify(f"another process is making checkpoint {key}; waiting for it")
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _write(self, key: str, spec: CheckpointSpec, new: NewCheckpoint) -> None:
        contents = {
            "plan.json": to_json(new.plan.model_dump(mode="json")),
            "metrics.json": to_json(new.metrics.model_dump(mode="json")),
            "weights.safetensors": safetensors.torch.save(dict(new.weights)),
        }
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        header: dict[str, object] = {"key": key, "sha256": hashes, "spec": spec.model_dump(mode="json")}
        header |= {"format": FORMAT, "recipe_version": RECIPE_VERSION}
        contents["spec.json"] = to_json(header)
        with write_errors(self.root):
            temporary = self.root / "temporary" / f"{key}-{uuid.uuid4().hex}"
            temporary.mkdir()  # not by mkdtemp, whose folders nobody else may read
            try:
                for name, content in contents.items():
                    write_synced(temporary / name, content)
                sync_to_disk(temporary)
                os.rename(temporary, self.root / key)
                sync_to_disk(self.root)
            except OSError:
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def _quarantine(self, key: str) -> Path:
        folder = self.root / QUARANTINE / f"{key}-{time.time_ns()}"
        with write_errors(self.root):
            folder.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # another process was faster
                os.rename(self.root / key, folder)
        return folder


def default_root() -> Path:
    """Return the store's folder where none was named: PRUNING_BENCH_STORE, else the user's cache folder."""
    named = os.environ.get(ROOT_VARIABLE)
    return expand_home(Path(named), ROOT_VARIABLE) if named else user_cache_path("pruning-bench")
