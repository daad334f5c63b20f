"""The `pruning-bench export` command that makes a file of a cell, by its backend and precision."""

import re
import shlex

from pruning_core.records.fields import Record
from pruning_core.report.run_index import RunIndex

FORMATS = {
    "bsr": "torch",
    "compile": "torch",
    "csr": "torch",
    "cudagraph": "torch",
    "eager": "torch",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "sparse24": "torch",
    "tensorrt": "onnx",
}
"""Backend → the format of `export` that it, or a runtime like it, reads."""

PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "int8"),
    "torch": ("fp32", "bf16", "fp16"),
}
"""Format → the precisions that its files have."""

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}

_BITS = {"fp32": 32, "bf16": 16, "fp16": 16, "int8": 8}


def file_precision(record: Record) -> str:
    """Return the precision of the file that a cell is exported as: fp32 where no file has the cell's own."""
    precision = str(record.get("precision"))
    return precision if precision in PRECISIONS.get(_format(record), ()) else "fp32"


def expected_bytes(record: Record, size_bytes: int | None) -> int | None:
    """Return about how large the weights are in the exported file.

    Args:
        record: Of the cell.
        size_bytes: Of the weights in fp32, as the cost record has it.
    """
    return None if size_bytes is None else size_bytes * _BITS[file_precision(record)] // 32


def export_command(index: RunIndex, record: Record) -> tuple[str, str]:
    """Return the command that exports a cell, and what to know of it; empty where there is none.

    Args:
        index: Of the file that holds the record.
        record: Of the cell.
    """
    key, form, cell = record.get("key"), _format(record), record["cell"]
    if not key:
        return "", "its record names no checkpoint, so that nothing can be exported"
    if not index.subject_of(record).measure.is_accuracy:
        return "", (
            f"`export` writes classifications only: load it by pruning_core.api.load({key!r}), and export it "
            "by torch.onnx or torch.export"
        )
    if not form:
        return "", f"backend {record.get('backend')!r} has no format of `export`; its checkpoint is {key}"
    precision, path = file_precision(record), str(index.run.path)
    note = ""
    subject = [f"{path}::{cell}"]
    if precision != record.get("precision"):
        subject = [str(key)]
        note = (
            f"no {form} file has {record.get('precision')}: this one holds {precision}, and the runtime is "
            f"told {record.get('precision')} when it loads it"
        )
    elif "::" in path:
        subject = [str(key)]
    name = re.sub(r"[^\w.-]+", "-", str(cell)).strip("-.")[:100] + ENDINGS[form]
    words = ["pruning-bench", "export", *subject, "--to", form, "--precision", precision, "-o", name]
    return shlex.join(words), note


def _format(record: Record) -> str:
    return FORMATS.get(str(record.get("backend")), "")
