"""Formats of files that run without this program, by name.

A new one is one file with an `ExportFormat` and one line in `EXPORTS`; the contract tests then cover it.
"""

import importlib.util

from pruning_core.errors import OptionError, UnavailableError, UnknownNameError
from pruning_core.export.base import ExportFormat
from pruning_core.export.executorch import ExecuTorch
from pruning_core.export.onnx import Onnx
from pruning_core.export.openvino import OpenVino
from pruning_core.export.python import PlainPython
from pruning_core.export.torch_export import TorchExport

__all__ = ["EXPORTS", "find_format"]

EXPORTS: dict[str, ExportFormat] = {
    "executorch": ExecuTorch(),
    "onnx": Onnx(),
    "openvino": OpenVino(),
    "python": PlainPython(),
    "torch": TorchExport(),
}


def find_format(name: str, precision: str) -> ExportFormat:
    """Return a format that has a precision, and whose packages are here; nothing of them is imported.

    Raises:
        UnknownNameError: If there is no such format.
        OptionError: If it does not have that precision.
        UnavailableError: If a package is not installed.
    """
    if name not in EXPORTS:
        raise UnknownNameError("export format", name, EXPORTS)
    found = EXPORTS[name]
    if precision not in found.precisions:
        raise OptionError(
            f"format {name!r} has no precision {precision!r}; it has: {', '.join(found.precisions)}"
        )
    missing = [package for package in found.packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UnavailableError(
            f"format {name!r} needs {', '.join(missing)}, not installed. Install with: "
            f"pip install 'pruning-bench[{found.extra}]'"
        )
    return found
