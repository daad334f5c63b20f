"""What is written beside the weights: what a program needs to use the file, and what it came from."""

import importlib.metadata
from collections.abc import Sequence

from pruning_core import __version__
from pruning_core.config.spec import DenseSpec, PrunedSpec
from pruning_core.export.base import ExportFormat, Metadata
from pruning_core.export.images import images_of
from pruning_core.store.checkpoint import Checkpoint

SCALE = "x = pixels / 255; (x - mean) / std for each channel"
"""How pixels, 0 to 255, become what the network takes."""


def make_metadata(
    checkpoint: Checkpoint,
    class_names: Sequence[str] | None,
    form: ExportFormat,
    precision: str,
    accuracy: float | None,
    cell: str | None,
) -> Metadata:
    """Describe a file: the same for the same checkpoint, precision and libraries.

    Args:
        checkpoint: What is exported.
        class_names: Label 0 first; None where nobody knows.
        form: The file's format.
        precision: Of the file.
        accuracy: On the whole test split: as recorded of the cell, else of the checkpoint in eager fp32.
        cell: Its id; None where no cell was named.
    """
    spec = checkpoint.spec
    versions = {"pruning-bench": __version__, "torch": importlib.metadata.version("torch")}
    versions |= {package: importlib.metadata.version(package) for package in form.packages}
    images = images_of(spec)
    return {
        "key": checkpoint.key,
        "model": spec.model.name,
        "dataset": images.name,
        "dataset_fingerprint": images.fingerprint,
        "method": "dense" if isinstance(spec, DenseSpec) else spec.method.name,
        "ratio": spec.ratio if isinstance(spec, PrunedSpec) else 0.0,
        "precision": precision,
        "accuracy" if cell or precision == "fp32" else "accuracy_eager_fp32": accuracy,
        "accuracy_n": checkpoint.metrics.accuracy_n,
        **({"cell": cell} if cell else {}),
        **({"class_names": list(class_names)} if class_names is not None else {}),
        "classes": images.classes,
        "input_size": [images.channels, images.height, images.width],
        "mean": list(images.mean),
        "std": list(images.std),
        "scale": SCALE,
        "versions": versions,
        "created": checkpoint.metrics.created,
    }
