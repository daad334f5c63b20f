"""A PyTorch model → ONNX bytes, for the backends that read ONNX, and a check that these give the same logits.

Uses the exporter that traces (`dynamo=False`): deprecated, but faster than the new one (`README.md`), and it
needs no onnxscript. Our torch is pinned below the release that may drop it.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pruning_core.backends.base import Executable
from pruning_core.backends.onnx_names import onnx_names
from pruning_core.errors import BackendError, first_line
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import Inputs, Plain, random_like, repeat_rows, run, tensors_of


def export_onnx(model: nn.Module, example: Inputs) -> bytes:
    """Return a model as ONNX: input `images` (N, C, H, W), output `logits` (N, classes), float32, any N.

    Of several tensors each is an input or output of its own (see `onnx_names`). The same model gives the same
    bytes.

    Args:
        model: A float32 network on the CPU; it stays as it is.
        example: What it takes: one image of the right size, (1, C, H, W), say.

    Raises:
        BackendError: If PyTorch cannot export it.
    """
    # Traced with two images: with one, `squeeze` and broadcasting would take the batch for a size-1 axis.
    inputs = repeat_rows(example, 2)  # (2, C, H, W)
    file = io.BytesIO()
    try:
        names = onnx_names(model, example)
        copied = copy_network(model).eval().requires_grad_(False)
        with warnings.catch_warnings(), _plain_attention(), _without_log():
            # The exporter's deprecation, and what tracing cannot follow, which `check_export` looks for.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                copied if names.plain else Plain(copied, inputs),
                tuple(tensors_of(inputs)),
                file,  # type: ignore[arg-type]  # the tracing exporter takes any binary file
                dynamo=False,
                input_names=list(names.inputs),
                output_names=list(names.outputs),
                dynamic_axes={name: {0: "batch"} for name in (*names.inputs, *names.outputs)},
            )
    except Exception as error:
        raise BackendError(f"PyTorch cannot export this model to ONNX: {first_line(error)}") from error
    return file.getvalue()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let PyTorch's attention layers compute by operations that ONNX has, not by a fused one of inference."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep PyTorch from printing the whole graph of what it cannot export.

    It asks whether its log is enabled by naming a function without calling it: to Python that is always true.
    """
    before = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = before


def check_export(executable: Executable, model: nn.Module, example: Inputs, tolerance: float) -> None:
    """Refuse an exported model whose logits differ from the model's.

    Tracing records one run: a branch or a loop that depends on the images would be wrong for other images.

    Args:
        executable: The exported model, ready to run.
        model: What it was exported from; it stays as it is.
        example: What it takes: one image of the right size, (1, C, H, W), say.
        tolerance: Largest difference of a logit, as a fraction of the largest logit.

    Raises:
        BackendError: If they differ by more.
    """
    generator = torch.Generator().manual_seed(0)
    difference = relative_difference(executable, model, random_like(example, 3, generator))
    if difference > tolerance:
        raise BackendError(
            f"the exported model does not answer as the model does (logits differ by {difference:.3g} of the "
            "largest): its forward may branch on its input, which an export cannot follow. "
            "Use the backend eager."
        )


def relative_difference(executable: Executable, model: nn.Module, inputs: Inputs) -> float:
    """Return the largest difference of logits from the model's own, as a fraction of its largest logit.

    Of several outputs each is compared with its own largest number, and the worst counts.

    Args:
        executable: The model on a backend.
        model: A network in float32 on the CPU; it stays as it is.
        inputs: What it takes: normalised float32 images, (N, C, H, W), say.
    """
    with torch.inference_mode():
        expected = tensors_of(run(copy_network(model).eval(), inputs))
    found = tensors_of(executable.predict(inputs))
    return max(
        float((ours.nan_to_num() - its.nan_to_num()).abs().max())
        / max(float(its.nan_to_num().abs().max()), 1e-6)
        for ours, its in zip(found, expected, strict=True)
        if its.is_floating_point()
    )
