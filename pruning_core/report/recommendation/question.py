"""What a recommendation is for: one network, machine, device and batch size; of several one is named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pruning_core.console.shown import shown
from pruning_core.errors import OptionError, RecordError
from pruning_core.report.recommendation.candidates import Candidate


@dataclass(frozen=True)
class Question:
    """What of the files is meant; None: whatever there is, if there is one."""

    model: str | None = None
    dataset: str | None = None
    score: str | None = None  # name of what is scored
    machine: str | None = None  # its name, or how its fingerprint begins
    device: str | None = None
    threads: int | None = None
    batch_size: int | None = None


_VALUES: dict[str, Callable[[Candidate], object]] = {
    "model": lambda c: c.record.get("model", ""),
    "dataset": lambda c: c.index.dataset_of(c.record),
    "score": lambda c: c.measure.name,
    "machine": lambda c: c.machine,
    "device": lambda c: c.record.get("device"),
    "threads": lambda c: c.record.get("threads"),
    "batch_size": lambda c: c.record.get("batch_size"),
}
"""Field of `Question` → what a cell says of it, in the order in which they are asked. A cell that failed
before anything was measured may say nothing: it belongs to all."""

MAX_LISTED = 12
"""Values that an error lists."""

_SHORT = 8
"""Characters of a fingerprint that are shown, where they tell the machines apart."""


def narrow(candidates: Sequence[Candidate], question: Question) -> list[Candidate]:
    """Return the cells that are meant: all of one network, machine, device, number of threads and batch size.

    Raises:
        RecordError: If nothing was timed in the files.
        OptionError: If an option names what is not there, or several things are there and none is named; the
            message lists them.
    """
    if not candidates:
        raise RecordError(
            "nothing was timed in these files, so that nothing can be chosen: give the JSON file of a run of "
            "bench/test_latency.py too"
        )
    meant = list(candidates)
    for field, value_of in _VALUES.items():
        asked = getattr(question, field)
        if asked is None:
            continue
        found = [c for c in meant if _matches(field, asked, c, value_of(c))]
        if all(value_of(c) is None for c in found):
            raise OptionError(
                f"{_option(field)} {shown(asked)}: no such cell here; there are {_listed(field, meant)}"
            )
        meant = found
    several = [field for field, value_of in _VALUES.items() if len({value_of(c) for c in meant} - {None}) > 1]
    if several:
        why = ", since milliseconds of unlike machines are not compared" if "machine" in several else ""
        raise OptionError(
            f"a recommendation is for one {_joined([_words(f) for f in several])}{why}; choose with "
            + "; ".join(f"{_option(field)}: {_listed(field, meant)}" for field in several)
        )
    return meant


def _matches(field: str, asked: object, candidate: Candidate, value: object) -> bool:
    if field != "machine":
        return value is None or value == asked
    begins = len(str(asked)) >= 4 and candidate.machine.startswith(str(asked))
    return begins or candidate.index.run.machine_name == asked


def _listed(field: str, candidates: Sequence[Candidate]) -> str:
    if field == "machine":
        files: dict[str, dict[str, None]] = {}
        whole = len({c.machine[:_SHORT] for c in candidates}) < len({c.machine for c in candidates})
        for c in candidates:
            name = c.machine if whole or "fingerprint" not in c.index.run.machine else c.machine[:_SHORT]
            files.setdefault(f"{name} ({c.index.run.machine_name}", {})[c.index.file] = None
        texts = [f"{name}: {', '.join(of_machine)})" for name, of_machine in files.items()]
    else:
        values = {_VALUES[field](c) for c in candidates} - {None}
        texts = [str(value) for value in sorted(values, key=lambda v: (isinstance(v, str), v))]
    more = [f"and {len(texts) - MAX_LISTED} more"] if len(texts) > MAX_LISTED else []
    return ", ".join(texts[:MAX_LISTED] + more)


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _words(field: str) -> str:
    return {"threads": "number of threads", "score": "kind of score"}.get(field, field.replace("_", " "))


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
