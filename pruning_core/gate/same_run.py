"""Whether two files hold one and the same run: then there is nothing to compare.

Copies lie under other names. So what counts is what two runs never share: rounds that were timed, to the last
digit; or, where nothing was timed, the microsecond of the run with everything that it says.
"""

from collections.abc import Sequence
from itertools import combinations

from pruning_core.errors import RecordError
from pruning_core.gate.result import CellKey
from pruning_core.records.run import Run

MIN_ROUNDS = 5
"""As many as are always timed; fewer, and rounds that are all equal, could be equal by chance."""


def refuse_same_runs(runs: Sequence[Run]) -> None:
    """Check that no run appears twice among those that are to be compared or merged.

    Args:
        runs: As they were read: baseline, new, and further ones of either.

    Raises:
        RecordError: If two of them are the same run, be it under another name.
    """
    for first, second in combinations(runs, 2):
        if why := _sameness(first, second):
            files = f"{first.path} and {second.path}" if first.path != second.path else f"{first.path}, twice"
            raise RecordError(
                f"{files}: both are the same run ({why}), nothing can be compared. Measure again with "
                "`pytest bench/ --benchmark-json`, and give that file"
            )


def _sameness(first: Run, second: Run) -> str | None:
    """Return what shows that two runs are the same, in words; None where nothing does."""
    before, now = _rounds_of(first), _rounds_of(second)
    for identity, rounds in before.items():
        if now.get(identity) == rounds:
            return f"the rounds of {'/'.join(identity)} are the same, to the last digit"
    if first.datetime and first.datetime == second.datetime and first.records == second.records:
        return f"both of {first.datetime}, with the same records"
    return "it is the same file" if first.path == second.path else None


def _rounds_of(run: Run) -> dict[CellKey, list[float]]:
    return {
        (record["suite"], record["cell"]): record["log_ratios"]
        for record in run.records
        if len(set(record.get("log_ratios", ()))) >= MIN_ROUNDS
    }
