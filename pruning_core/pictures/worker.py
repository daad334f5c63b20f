"""A process that decodes pictures, asked by `workers.py` over pipes; it ends when its input does.

A request is the LENGTH of the rest, a sha256 and a path. An answer is ANSWER (status, length of the rest),
then the pixels (C, H, W), or why there are none.
"""

import os
import struct
import sys
import warnings
from typing import BinaryIO

from pruning_core.pictures.decode import BrokenPictureError, ChangedPictureError, Fit, read_picture

DONE, BROKEN, CHANGED = range(3)
"""What an answer's status says."""

LENGTH = struct.Struct("<I")
ANSWER = struct.Struct("<BI")
HASH_BYTES = 32


def main(mode: str, height: str, width: str) -> None:
    """Answer requests of standard input on standard output until there is no more input."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    warnings.simplefilter("ignore")
    fit = Fit(mode, int(height), int(width))  # type: ignore[arg-type]  # one of the three, from workers.py
    try:
        while head := sys.stdin.buffer.read(LENGTH.size):
            request = sys.stdin.buffer.read(LENGTH.unpack(head)[0])
            _answer(answers, request[HASH_BYTES:], request[:HASH_BYTES], fit)
            answers.flush()
    except BrokenPipeError:  # nobody wants the answer any more
        os._exit(0)


def _answer(answers: BinaryIO, path: bytes, sha256: bytes, fit: Fit) -> None:
    try:
        pixels = read_picture(path, sha256, fit).pixels
        status, content = DONE, pixels.transpose(2, 0, 1).tobytes()
    except ChangedPictureError:
        status, content = CHANGED, b"its bytes are others"
    except OSError as error:
        status, content = CHANGED, (error.strerror or str(error)).encode()
    except BrokenPictureError as error:
        status, content = BROKEN, str(error).encode("utf-8", "replace")
    answers.write(ANSWER.pack(status, len(content)))
    answers.write(content)
