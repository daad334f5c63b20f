"""`pruning-bench gate`: read the files, compare, write what was asked for, return the exit code."""

from collections.abc import Sequence
from pathlib import Path

from pruning_core.errors import OptionError
from pruning_core.files.atomic import check_writable
from pruning_core.gate.compare import compare
from pruning_core.gate.files import write_files
from pruning_core.gate.policy import Policy, read_policy
from pruning_core.gate.render import print_terminal
from pruning_core.gate.repetitions import merge_repetitions
from pruning_core.gate.same_run import refuse_same_runs
from pruning_core.records.garbage import no_garbage_collection
from pruning_core.records.run import read_run

CANNOT_WRITE = OptionError.exit_code


def run_gate(
    baseline: Path,
    new: Path,
    policy: Path | None = None,
    *,
    repetitions: Sequence[Path] = (),
    baseline_repetitions: Sequence[Path] = (),
    junit: Path | None = None,
    markdown: Path | None = None,
    json_file: Path | None = None,
) -> int:
    """Compare two files, print the verdicts, write the files asked for, and return the exit code.

    Args:
        baseline: Benchmark JSON file of the run before.
        new: Benchmark JSON file of the run now.
        policy: TOML file; without one, `Policy`'s defaults hold.
        repetitions: Further runs of what `new` is a run of: all are judged together.
        baseline_repetitions: Further runs of what `baseline` is a run of, likewise.
        junit: Where to write JUnit XML.
        markdown: Where to write a summary for a CI page; GitHub's own gets it too where there is one.
        json_file: Where to write everything.

    Returns:
        The verdict's code; `CANNOT_WRITE` if it passes, but a file that was asked for cannot be written.

    Raises:
        RecordError: If a benchmark file cannot be used, or two of them hold the same run.
        OptionError: If the policy has an invalid value, or a file is nowhere that could be written.
    """
    outputs = [path for path in (junit, markdown, json_file) if path is not None]
    read = (baseline, *baseline_repetitions, new, *repetitions, policy)
    for number, path in enumerate(outputs):
        check_writable(path, *read, *outputs[:number])
    what_is_tolerated = read_policy(policy) if policy else Policy()
    # Records hold no cycles: to go over all of them again and again takes a good part of the time.
    with no_garbage_collection():
        sides = [
            [read_run(path) for path in paths]
            for paths in ((baseline, *baseline_repetitions), (new, *repetitions))
        ]
        refuse_same_runs([run for side in sides for run in side])
        before, now = (merge_repetitions(side, what_is_tolerated) for side in sides)
        result = compare(before, now, what_is_tolerated)
    # Files first: a closed terminal must not cost the artefacts of a CI job.
    complete = write_files(result, junit, markdown, json_file)
    print_terminal(result)
    return result.exit_code or (0 if complete else CANNOT_WRITE)
