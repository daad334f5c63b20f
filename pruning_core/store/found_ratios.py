"""Ratios that were found for targets, kept: a second run searches no more, and trains nothing again.

    <root>/targets/<key>.json    what was found for one question: a network, a method, a setting, a machine

Times are noisy, so a second search may find a neighbouring ratio, which would be another checkpoint. The key
of a checkpoint holds the ratio alone: these files may be deleted, and nothing else needs them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pruning_core.config.searched_grid import FoundRatio
from pruning_core.config.target_kinds import Target
from pruning_core.errors import DamagedCheckpointError, StoreError
from pruning_core.files.atomic import replace_synced
from pruning_core.store.files import parse_object, read_regular, to_json, write_errors
from pruning_core.store.one_process import one_process

Question = Mapping[str, Any]
"""All that what is found depends on, as JSON holds it."""

_FOUND = TypeAdapter(list[FoundRatio])


class FoundRatios:
    """The folder of what was found, of one store."""

    def __init__(self, root: Path, notify: Callable[[str], None]) -> None:
        """Use `<root>/targets`; `notify` takes one line about a wait, or a file that cannot be used."""
        self._root, self._notify = root, notify

    def load(self, question: Question) -> dict[Target, FoundRatio]:
        """Return what was found for a question so far; a damaged file counts as nothing, and is said."""
        path = self._path(question)
        try:
            content = parse_object(read_regular(path), path.name) if path.exists() else {"found": []}
            found = _FOUND.validate_python(content["found"])
        except (KeyError, ValidationError, DamagedCheckpointError):
            self._notify(f"{path} does not hold what was found for a target; searching again")
            return {}
        return {item.target: item for item in found}

    def keep(self, question: Question, found: Sequence[FoundRatio]) -> None:
        """Keep what was found, beside what was found for other targets; say where that fails."""
        path = self._path(question)
        merged = {**self.load(question), **{item.target: item for item in found}}
        content = {"question": dict(question), "found": _FOUND.dump_python(list(merged.values()))}
        try:
            with write_errors(self._root):
                path.parent.mkdir(exist_ok=True)
                replace_synced(path, path.with_suffix(".writing"), to_json(content))
        except StoreError as error:
            self._notify(f"the ratios that were found are not kept: {error}")

    def searching(self, question: Question) -> AbstractContextManager[None]:
        """Let one process at a time search for a question: others wait, and then read what it found."""
        waits = "another process is looking for these ratios; waiting for it"
        return one_process(self._root, _key_of(question), self._notify, waits)

    def _path(self, question: Question) -> Path:
        return self._root / "targets" / f"{_key_of(question)}.json"


def _key_of(question: Question) -> str:
    text = json.dumps(question, sort_keys=True)
    return hashlib.sha256(f"pruning-bench/target/{text}".encode()).hexdigest()[:32]
