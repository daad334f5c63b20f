"""What a cell is measured against."""

from dataclasses import replace

import pytest

from pruning_core.config.cells import latency_cells
from pruning_core.config.grid import make_grid

GRID = make_grid({"ratios": "0.5", "backends": "eager,openvino:int8", "batch_sizes": "2"})


def cell_of(end):
    """Find the cell whose id ends so."""
    return next(cell for cell in latency_cells(GRID) if cell.id.endswith(end))


@pytest.mark.parametrize(
    ("cell", "reference"),
    [
        ("magnitude-0.5-openvino-int8-cpu-b2", "dense-openvino-int8-cpu-b2"),
        ("dense-openvino-int8-cpu-b2", "dense-eager-fp32-cpu-b2"),
        ("dense-eager-fp32-cpu-b2", "dense-eager-fp32-cpu-b2"),
    ],
)
def test_the_chain_of_references(cell, reference):
    """Pruned is paired with dense on the same backend, dense with dense eager fp32, that one with itself."""
    assert cell_of(cell).reference == cell_of(reference)
    assert cell_of(cell).is_control == (cell == reference)


def test_the_reference_backend_and_the_dense_of_a_cell():
    """The same checkpoint on eager fp32; the network a variant was made from."""
    cell = cell_of("magnitude-0.5-openvino-int8-cpu-b2")
    assert cell.on_reference_backend == cell_of("magnitude-0.5-eager-fp32-cpu-b2")
    assert cell.variant.dense == cell_of("dense-eager-fp32-cpu-b2").variant
    assert replace(cell, variant=cell.variant.dense).reference == cell_of("dense-eager-fp32-cpu-b2")
