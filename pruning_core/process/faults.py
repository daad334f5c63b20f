"""A fault of this program: exit code 70, and one line that says where its traceback was written.

The traceback names files, lines and the error's text; neither variables nor the environment, which may hold
secrets.
"""

import os
import tempfile
import traceback
from pathlib import Path

from pruning_core.console.escaping import printable

EXIT_CODE = 70
"""What sysexits.h calls EX_SOFTWARE: told apart from every verdict and every mistake."""

SHOW = "PRUNING_BENCH_TRACEBACK"
"""Environment variable; with 1 a traceback is shown on the terminal too."""


def describe_fault(error: BaseException) -> str:
    """Write the traceback of a fault to a file of the user's, and say it in one line."""
    text = "".join(traceback.format_exception(error))
    lines = str(error).strip().splitlines()
    what = type(error).__name__ + (f": {printable(lines[0])[:200]}" if lines else "")
    where = _keep(text)
    line = f"this is a fault of pruning-bench, not yours ({what}). " + (
        f"Its traceback, for a report: {printable(str(where))}"
        if where
        else f"Its traceback could not be written; {SHOW}=1 shows it"
    )
    if os.environ.get(SHOW) == "1":
        shown = "\n".join(map(printable, text.rstrip().split("\n")))
        return f"{shown}\nerror: {line}"
    return f"error: {line}"


def _keep(text: str) -> Path | None:
    """Write to a new file that its owner alone may read."""
    try:
        handle, name = tempfile.mkstemp(prefix="pruning-bench-", suffix=".traceback.txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:  # no folder for temporary files can be written, or the disk is full
        return None
    return Path(name)
