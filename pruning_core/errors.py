"""Every error that this program raises on purpose.

    PruningBenchError            a user can mend it; the command line prints one line and exits with 2
    ├── OptionError              an option, a grid file or a spec has an invalid value
    │   └── UnknownNameError     a name that no table holds: did you mean …
    ├── DatasetError             a dataset is not there, or is not what its layout promises
    ├── TaskError                a task of the user's own is not what it must be
    ├── ModelError               a model does not fit the dataset, or cannot be built
    ├── PruningError             a method cannot prune this model
    ├── TrainingError            a training cannot go on
    ├── CrashError               processes died natively at the same step, twice
    ├── StoreError               the store cannot be read or written
    │   ├── DamagedCheckpointError   a checkpoint is truncated, altered or foreign
    │   └── OtherVersionError        a store or checkpoint of another version of this program
    ├── BackendError             a backend or device cannot run this model
    │   └── UnavailableError     … because it is not installed, or not on this machine
    ├── ExportError              an exported file does not answer as its checkpoint; it is removed
    ├── RecordError              a benchmark JSON file cannot be used
    └── NotTimedError            nothing is timed in this run; a suite's test is skipped

Mistakes of ours stay ordinary exceptions, with a traceback.
"""

import difflib
from collections.abc import Iterable

from pruning_core.console.escaping import for_terminal

MAX_LINE_LENGTH = 300
"""Characters of a library's error that a line repeats."""

MAX_NAMES = 40
"""Names that an error lists in full; of more it shows those that are alike."""


def first_line(error: BaseException) -> str:
    """Return the first line of what a library raised, or its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_LINE_LENGTH] if lines else type(error).__name__


class PruningBenchError(Exception):
    """A problem that the user can mend; its text says what it got, what is allowed and what to do."""

    exit_code = 2

    def __str__(self) -> str:
        """Return the text, with what acts on a terminal, in a name that it repeats, made visible."""
        return for_terminal(super().__str__())


class OptionError(PruningBenchError):
    """An option, a grid file or a spec has an invalid value."""


class UnknownNameError(OptionError):
    """A name that no table holds."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], note: str = "", suggestion: str = ""
    ) -> None:
        """Name what it got, the closest known name, and all known names; of very many the closest ones.

        Args:
            kind: What was looked up, for example "pruning method".
            name: The name it got.
            known: All allowed names.
            note: What else is allowed, for example "or module:function".
            suggestion: What was meant, where that is known better than by likeness.
        """
        names = sorted(known)
        name = name if len(name) <= 200 else f"{name[:200]}…"
        close = difflib.get_close_matches(name, names, n=8, cutoff=0.5)
        meant = suggestion or next(iter(close), "")
        hint = f" Did you mean {meant!r}?" if meant else ""
        suffix = f", {note}" if note else ""
        shown = names if len(names) <= MAX_NAMES else [*(close or names[:8]), f"… {len(names)} in all"]
        super().__init__(f"no {kind} {name!r}.{hint}\n  known: {', '.join(shown)}{suffix}")


class DatasetError(PruningBenchError):
    """A dataset is not there, or is not what its layout promises."""


class TaskError(PruningBenchError):
    """A task of the user's own is not what it must be."""


class ModelError(PruningBenchError):
    """A model does not fit the dataset, or cannot be built."""


class PruningError(PruningBenchError):
    """A method cannot prune this model."""


class TrainingError(PruningBenchError):
    """A training cannot go on."""


class CrashError(PruningBenchError):
    """Processes died natively at the same step, twice: it is not tried a third time."""


class StoreError(PruningBenchError):
    """The store cannot be read or written."""


class DamagedCheckpointError(StoreError):
    """A checkpoint is truncated, altered or foreign."""


class OtherVersionError(StoreError):
    """A store or a checkpoint that another version of this program made; it is not changed."""


class BackendError(PruningBenchError):
    """A backend or device cannot run this model."""


class UnavailableError(BackendError):
    """A backend is not installed, or a device is not on this machine."""


class ExportError(PruningBenchError):
    """An exported file does not answer as its checkpoint, or its runtime cannot read it; it is removed."""


class RecordError(PruningBenchError):
    """A benchmark JSON file cannot be used."""


class NotTimedError(PruningBenchError):
    """Nothing is timed in this run; its text says why."""
