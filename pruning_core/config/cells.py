"""The cells of a grid: what a point is called, and the order in which the suites walk over them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pruning_core.config.grid import CLASSIFICATION, Grid
from pruning_core.config.parse import parse_backend
from pruning_core.errors import OptionError

DENSE = "dense"
"""The method name of the unpruned network in cells, test ids and records."""

REFERENCE_BACKEND, REFERENCE_PRECISION = "eager", "fp32"
"""What dense models on other backends are measured against."""


@dataclass(frozen=True)
class Variant:
    """One checkpoint of a grid: model × dataset × method × ratio × seed; the dense one has ratio 0."""

    model: str
    dataset: str
    method: str
    ratio: float
    dataset_label: str = ""  # what its grid calls the dataset; empty: `short_name` its name
    task: str = CLASSIFICATION  # of another task its `dataset` is the task's name: it brings its data
    seed: int | None = None  # one of the grid's `seeds`; None: the one of its trainings

    @property
    def is_dense(self) -> bool:
        """Whether this is the unpruned network."""
        return self.method == DENSE

    @property
    def dense(self) -> "Variant":
        """The unpruned network that this one is made from."""
        return replace(self, method=DENSE, ratio=0.0)

    @property
    def label(self) -> str:
        """The dataset in a test id: unique in a grid, and no path."""
        return self.dataset_label or short_name(self.dataset)

    @property
    def dataset_name(self) -> str:
        """The dataset in records: its name, or the label of a folder, whose name is a path."""
        return self.label if is_folder(self.dataset) else self.dataset

    @property
    def id(self) -> str:
        """Stable, readable and unique in a grid, for example `resnet18-digits-magnitude-0.75`."""
        head = f"{short_name(self.model)}-{self.label}-{self.method}"
        point = head if self.is_dense else f"{head}-{self.ratio:g}"
        return point if self.seed is None else f"{point}-s{self.seed}"


@dataclass(frozen=True)
class Cell:
    """One point of a grid: a variant on a backend × precision × device × batch size."""

    variant: Variant
    backend: str
    precision: str
    device: str
    batch_size: int | None = None  # None in the accuracy suite, where it does not matter
    threads: int | None = None  # None where the grid has one number of threads for all

    @property
    def id(self) -> str:
        """Stable, readable and unique in a grid: the variant's id, then `-eager-fp32-cpu-b32-t2`."""
        head = f"{self.variant.id}-{self.backend}-{self.precision}-{self.device.replace(':', '')}"
        batch = "" if self.batch_size is None else f"-b{self.batch_size}"
        return head + batch + ("" if self.threads is None else f"-t{self.threads}")

    @property
    def on_reference_backend(self) -> "Cell":
        """The cell of the same checkpoint on eager fp32."""
        return replace(self, backend=REFERENCE_BACKEND, precision=REFERENCE_PRECISION)

    @property
    def reference(self) -> "Cell":
        """The cell that this one is measured against.

        Pruned against dense on the same backend; dense elsewhere against dense eager fp32; that one against a
        copy of itself (an A/A control). So speed-ups multiply along the chain.
        """
        return (
            self.on_reference_backend if self.variant.is_dense else replace(self, variant=self.variant.dense)
        )

    @property
    def is_control(self) -> bool:
        """Whether this is an A/A control: measured against a copy of itself."""
        return self.reference == self


def variants(grid: Grid) -> Iterator[Variant]:
    """Walk over the checkpoints of a grid: seed by seed, dense first, then up each chain."""
    for seed in _seeds_axis(grid):
        yield from _variants_of_seed(grid, seed)


def _variants_of_seed(grid: Grid, seed: int | None) -> Iterator[Variant]:
    labels = dataset_labels(grid.data)
    for model in grid.model:
        for dataset in grid.data:
            yield Variant(model, dataset, DENSE, 0.0, labels[dataset], grid.task, seed)
            for method in grid.method:
                for ratio in grid.ratios_for(model, dataset, method):
                    if ratio > 0:
                        yield Variant(model, dataset, method, ratio, labels[dataset], grid.task, seed)


