"""Small tables beside the checkpoints of a store: what took measuring, and is not to be measured again.

<root>/tables/<32 hexadecimal digits>.json      named after the question that it answers
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pruning_core.errors import StoreError
from pruning_core.files.atomic import replace_synced
from pruning_core.store.files import read_regular, write_errors

Table = TypeVar("Table", bound=BaseModel)


def table_path(root: Path, question: Mapping[str, Any]) -> Path:
    """Return where the answer to a question is kept.

    Args:
        root: The store's folder.
        question: All that decides the answer, as JSON has it.
    """
    text = json.dumps(question, sort_keys=True, separators=(",", ":"))
    return root / "tables" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def read_table(path: Path, kind: type[Table]) -> Table | None:
    """Return a table; None where there is none, or none that can be read: then it is made again."""
    with suppress(StoreError, ValidationError, RecursionError):
        return kind.model_validate_json(read_regular(path))
    return None


def write_table(path: Path, table: BaseModel) -> None:
    """Keep a table, whole or not at all.

    Raises:
        StoreError: If it cannot be written.
    """
    with write_errors(path.parent.parent):
        path.parent.mkdir(exist_ok=True)
        content = table.model_dump_json(indent=1).encode()
        replace_synced(path, path.with_suffix(f".{os.getpid()}.writing"), content)
