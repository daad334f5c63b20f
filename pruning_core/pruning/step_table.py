"""The steps of a preview (`preview.py`) as a table to read, as CSV and as JSON."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from textwrap import wrap

from tabulate import tabulate

from pruning_core.config.cells import DENSE
from pruning_core.console.escaping import for_csv, for_json, printable
from pruning_core.pruning.base import reasons_of
from pruning_core.pruning.preview import PreviewStep
from pruning_core.pruning.preview_times import setting_of
from pruning_core.pruning.times_table import render_times, time_columns, time_values
from pruning_core.records.cuts import (
    alike,
    count_words,
    describe_proof,
    explain_whole,
    ratio_words,
    whole_alike,
)

NOTES_WIDTH = 80
"""Columns of the lines below the table."""


def render_steps(
    steps: Sequence[PreviewStep], format: str, measured_on: Mapping[str, str] | None = None
) -> str:
    """Render the steps of a preview.

    Args:
        steps: In the order of the schedule.
        format: `terminal`: a table to read; `csv`: a row a step, a column a layer; `json`: a list of objects.
        measured_on: The machine, where steps were timed: a field of each step, but in the table.
    """
    where = dict(measured_on or {})
    if format == "json":
        return for_json([{**asdict(step), **where} for step in steps], indent=1)
    if format == "csv":
        return _csv(steps, where)
    both = any(step.mac_counts.differ for step in steps)
    rows = [
        [
            "dense" if step.method == DENSE else f"{step.ratio:g}",
            _billions(step.macs),
            *([_billions(step.macs_torch_pruning)] if both else []),
            f"{step.params / 1e6:.2f}",
            f"{step.size_bytes / 1e6:.2f}",
            f"{step.achieved_ratio:.3f}",
            f"{step.sparsity:.3f}",
            f"{step.narrowest}–{step.widest}",
        ]
        for step in steps
    ]
    header = ["ratio", "MACs (G)", "params (M)", "size (MB)", "achieved", "zeros", "widths"]
    if both:  # In two lines, so that it fits 80 columns.
        header = [name.replace(" (", "\n(") for name in header]
        header.insert(2, "by torch-\npruning")
    alignment = ("right",) * (len(header) - 1) + ("left",)
    table = tabulate(rows, headers=header, colalign=alignment, disable_numparse=True)
    pruned = [step for step in steps if step.method != DENSE]
    times = render_times([asdict(step) for step in pruned])
    return "\n".join([table, *_cut_lines(pruned), *(["", times] if times else [])])


def _csv(steps: Sequence[PreviewStep], measured_on: Mapping[str, str]) -> str:
    text = io.StringIO()
    columns = [
        "model",
        "method",
        "ratio",
        "macs",
        "macs_products",
        "macs_torch_pruning",
        "params",
        "size_bytes",
        "achieved_ratio",
        "sparsity",
        "exhausted",
        "proof",
        "groups_kept_whole",
        "groups",
    ]
    checks = list(steps[0].checks) if steps else []
    layers = list(steps[0].widths) if steps else []
    rows_of_times = [[asdict(time) for time in step.times] for step in steps]
    settings = list(dict.fromkeys(setting_of(time) for times in rows_of_times for time in times))
    writer = csv.writer(text, lineterminator="\n")
    heads: list[object] = [f"check:{name}" for name in checks]
    heads += [*measured_on, *(["mac_reduction"] if settings else []), *time_columns(settings)]
    writer.writerow([*columns, *heads, *(for_csv(f"width:{layer}") for layer in layers)])
    for step, times in zip(steps, rows_of_times, strict=True):
        row = asdict(step) | {"groups_kept_whole": len(step.kept_whole)}
        values: list[object] = [for_csv(row[name]) for name in columns]
        values += [for_csv(step.checks[name]) for name in checks]
        values += [for_csv(value) for value in measured_on.values()]
        if settings:
            values += [times[0]["mac_reduction"] if times else "", *time_values(times, settings)]
        writer.writerow([*values, *(step.widths[layer] for layer in layers)])
    return text.getvalue().rstrip("\n")


def _cut_lines(steps: Sequence[PreviewStep]) -> Iterator[str]:
    """Yield what was found at the ratios; what all share is said once."""
    exhausted = ((step.ratio, "exhausted: removes nothing more" if step.exhausted else "") for step in steps)
    proofs = ((step.ratio, describe_proof(step.proof)) for step in steps)
    passed = ((step.ratio, _passed(step)) for step in steps)
    for found in (alike(exhausted), alike(proofs), alike(passed)):
        for ratios, text in found:
            yield from _folded(text if len(ratios) == len(steps) else f"at {ratio_words(ratios)} {text}", "")
    numbers = {step.ratio: count_words(len(step.kept_whole), step.groups) for step in steps}
    for ratios, whole in whole_alike((step.ratio, reasons_of(step.kept_whole)) for step in steps):
        where = "" if len(ratios) == len(steps) else f" at {ratio_words(ratios)}"
        yield from _folded(f"kept whole{where}: {numbers[ratios[0]]}", "")
        for text in explain_whole(whole):
            yield from _folded(text, "  ")


def _folded(text: str, indent: str) -> list[str]:
    return wrap(printable(text), NOTES_WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _passed(step: PreviewStep) -> str:
    names = ", ".join(name for name, found in step.checks.items() if found is True)
    return f"passed: {names}" if names else ""


def _billions(macs: int | None) -> str:
    return "–" if macs is None else f"{macs / 1e9:.2f}" if macs >= 1e7 else f"{macs / 1e9:.4f}"
