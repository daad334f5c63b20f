"""Take a run as the new baseline of the gate; what it replaces is kept beside it.

    baseline.json  →  baseline.history/2026-11-23T041022-d2583c685dc7.json

Not for: comparing with it (`gate.py`).
"""

import re
from pathlib import Path

from pruning_core.errors import OptionError, RecordError
from pruning_core.run_files import Run, read_run
from pruning_core.text_files import write_bytes_file


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
    run = read_run(new)
    problem = _why_not(run)
    before = read_run(baseline) if baseline.exists() else None
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
    kept = _keep(before) if before is not None else None
    write_bytes_file(baseline, new.read_bytes())
    return f"{baseline}: {len(run.records)} cells of {new}" + (f"; the one before is {kept}" if kept else "")


def _why_not(run: Run) -> str:
    """Return why a run cannot be a baseline, after the word `it`; empty when it can."""
    failed = [f"{r['suite']}/{r['cell']}" for r in run.records if r["status"] == "failed"]
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"has failed cells: {failed[0]}{more}"
    for record in run.records:
        if record.get("contaminated"):
            reason = record.get("disturbance") or "its A/A control left the tolerance"
            return f"is contaminated ({record['cell']}: {reason}). Measure again on a quieter machine"
    return ""


def _keep(before: Run) -> Path:
    """Copy the baseline into its history, under a name that no other has."""
    folder = before.path.with_suffix(".history")
    stamp = re.sub(r"[^0-9T-]", "", before.datetime[:19]) or "undated"
    commit = re.sub(r"[^0-9a-zA-Z]", "", before.commit)[:12] or "no-commit"
    content = before.path.read_bytes()
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
