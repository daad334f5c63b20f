"""`pruning-bench report`: read the files, make the report, write it where it is to go."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pruning_core.console.streams import find_width, print_content, print_pieces
from pruning_core.errors import OptionError
from pruning_core.files.atomic import check_writable, write_pieces
from pruning_core.records.garbage import no_garbage_collection
from pruning_core.records.run import Run, read_run
from pruning_core.report.build import build_report
from pruning_core.report.dataset_names import FOLDER, content_of, is_folder_name
from pruning_core.report.figure import FIGURE_FORMATS, draw_figure
from pruning_core.report.page import page_chunks
from pruning_core.report.page.explanation import read_explanation
from pruning_core.report.writers import report_chunks


def write_report(
    paths: Sequence[Path],
    format: str,
    output: Path | None = None,
    baseline: Path | None = None,
    columns: str = "all",
    dataset_titles: Mapping[str, str] | None = None,
    explanations: Sequence[Path] = (),
    policy: Path | None = None,
) -> None:
    """Read benchmark JSON files and write their report.

    Args:
        paths: At least one file; several stand side by side.
        format: A key of `FORMATS`, or `svg` or `png`.
        output: A file; standard output by default, in its width and with colours if it is a terminal.
        baseline: Of the gate, whose verdicts on the first file stand on the page.
        columns: `all` or `tutorial` (see `build_report`).
        dataset_titles: Name of a dataset in the records → what people are to read instead.
        explanations: What `pruning-bench explain` stored, to stand on the page.
        policy: By which the gate judges; None: its own.

    Raises:
        RecordError: If a file cannot be used, or the baseline is the same run as the first file.
        OptionError: If there is no such format or dataset, or the output cannot be written.
    """
    if baseline is not None and format != "html":
        raise OptionError("--baseline is for --format html; elsewhere use `pruning-bench gate`")
    if policy is not None and baseline is None:
        raise OptionError("--policy says how the gate judges: give --baseline, too")
    if explanations and format != "html":
        raise OptionError(
            "--explain is for --format html; `pruning-bench explain` writes to a terminal itself"
        )
    if columns != "all" and format not in ("terminal", "markdown"):
        raise OptionError(f"--columns {columns} is for --format terminal and markdown; csv and json hold all")
    if dataset_titles and format in ("csv", "json"):
        raise OptionError("--dataset-title is for people; csv and json keep the name in the records")
    if output is not None:
        if output.suffix[1:] in FIGURE_FORMATS and output.suffix[1:] != format:
            raise OptionError(f"-o {output.name} is named as a figure, and --format says {format}")
        check_writable(output, *paths, *explanations, baseline, policy)
    sections = "\n".join(read_explanation(path) for path in explanations)
    with no_garbage_collection():  # see `gate.run_gate`
        runs = [read_run(path) for path in paths]
        report = build_report(_with_titles(runs, dataset_titles or {}), columns, format != "csv")
    if columns != "all" and not report.tables:
        raise OptionError(f"--columns {columns}: these files hold nothing for that table: no pruned network")
    if format in FIGURE_FORMATS:
        if output is None:
            raise OptionError(f"a figure needs a file to go to: --format {format} -o report.{format}")
        draw_figure(report, output, format)
    elif baseline is not None:
        from pruning_core.gate.compare import compare
        from pruning_core.gate.policy import Policy, read_policy
        from pruning_core.gate.same_run import refuse_same_runs

        before = read_run(baseline)
        refuse_same_runs([before, runs[0]])
        chosen = Policy() if policy is None else read_policy(policy)
        write_chunks(page_chunks(report, compare(before, runs[0], chosen), sections), output)
    elif sections:
        write_chunks(page_chunks(report, explanations=sections), output)
    elif format == "terminal" and output is None:
        from rich.console import Console

        console = Console()
        colour = console.is_terminal and not console.no_color and console.color_system is not None
        print_pieces(report_chunks(report, format, find_width(sys.stdout), colour))
    else:
        write_chunks(report_chunks(report, format), output)


def _with_titles(runs: list[Run], titles: Mapping[str, str]) -> list[Run]:
    if not titles:
        return runs
    contents = sorted({content_of(r) for run in runs for r in run.records if "dataset" in r})
    names = list(dict.fromkeys(name for name, _ in contents))
    folders = [content for content in contents if is_folder_name(content[0])]
    if FOLDER in titles and len({fingerprint for _, fingerprint in folders}) == 1:
        titles = {**dict.fromkeys((name for name, _ in folders), titles[FOLDER]), **titles}
    elif FOLDER in titles and FOLDER not in names and folders:
        raise OptionError(
            f"--dataset-title: {FOLDER!r} may be any of these folders; give each its own: "
            f"{', '.join(dict.fromkeys(name for name, _ in folders))}"
        )
    for name in titles:
        if name not in names and not (name == FOLDER and folders):
            raise OptionError(
                f"--dataset-title: no dataset {name!r} in these files; there: {', '.join(names) or 'none'}"
            )
    return [
        replace(
            run,
            records=tuple(
                {**record, "dataset": titles[record["dataset"]]}
                if record.get("dataset") in titles
                else record
                for record in run.records
            ),
        )
        for run in runs
    ]


def write_chunks(chunks: Iterable[str], output: Path | None) -> None:
    """Write all chunks; a file comes to be, or is replaced, when the last of them is written."""
    if output is None:
        print_content(chunks)
        return
    write_pieces(output, (chunk.encode("utf-8") for chunk in chunks))
