"""Which tests of a suite run: one for each checkpoint or cell of the grid, in the grid's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest

from pruning_core.suites.grid_choice import NOTHING_NAMED

if TYPE_CHECKING:
    from pruning_core.config.cells import Cell, Variant
    from pruning_core.config.grid import Grid

CELL_FIXTURES = ("variant", "accuracy_cell", "latency_cell", "dense_variant")
"""What a test asks for to run once for each point of the grid, in this order."""

_PLANNED = pytest.StashKey[tuple["Cell", ...]]()
_VARIANTS = pytest.StashKey[tuple["Variant", ...]]()


def cell_fixture_of(metafunc: pytest.Metafunc) -> str:
    """Return which of our fixtures a test asks for, beside the harness; empty when none."""
    if "harness" not in metafunc.fixturenames:
        return ""
    return next((name for name in CELL_FIXTURES if name in metafunc.fixturenames), "")


def parametrize_with_nothing(metafunc: pytest.Metafunc, fixture: str) -> None:
    """Let a test appear once, skipped: nothing was named to measure."""
    skipped = pytest.param(None, marks=pytest.mark.skip(reason=NOTHING_NAMED), id="nothing-named")
    metafunc.parametrize(fixture, [skipped])


def parametrize_with_grid(metafunc: pytest.Metafunc, fixture: str, grid: Grid) -> None:
    """Let a test run once for each point of the grid that its fixture stands for."""
    from pruning_core.config import cells

    points: Sequence[Variant | Cell]
    if fixture == "variant":
        points = list(cells.variants(grid))
    elif fixture == "dense_variant":
        points = [variant for variant in cells.variants(grid) if variant.is_dense]
    elif fixture == "accuracy_cell":
        points = list(cells.accuracy_cells(grid))
    else:
        points = list(cells.latency_cells(grid))
    metafunc.parametrize(fixture, points, ids=[point.id for point in points])


def sort_in_grid_order(items: list[pytest.Item]) -> None:
    """Put the tests of the suites back into the grid's order, in place; others stay where they are."""
    ours = [item for item in _suite_tests(items) if set(CELL_FIXTURES) & set(item.fixturenames)]
    known = set(ours)
    positions = [index for index, item in enumerate(items) if item in known]
    rank = {name: number for number, name in enumerate(CELL_FIXTURES)}

    def in_grid_order(item: pytest.Function) -> tuple[int, str, int]:
        name = next(n for n in CELL_FIXTURES if n in item.fixturenames)
        return rank[name], item.nodeid.partition("[")[0], item.callspec.indices[name]

    for index, item in zip(positions, sorted(ours, key=in_grid_order), strict=True):
        items[index] = item


def note_planned(session: pytest.Session) -> None:
    """Keep which latency cells will run, and which checkpoints all tests need."""
    tests = list(_suite_tests(session.items))
    session.config.stash[_PLANNED] = tuple(
        cast("Cell", point) for test in tests for point in _points_of(test, "latency_cell")
    )
    session.config.stash[_VARIANTS] = tuple(
        dict.fromkeys(
            variant
            for test in tests
            for name in ("variant", "accuracy_cell", "latency_cell")
            for point in _points_of(test, name)
            for variant in _variants_of(point)
        )
    )


def planned_cells(config: pytest.Config) -> tuple[Cell, ...]:
    """Return the latency cells that will run: they are timed in one session."""
    return config.stash.get(_PLANNED, ())


def planned_variants(config: pytest.Config) -> tuple[Variant, ...]:
    """Return the checkpoints that this run needs."""
    return config.stash.get(_VARIANTS, ())


def _suite_tests(items: Sequence[pytest.Item]) -> Iterator[pytest.Function]:
    for item in items:
        if isinstance(item, pytest.Function) and "harness" in item.fixturenames:
            yield item


def _points_of(test: pytest.Function, fixture: str) -> tuple[Any, ...]:
    """Return the point of the grid that a test got for a fixture, if it asks for it."""
    point = test.callspec.params[fixture] if fixture in test.fixturenames else None
    return () if point is None else (point,)


def _variants_of(point: Any) -> tuple[Variant, ...]:
    """Return the checkpoints that a point of the grid needs: its own, and the dense one beside it."""
    variant: Variant = getattr(point, "variant", point)
    return (variant.dense, variant)
