"""An export from beginning to end: written beside its place, read back, compared, put in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pruning_core.config.precision import PRECISIONS
from pruning_core.datasets.base import Dataset
from pruning_core.errors import ExportError, OptionError
from pruning_core.export import find_format
from pruning_core.export.base import Material
from pruning_core.export.comparison import Comparison, compare
from pruning_core.export.drafts import check_target, draft_of, put_in_place
from pruning_core.export.images import images_of
from pruning_core.export.inputs import RANDOM_IMAGES, batches_to_compare, calibration_images, random_batches
from pruning_core.export.metadata import make_metadata
from pruning_core.export.subject import Subject
from pruning_core.progress import ProgressDisplay


@dataclass(frozen=True)
class Order:
    """What a user asks for."""

    to: str  # a name in EXPORTS
    path: Path
    precision: str | None = None  # None: as it was measured, else fp32
    images: int | None = None  # test images to compare on; None: all
    force: bool = False


def resolve_precision(order: Order, subject: Subject) -> str:
    """Return the precision to export in, and check all that can be checked before long work.

    Raises:
        OptionError: If another one is asked for than the cell was measured in, the format does not have it,
            or the file cannot be put in its place.
        UnknownNameError: If there is no such format.
        UnavailableError: If a package is missing.
    """
    measured = subject.precision
    if measured is not None and order.precision not in (None, measured):
        raise OptionError(
            f"cell {subject.name} was measured in {measured}: leave --precision {order.precision} out, or "
            "name the checkpoint by its key"
        )
    precision = (measured or "fp32") if order.precision is None else order.precision
    form = find_format(order.to, precision)
    check_target(form, order.path, order.force)
    return precision


def export_checkpoint(
    order: Order,
    subject: Subject,
    network: nn.Module,
    build_dense: Callable[[], nn.Module],
    dataset: Dataset | None,
    display: ProgressDisplay,
) -> Comparison:
    """Write a file, read it back by its public runtime, compare, and put it in its place.

    Args:
        order: What is asked for.
        subject: The checkpoint.
        network: Of the checkpoint, on the CPU.
        build_dense: Builds the dense network that it was pruned from.
        dataset: That of the checkpoint; None: compare on random images.
        display: Shows progress.

    Raises:
        ExportError: If the file does not answer as the checkpoint; nothing is left of it.
        BackendError: If the format cannot hold the network.
        OptionError: If the order cannot be followed.
    """
    precision = resolve_precision(order, subject)
    form, spec, record = find_format(order.to, precision), subject.checkpoint.spec, subject.record or {}
    images = images_of(spec)
    # Names are in no key: those of the checkpoint may be older than those of the folders.
    names = dataset.class_names if dataset is not None else subject.checkpoint.metrics.class_names
    accuracy = record.get("accuracy", subject.checkpoint.metrics.accuracy)
    material = Material(
        network=network.eval(),
        build_dense=build_dense,
        spec=spec,
        example=torch.zeros(1, images.channels, images.height, images.width),
        precision=precision,
        batch_size=subject.batch_size or 1,
        calibration=calibration_images(dataset) if precision == "int8" else None,
        metadata=make_metadata(subject.checkpoint, names, form, precision, accuracy, record.get("cell")),
        min_agreement=record.get("min_agreement", PRECISIONS[precision].min_agreement),
    )
    fixed = material.batch_size if form.fixed_batch else None
    if dataset is None:
        n, batches = RANDOM_IMAGES, random_batches(images, fixed)
    else:
        n = min(order.images or len(dataset.test.labels), len(dataset.test.labels))
        batches = batches_to_compare(dataset, n, fixed)
    with draft_of(order.path) as draft:
        with display.waiting_for(f"export {subject.name} to {form.name}"):
            form.write(material, draft)
        with display.work(f"compare {form.name} {precision} on {n} images") as advance:
            result = compare(form, material, draft, batches, advance, n)
        if order.images is None:
            check_record(result, subject)
        put_in_place(form, draft, order.path)
    return result


def check_record(result: Comparison, subject: Subject) -> None:
    """Refuse a file whose accuracy on all test images is not the one that was recorded of the cell.

    Raises:
        ExportError: If it is another one: by more images than the precision may predict otherwise.
    """
    record = subject.record
    if record is None or result.accuracy is None or "accuracy" not in record:
        return
    allowed = 1 - PRECISIONS[record["precision"]].min_agreement
    if abs(result.accuracy - record["accuracy"]) > allowed:
        raise ExportError(
            f"the file is right on {result.accuracy:.2%} of {result.n} test images, the record of "
            f"{subject.name} says {record['accuracy']:.2%}; it was removed. Was it measured with other "
            "libraries?"
        )
