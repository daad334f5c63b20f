"""Processes that decode pictures ahead of who wants them; what comes out does not depend on their number.

Each is started when there is work and ends when there is none for a while, when `close` is called, and when
this process ends, however it does: then its input ends.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import Fit
from pruning_core.pictures.worker import ANSWER, DONE, LENGTH

IDLE_S = 5.0
"""A process without work ends after as long."""

_ROOT = str(Path(__file__).parent.parent.parent)
"""Where this package is imported from: a worker must run the same."""

_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pruning_core.pictures.worker import main
del sys.path[0]
main(*sys.argv[2:])
"""

File = tuple[str, bytes]
"""Path and sha256 of a picture."""


@dataclass(frozen=True)
class _Task:
    files: Sequence[File]
    answer: "Future[NDArray[np.uint8]]"
    closings: int  # before it was submitted


class Decoders:
    """Processes that decode pictures to one size."""

    def __init__(self, fit: Fit, height: int, width: int, count: int) -> None:
        """Start nothing yet.

        Args:
            fit: What becomes of a picture's size.
            height: Of what comes out.
            width: Of what comes out.
            count: Processes at most.
        """
        self._fit, self._shape, self._count = fit, (3, height, width), count
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._changing = threading.Lock()
        self._running = self._unfinished = self._closings = 0
        self._processes: set[subprocess.Popen[bytes]] = set()

    def submit(self, files: Sequence[File]) -> "Future[NDArray[np.uint8]]":
        """Have some pictures decoded by one process: uint8 (n, 3, H, W), later.

        The future raises DatasetError if one of them cannot be decoded, or has changed.
        """
        with self._changing:
            task = _Task(files, Future(), self._closings)
            self._unfinished += 1
            self._tasks.put(task)
            if self._running < min(self._count, self._unfinished):
                self._running += 1
                threading.Thread(target=self._serve, name="decoder", daemon=True).start()
        return task.answer

    def close(self) -> None:
        """End all processes; work that is not done is dropped."""
        with self._changing:
            self._closings += 1
            with suppress(queue.Empty):
                while True:
                    if (task := self._tasks.get_nowait()) is not None:
                        self._unfinished -= 1
                        task.answer.cancel()
            for _ in range(self._running):
                self._tasks.put(None)
            for process in self._processes:
                process.kill()
                process.wait()

    def _serve(self) -> None:
        """Take tasks, in a thread, and have a process of its own do them."""
        process: subprocess.Popen[bytes] | None = None
        while (task := self._next()) is not None:
            if task.answer.set_running_or_notify_cancel():
                try:
                    if process is None or process.poll() is not None:  # ended by `close`
                        self._end(process)
                        process = self._start(task)
                    task.answer.set_result(self._decode(process, task.files))
                except BaseException as error:
                    task.answer.set_exception(error)
                    self._end(process)
                    process = None
            with self._changing:
                self._unfinished -= 1
        self._end(process)

    def _next(self) -> _Task | None:
        """Return the next task; None, and count one thread less, where it should end."""
        with suppress(queue.Empty):
            task = self._tasks.get(timeout=IDLE_S)
            if task is not None:
                return task
        with self._changing:
            with suppress(queue.Empty):
                while True:  # never end with a task in the queue
                    if (late := self._tasks.get_nowait()) is not None:
                        return late
            self._running -= 1
            return None

    def _start(self, task: _Task) -> "subprocess.Popen[bytes]":
        fit = (self._fit.mode, str(self._fit.height), str(self._fit.width))
        with self._changing:
            if task.closings != self._closings:
                raise DatasetError("closed meanwhile")  # nobody waits for it any more
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, _ROOT, *fit],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, whose end is theirs
            )
            self._processes.add(process)
        return process

    def _end(self, process: "subprocess.Popen[bytes] | None") -> None:
        if process is None:
            return
        with self._changing:
            self._processes.discard(process)
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.kill()
        process.wait()

    def _decode(self, process: "subprocess.Popen[bytes]", files: Sequence[File]) -> NDArray[np.uint8]:
        assert process.stdin is not None
        assert process.stdout is not None
        pixels = np.empty((len(files), *self._shape), dtype=np.uint8)
        for (path, sha256), image in zip(files, pixels, strict=True):
            request = sha256 + os.fsencode(path)
            try:
                process.stdin.write(LENGTH.pack(len(request)) + request)
                process.stdin.flush()
                status, size = ANSWER.unpack(_read(process.stdout, ANSWER.size))
                content = _read(process.stdout, size)
            except (OSError, EOFError):
                code = process.wait()
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise DatasetError(f"decoding {path} ended its process with {how}") from None
            if status != DONE:
                reason = content.decode("utf-8", "replace")
                raise DatasetError(
                    f"{path} was read before, and cannot be any more: {reason}; "
                    "run again when nobody writes there"
                )
            image[...] = np.frombuffer(content, dtype=np.uint8).reshape(self._shape)
        return pixels


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content