def accuracy_cells(grid: Grid) -> Iterator[Cell]:
    """Walk over the cells of the accuracy suite: batch size and threads do not matter there."""
    for device in grid.devices:
        for item in grid.backends:
            for variant in variants(grid):
                yield Cell(variant, *parse_backend(item), device)


def latency_cells(grid: Grid) -> Iterator[Cell]:
    """Walk over the cells of the latency suite: the A/A controls first, whatever backends were asked for.

    The cells of one backend, device, number of threads and batch size stand together. Of several seeds
    the first one is timed: replicates differ by their weights, and times depend on shapes.
    """
    labels, seed = dataset_labels(grid.data), _seeds_axis(grid)[0]
    controls = [
        Cell(
            Variant(model, name, DENSE, 0.0, labels[name], grid.task, seed),
            REFERENCE_BACKEND,
            REFERENCE_PRECISION,
            device,
            batch_size,
            threads,
        )
        for device in grid.devices
        for threads in _threads_axis(grid)
        for batch_size in grid.batch_sizes
        for model in grid.model
        for name in grid.data
    ]
    yield from controls
    known = set(controls)
    for device in grid.devices:
        for threads in _threads_axis(grid):
            for item in grid.backends:
                for batch_size in grid.batch_sizes:
                    for variant in _variants_of_seed(grid, seed):
                        cell = Cell(variant, *parse_backend(item), device, batch_size, threads)
                        if cell not in known:
                            yield cell


def _seeds_axis(grid: Grid) -> tuple[int | None, ...]:
    return grid.seeds or (None,)


def _threads_axis(grid: Grid) -> tuple[int | None, ...]:
    return grid.threads if len(grid.threads) > 1 else (None,)


def dataset_labels(datasets: Sequence[str]) -> dict[str, str]:
    """Return dataset → label, each label once: of folders with one last name the second gets `-2`.

    Raises:
        OptionError: If two names are one folder.
    """
    folders: dict[str, str] = {}
    labels: dict[str, str] = {}
    for dataset in datasets:
        if is_folder(dataset):
            path = os.path.realpath(os.path.expanduser(dataset.partition(":")[2]))
            if path in folders:
                raise OptionError(
                    f"dataset: {folders[path]} and {dataset} are one folder; name each dataset once"
                )
            folders[path] = dataset
    plain = {dataset: short_name(dataset) for dataset in datasets}
    for dataset, label in plain.items():
        taken = {*labels.values(), *(other for name, other in plain.items() if other != label)}
        numbered = (f"{label}-{number}" for number in count(2))
        labels[dataset] = label if label not in taken else next(x for x in numbered if x not in taken)
    return labels


def explain_labels(datasets: Sequence[str]) -> str:
    """Return a line on folders that share their last name, and how each is called; empty where none do."""
    labels = dataset_labels(datasets)
    renamed = {short_name(dataset) for dataset, label in labels.items() if label != short_name(dataset)}
    pairs = [f"{dataset} is {label}" for dataset, label in labels.items() if short_name(dataset) in renamed]
    return f"folders of one name are told apart by a number: {', '.join(pairs)}" if pairs else ""


def is_folder(dataset: str) -> bool:
    """Return whether a dataset's name is that of a folder, and so holds a path."""
    return dataset.startswith("folder:")


def short_name(name: str) -> str:
    """Return a short form of a model or dataset name that fits a test id.

    `folder:/data/cifar` → `folder-cifar`, `my.nets:tiny` → `my.nets-tiny`.
    """
    kind, colon, rest = name.partition(":")
    if not colon:
        return name
    return f"{kind}-{Path(rest).name}" if kind == "folder" else f"{kind}-{rest}"
