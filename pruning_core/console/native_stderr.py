"""What native code writes to standard error, kept from the reader for a moment."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_native_stderr() -> Iterator[None]:
    """Lead standard error nowhere meanwhile: for libraries that write there and cannot be asked not to."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
