"""An exported file, read by its public runtime in a process of its own that knows nothing of this program.

Images go in and logits come out through pipes, a batch at a time, as numpy writes arrays: so memory is that
of a batch, and what is compared is what a user of the file would get. The process says what it has imported;
this program must not be among it.
"""

import io
import json
import os
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
import json, os, sys
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
while True:
    try:
        images = np.lib.format.read_array(sys.stdin.buffer)
    except (ValueError, EOFError):
        break
    np.lib.format.write_array(answers, np.ascontiguousarray(predict(images), dtype=np.float32))
    answers.flush()
say({"imported": sorted({name.partition(".")[0] for name in sys.modules})})
"""


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
        array = images.contiguous().numpy()
        try:
            np.lib.format.write_array(self._stdin, array)
            self._stdin.flush()
            found = np.lib.format.read_array(self._stdout)
        except (OSError, ValueError, EOFError):
            raise self._failure(f"cannot run on {len(images)} images") from None
        return torch.from_numpy(found)

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
        self._process.kill()
        self._process.wait()
        return ExportError(f"{self._what} {what}: {_last_line(self._errors) or 'without a word'}")


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
