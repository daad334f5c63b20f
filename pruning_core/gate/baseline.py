"""Take a run as the new baseline of the gate; what it replaces is kept in a folder next to it.

    baseline.json  →  baseline.history/2026-11-23T041022-d2583c685dc7.json

One acceptance at a time: `.baseline.json.lock`, which stays, is held from reading the old one to replacing
it. Whoever is killed meanwhile leaves the old baseline or the new one, whole.
"""

import os
import re
from pathlib import Path

from pruning_core.errors import OptionError, RecordError
from pruning_core.files.atomic import write_bytes_file
from pruning_core.files.locking import one_at_a_time
from pruning_core.records.run import Run, run_of
from pruning_core.records.run_json import read_run_bytes


def accept_baseline(new: Path, baseline: Path, allow_missing: bool = False) -> str:
    """Check a run and make it the baseline.

    Args:
        new: Benchmark JSON file to accept.
        baseline: Where the baseline is kept; it need not be there yet.
        allow_missing: Accept a run that lacks cells of the baseline.

    Returns:
        What was done, in a line.

    Raises:
        RecordError: If a file cannot be used, or the run cannot be trusted: it is contaminated, has failed
            cells, or lacks cells of the baseline. The baseline then stays as it was.
        OptionError: If a file cannot be written.
    """
    content = read_run_bytes(new)
    run = run_of(content, new)
    if baseline.is_symlink():  # its history lies beside what it leads to
        baseline = Path(os.path.realpath(baseline))
    with one_at_a_time(baseline, f"accepting a baseline as {baseline}"):
        return _replace(baseline, run, content, allow_missing)


def _replace(baseline: Path, run: Run, content: bytes, allow_missing: bool) -> str:
    new, problem = run.path, _rejection(run)
    content_before = read_run_bytes(baseline) if baseline.exists() else b""
    before = run_of(content_before, baseline) if content_before else None
    if not problem and before is not None and not allow_missing:
        known = {(record["suite"], record["cell"]) for record in run.records}
        wanted = ((record["suite"], record["cell"]) for record in before.records)
        missing = ["/".join(cell) for cell in wanted if cell not in known]
        if missing:
            more = f", and {len(missing) - 3} more" if len(missing) > 3 else ""
            problem = (
                f"lacks cells of the baseline: {', '.join(missing[:3])}{more}. Measure them too, or accept "
                "that with --allow-missing"
            )
    if problem:
        raise RecordError(f"{new} is not accepted as baseline: it {problem}")
    kept = _keep(before, content_before) if before is not None else None
    write_bytes_file(baseline, content)
    return f"{baseline}: {len(run.records)} cells of {new}" + (f"; the one before is {kept}" if kept else "")


def _rejection(run: Run) -> str | None:
    """Return why a run cannot be a baseline, after the word `it`; None when it can."""
    failed = [f"{r['suite']}/{r['cell']}" for r in run.records if r["status"] == "failed"]
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"has failed cells: {failed[0]}{more}"
    for record in run.records:
        if record.get("contaminated"):
            reason = record.get("contention") or "its A/A control left the tolerance"
            return f"is contaminated ({record['cell']}: {reason}). Measure again on a quieter machine"
    return None


def _keep(before: Run, content: bytes) -> Path:
    """Copy the baseline into its history, under a name that no other has."""
    folder = before.path.with_suffix(".history")
    stamp = re.sub(r"[^0-9T-]", "", before.datetime[:19]) or "undated"
    commit = re.sub(r"[^0-9a-zA-Z]", "", before.commit)[:12] or "no-commit"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OptionError(f"cannot keep the old baseline in {folder}: {error.strerror or error}") from None
    number = 1
    while True:
        kept = folder / f"{stamp}-{commit}{'' if number == 1 else f'-{number}'}.json"
        if not kept.exists():
            write_bytes_file(kept, content)
            return kept
        if kept.read_bytes() == content:
            return kept  # by an acceptance that was interrupted
        number += 1
