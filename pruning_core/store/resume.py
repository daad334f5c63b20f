"""Where the training of one key keeps its state between epochs, so that it can be resumed."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from pruning_core.errors import DamagedCheckpointError, first_line
from pruning_core.files.atomic import replace_synced
from pruning_core.store.attempts import Attempt
from pruning_core.store.files import MAX_WEIGHTS_BYTES, open_regular, write_errors
from pruning_core.training.loop import EpochState


class ResumeState:
    """Where the training of one key keeps its state between epochs."""

    def __init__(
        self, path: Path, attempt: Attempt | None = None, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        """Keep states of the key that the file is named by.

        Args:
            path: `<key>.safetensors`.
            attempt: The note on disk of what is being made.
            notify: Takes one line about a state that cannot be used.
        """
        self._path, self._attempt, self._notify = path, attempt, notify

    def note_step(self, what: str) -> None:
        """Note on disk which step begins, for the run after this one."""
        if self._attempt is not None:
            self._attempt.step(what)

    def note_silence(self, what: str) -> None:
        """Note on disk that a step has not ended for long."""
        if self._attempt is not None:
            self._attempt.note_silence(what)

    def load(self) -> EpochState | None:
        """Return the last state that was saved, or None where no usable one is stored.

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
            header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
            # Earlier versions wrote it under another name.
            overhead_s = header["overhead_s" if "overhead_s" in header else "outside_s"]
            state = EpochState(
                header["epoch"], tensors, header["seconds"], overhead_s, tuple(header["losses"])
            )
            if header["key"] != self._path.stem or header["sha256"] != _hash_state(state, header["key"]):
                raise ValueError("it was altered, or is of another training")
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            self._drop(first_line(error))
            return None
        return state

    def _drop(self, reason: str) -> None:
        self._notify(
            f"the state of an interrupted training in {self._path.name} cannot be used ({reason}): "
            "dropped, and the training begins again"
        )
        with suppress(OSError):  # a folder of that name, say
            self._path.unlink()

    def save(self, state: EpochState) -> None:
        """Replace the state, whole or not at all.

        Raises:
            StoreError: If it cannot be written; the earlier state stays.
        """
        key = self._path.stem
        header = {
            "key": key,
            "sha256": _hash_state(state, key),
            "epoch": state.epoch,
            "seconds": state.seconds,
            "overhead_s": state.overhead_s,
            "losses": state.losses,
        }
        content = safetensors.torch.save(state.tensors, metadata={"state": json.dumps(header)})
        with write_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_synced(self._path, self._path.with_suffix(".writing"), content)

    def clear(self) -> None:
        """Forget the state: the checkpoint is finished."""
        self._path.unlink(missing_ok=True)


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
