"""An exported file, read by its public runtime in a process of its own that knows nothing of this program.

Images go in and logits come out through pipes, a batch at a time, as numpy writes arrays: so memory is that
of a batch, and what is compared is what a user of the file would get. The process says what it has imported;
this program must not be among it.
"""

import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from pruning_core.console.shown import shortened
from pruning_core.errors import ExportError
from pruning_core.export.base import ExportFormat

_HEAD = """
import io, json, os, struct, sys
import numpy as np
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what libraries print is no answer
path, threads = sys.argv[1], int(sys.argv[2])
"""

_LOOP = """
def say(content):
    answers.write(json.dumps(content).encode() + b"\\n")
    answers.flush()
say({"runtime": runtime})
while size := sys.stdin.buffer.read(8):
    images = np.load(io.BytesIO(sys.stdin.buffer.read(*struct.unpack("<Q", size))))
    file = io.BytesIO()
    np.save(file, np.asarray(predict(images), dtype=np.float32))
    answers.write(struct.pack("<Q", file.tell()) + file.getvalue())
    answers.flush()
say({"imported": sorted({name.partition(".")[0] for name in sys.modules})})
"""


_LAST_WORDS_S = 10.0
"""Time that a process which has failed has to say why."""


class PublicRuntime:
    """A file that was opened in another process."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], what: str) -> None:
        """Wait until the file is open.

        Raises:
            ExportError: If it cannot be opened.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._errors, self._what = process, errors, what
        self._stdin, self._stdout = process.stdin, process.stdout
        self.name = str(self._line()["runtime"])
        """Name and version of the runtime."""

    def predict(self, images: Tensor) -> Tensor:
        """Return logits, float32 (N, …), of float32 images (N, C, H, W).

        Raises:
            ExportError: If the runtime cannot run the file on them.
        """
        sent = io.BytesIO()
        np.save(sent, images.contiguous().numpy())
        try:
            self._stdin.write(struct.pack("<Q", sent.tell()) + sent.getvalue())
            self._stdin.flush()
            (size,) = struct.unpack("<Q", self._stdout.read(8))
            return torch.from_numpy(np.load(io.BytesIO(self._stdout.read(size))))
        except (OSError, ValueError, EOFError, struct.error):
            raise self._failure(f"cannot run on {len(images)} images") from None

    def close(self) -> tuple[str, ...]:
        """End the process; return the packages that it has imported.

        Raises:
            ExportError: If it did not end well.
        """
        self._stdin.close()
        return tuple(self._line()["imported"])

    def _line(self) -> dict[str, list[str]]:
        try:
            content: dict[str, list[str]] = json.loads(self._stdout.readline())
        except ValueError:
            raise self._failure("cannot be read") from None
        return content

    def _failure(self, what: str) -> ExportError:
        with suppress(subprocess.TimeoutExpired, OSError):
            self._stdin.close()
            self._process.wait(_LAST_WORDS_S)
        said = _last_line(self._errors)
        code = self._process.poll()
        if not said and code is not None and code < 0:
            said = f"its process was killed by signal {-code}"
        return ExportError(f"{self._what} {what}: {said or 'without a word'}")


@contextmanager
def open_in_public_runtime(form: ExportFormat, path: Path, threads: int) -> Iterator[PublicRuntime]:
    """Open an exported file in a process of its own.

    Args:
        form: The file's format.
        path: The file, or folder.
        threads: CPU threads of the runtime.

    Raises:
        ExportError: If it cannot be opened.
    """
    program = f"{_HEAD}{form.reader}{_LOOP}"
    command = [sys.executable, "-P", "-c", program, str(path.absolute()), str(threads)]
    with (
        tempfile.TemporaryDirectory(prefix="pruning-bench-") as elsewhere,
        tempfile.TemporaryFile() as errors,
    ):
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=elsewhere,  # so that a file beside the program is not found
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which kills this one
        )
        try:
            yield PublicRuntime(process, errors, f"the exported {form.name} file")
        finally:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):  # it holds what the process did not read any more
                        stream.close()
            process.wait()


def _environment() -> dict[str, str]:
    """Return ours, without the way to a user's project: what an exported file needs must be in it."""
    folders = [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    installed = [str(path) for path in folders if {"site-packages", "dist-packages"} & set(path.parts)]
    # Nothing is to be written beside a user's files.
    changed = {"PYTHONPATH": os.pathsep.join(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **changed}


def _last_line(errors: IO[bytes]) -> str:
    """Return the last line that the process wrote to standard error."""
    size = errors.seek(0, io.SEEK_END)
    errors.seek(max(0, size - 8000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return shortened(lines[-1], 300) if lines else ""
