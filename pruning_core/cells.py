"""The cells of a grid: what a point is called, and the order in which the suites walk over them.

Not for: reading a grid (`grid.py`), making checkpoints (`pipeline.py`), or knowing whether a backend is
installed (`backends/`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pruning_core.axes import split_backend
from pruning_core.grid import Grid

DENSE = "dense"
"""The method name of the unpruned network in cells, test ids and records."""


@dataclass(frozen=True)
class Variant:
    """One checkpoint of a grid: model × dataset × method × ratio; the dense one has ratio 0."""

    model: str
    dataset: str
    method: str
    ratio: float

    @property
    def is_dense(self) -> bool:
        """Whether this is the unpruned network."""
        return self.method == DENSE

    @property
    def id(self) -> str:
        """Stable, readable and unique in a grid, for example `resnet18-digits-magnitude-0.75`."""
        head = f"{label_of(self.model)}-{label_of(self.dataset)}-{self.method}"
        return head if self.is_dense else f"{head}-{self.ratio:g}"


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


def variants(grid: Grid) -> Iterator[Variant]:
    """Walk over the checkpoints of a grid: dense first, then up each chain, each variant once."""
    for model in grid.model:
        for dataset in grid.dataset:
            yield Variant(model, dataset, DENSE, 0.0)
            for method in grid.method:
                for ratio in grid.ratios:
                    if ratio > 0:
                        yield Variant(model, dataset, method, ratio)


def accuracy_cells(grid: Grid) -> Iterator[Cell]:
    """Walk over the cells of the accuracy suite: batch size and threads do not matter there."""
    for device in grid.devices:
        for item in grid.backends:
            for variant in variants(grid):
                yield Cell(variant, *split_backend(item), device)


def latency_cells(grid: Grid) -> Iterator[Cell]:
    """Walk over the cells of the latency suite: the A/A controls first, whatever backends were asked for.

    The cells of one backend, device, number of threads and batch size stand together.
    """
    controls = [
        Cell(Variant(model, dataset, DENSE, 0.0), "eager", "fp32", device, batch_size, threads)
        for device in grid.devices
        for threads in _threads_axis(grid)
        for batch_size in grid.batch_sizes
        for model in grid.model
        for dataset in grid.dataset
    ]
    yield from controls
    known = set(controls)
    for device in grid.devices:
        for threads in _threads_axis(grid):
            for item in grid.backends:
                for batch_size in grid.batch_sizes:
                    for variant in variants(grid):
                        cell = Cell(variant, *split_backend(item), device, batch_size, threads)
                        if cell not in known:
                            yield cell


def _threads_axis(grid: Grid) -> tuple[int | None, ...]:
    return grid.threads if len(grid.threads) > 1 else (None,)


def label_of(name: str) -> str:
    """Return a short form of a model or dataset name that fits a test id.

    `folder:/data/cifar` → `folder-cifar`, `my.nets:tiny` → `my.nets-tiny`.
    """
    kind, colon, rest = name.partition(":")
    if not colon:
        return name
    return f"{kind}-{Path(rest).name}" if kind == "folder" else f"{kind}-{rest}"
