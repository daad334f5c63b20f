"""An exported file against the checkpoint it was made from: answers, accuracy, size.

All must hold, or the file is refused (`README.md`, "What is compared"): it answers as the network does in its
precision, to rounding, where the same computation can be had here; it predicts as eager fp32 does, as often
as that precision must on any backend; and where it was measured, its accuracy is the one of the record.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pruning_core.backends import load_executable
from pruning_core.errors import ExportError, ModelError
from pruning_core.export.base import ExportFormat, Material, size_bytes
from pruning_core.export.public_runtime import open_in_public_runtime
from pruning_core.progress import Advance
from pruning_core.system.hardware import resolve_threads, set_torch_threads

MAX_DIFFERENCE = {"fp32": 1e-4, "bf16": 3e-2, "fp16": 1e-2, "int8": 1e-3}
"""Largest difference of a logit from the same computation here, of the largest logit (`README.md`)."""

OURS = ("pruning_core", "torch_pruning")
"""Packages that nothing which reads an exported file may import."""


@dataclass(frozen=True)
class Comparison:
    """How an exported file answers, beside eager fp32."""

    runtime: str  # name and version
    n: int  # images
    difference: float  # largest, of a logit, from the same computation, as a fraction of the largest logit
    agreement: float  # images that are predicted as by eager fp32, fraction
    accuracy: float | None  # of the file; None where there are no labels
    accuracy_eager: float | None
    size_bytes: int


def compare(
    form: ExportFormat,
    material: Material,
    path: Path,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    advance: Advance,
    n: int,
) -> Comparison:
    """Let the public runtime answer on images, and compare.

    Args:
        form: The file's format.
        material: What it was written from.
        path: The file.
        batches: Normalised images, (N, C, H, W), with their labels, (N,), where there are any.
        advance: Called with the number of images that are done, and `n`.
        n: Images in all batches.

    Raises:
        ExportError: If the file cannot be read or answers otherwise, or its reader imports this program.
        BackendError: If the backend that it is compared with cannot run the network.
    """
    threads = resolve_threads(0)
    set_torch_threads(threads)
    same = _same_computation(form, material, threads)
    totals = _Totals(n)
    with open_in_public_runtime(form, path, threads) as runtime:
        advance(0, n)
        for images, labels in batches:
            eager = _eager(material, images)
            expected = eager if same is None else same(images)
            totals.add(runtime.predict(images), expected, eager, labels)
            advance(totals.n, n)
        imported = {*runtime.close()} & {*OURS, *form.forbidden}
        if imported:
            raise ExportError(f"reading the {form.name} file imports {', '.join(sorted(imported))}")
        result = totals.result(runtime.name, sum(size_bytes(each) for each in form.files(path)))
    check(result, material, form.name)
    return result


def check(result: Comparison, material: Material, name: str) -> None:
    """Refuse a file that answers otherwise.

    Raises:
        ExportError: If it does.
    """
    precision, least = material.precision, material.min_agreement
    allowed = MAX_DIFFERENCE[precision]
    what = f"the {name} file does not answer as the network in {precision} does, and was removed"
    if not result.difference <= allowed:
        raise ExportError(
            f"{what}: a logit differs by {result.difference:.2g} of the largest ({allowed:g} is allowed) on "
            f"{result.n} images. Its forward may branch on its input, which no export can follow"
        )
    if result.agreement < least:
        raise ExportError(
            f"{what}: {result.agreement:.2%} of {result.n} images are predicted as by eager fp32, at least "
            f"{least:.1%} must be"
        )


def _same_computation(
    form: ExportFormat, material: Material, threads: int
) -> Callable[[Tensor], Tensor] | None:
    """Return what must give the file's answers to rounding; None where that is eager fp32."""
    if material.precision == "int8":
        backend, precision = form.int8_backend, "int8"
    elif material.precision == "bf16":
        backend, precision = "eager", "bf16"
    else:  # float16 is not on this CPU: its rounding has room in MAX_DIFFERENCE
        return None
    executable = load_executable(
        backend,
        material.network,
        material.example,
        precision,
        "cpu",
        threads,
        calibration=material.calibration,
    )
    return executable.predict


def _eager(material: Material, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = material.network(images)
    return logits.float()


class _Totals:
    """Sums over the first `wanted` images: in batches of one size some come again at the end."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.n = self.agreeing = self.correct = self.correct_eager = 0
        self.largest = self.max_difference = 0.0
        self.labelled = False

    def add(self, found: Tensor, expected: Tensor, eager: Tensor, labels: Tensor | None) -> None:
        """Add a batch: logits of the file, of the same computation, of eager fp32; and labels."""
        if found.shape != expected.shape:
            raise ExportError(
                f"the exported file gives {tuple(found.shape)} for {len(eager)} images, the network "
                f"{tuple(expected.shape)}"
            )
        if not torch.equal(found.isfinite(), expected.isfinite()):
            raise ExportError(
                "the exported file gives numbers that are not finite where the network does not"
            )
        found, expected = found.nan_to_num(), expected.nan_to_num()
        self.largest = max(self.largest, float(expected.abs().max()))
        self.max_difference = max(self.max_difference, float((found - expected).abs().max()))
        if found.dim() != 2:
            raise ModelError(f"logits must be (N, classes); got {tuple(found.shape)}")
        new = min(len(found), self.wanted - self.n)
        self.n += new
        predicted, predicted_eager = found[:new].argmax(1), eager[:new].argmax(1)
        self.agreeing += int((predicted == predicted_eager).sum())
        if labels is not None:
            self.labelled = True
            self.correct += int((predicted == labels[:new]).sum())
            self.correct_eager += int((predicted_eager == labels[:new]).sum())

    def result(self, runtime: str, size: int) -> Comparison:
        """Return what was found."""
        return Comparison(
            runtime=runtime,
            n=self.n,
            difference=self.max_difference / max(self.largest, 1e-30),
            agreement=self.agreeing / max(self.n, 1),
            accuracy=self.correct / self.n if self.labelled else None,
            accuracy_eager=self.correct_eager / self.n if self.labelled else None,
            size_bytes=size,
        )
