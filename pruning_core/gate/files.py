"""The files of the gate: each is written whatever becomes of the others."""

import os
import sys
from pathlib import Path

from pruning_core.console.escaping import for_terminal
from pruning_core.errors import OptionError
from pruning_core.files.atomic import write_text_file
from pruning_core.gate.render import to_json, to_junit, to_markdown
from pruning_core.gate.result import GateResult


def write_files(
    result: GateResult, junit: Path | None, markdown: Path | None, json_file: Path | None
) -> bool:
    """Write what was asked for, and GitHub's summary of a step where there is one; say what could not be.

    Args:
        result: The verdicts.
        junit: Where to write JUnit XML.
        markdown: Where to write a summary for a CI page.
        json_file: Where to write everything.

    Returns:
        Whether all files that were asked for are there.
    """
    complete = True
    for path, render in ((junit, to_junit), (markdown, to_markdown), (json_file, to_json)):
        if path is not None:
            try:
                write_text_file(path, render(result))
            except OptionError as error:
                complete = False
                print(f"error: {for_terminal(str(error))}", file=sys.stderr)
    _append_step_summary(result)
    return complete


def _append_step_summary(result: GateResult) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(to_markdown(result))
        except OSError as error:
            why = f"cannot write GITHUB_STEP_SUMMARY {path}: {error.strerror}; the exit code stands"
            print(for_terminal(why), file=sys.stderr)
