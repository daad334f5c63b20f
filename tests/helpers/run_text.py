"""A benchmark file of any content."""

from pathlib import Path
from typing import Any

from pruning_core.records.run import read_run


def read_text(text: str | bytes, folder: Path) -> Any:
    """Read a file of that content."""
    path = folder / "run.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_run(path)
