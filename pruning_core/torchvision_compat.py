"""torchvision, and torch-pruning which imports it, beside a torch that torchvision's operators do not fit.

    from pruning_core.torchvision_compat import models, torch_pruning

No other module imports the two.

A torchvision wheel built for CUDA cannot load its `_C` library beside a CPU-only torch. It shrugs that off,
yet its import then fails: `_meta_registrations` attaches shape functions to `torchvision::nms` and
`torchvision::qnms`, and the schemas of those two were to come from `_C`. This module declares them first,
without any kernel, and only if `_C` cannot be loaded. Beside a torchvision that fits, nothing is declared
and the real operators work.

Not for: running those operators. No model of ours uses them.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Final

import torch

__all__ = ["datasets", "declare_missing_schemas", "models", "torch_pruning", "transforms"]

SCHEMAS: Final = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""What torchvision's `_meta_registrations` expects to exist; as in torchvision/csrc/ops/nms.cpp."""


def declare_missing_schemas() -> torch.library.Library | None:
    """Load torchvision's compiled operators; where they do not load, declare the schemas it needs.

    Returns:
        The library that holds the declarations: they live as long as it does. None if all are there.
    """
    folder = _torchvision_folder()
    if folder is None:
        return None  # not installed: importing it shall fail with its own plain message
    _load_compiled_operators(folder)
    missing = [schema for name, schema in SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
    if not missing:
        return None
    # FRAGMENT: somebody else may own "DEF". The ignores: torch leaves these three calls untyped.
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in missing:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


def _torchvision_folder() -> Path | None:
    """Find the installed package without importing it."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _load_compiled_operators(folder: Path) -> None:
    """Do what torchvision/extension.py does first; loading the same library twice does no harm."""
    details = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    found = importlib.machinery.FileFinder(str(folder), details).find_spec("_C")
    if found is None or found.origin is None:
        return
    try:
        torch.ops.load_library(found.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return  # built for another torch


def hide_false_timm() -> bool:
    """Where timm is not installed, let nothing else of that name be imported for it.

    torch-pruning imports timm where it can, and fails on a folder or a file of the user's of that name.

    Returns:
        Whether it is hidden; by `del sys.modules["timm"]` it is no longer.
    """
    try:
        importlib.metadata.distribution("timm")
    except importlib.metadata.PackageNotFoundError:
        return sys.modules.setdefault("timm", None) is None  # type: ignore[arg-type]  # as import has it
    return False


_DECLARED: Final = declare_missing_schemas()  # kept: the schemas vanish with the library object
_HIDDEN: Final = hide_false_timm()

import torch_pruning  # noqa: E402  # after the schemas, like what follows

if _HIDDEN:
    del sys.modules["timm"]
from torchvision import datasets, models, transforms  # noqa: E402
