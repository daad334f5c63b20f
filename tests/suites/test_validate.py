"""What is refused of a grid before anything is trained: what does not go together."""

from pathlib import Path

import pytest

from pruning_core.config.cells import accuracy_cells
from pruning_core.config.grid import make_grid, read_grid
from pruning_core.errors import OptionError
from pruning_core.suites.validate import validate_grid

ROOT = Path(__file__).parent.parent.parent
SPARSE = {"method": "unstructured-l1,block-sparse,dense+", "backends": "eager,csr,bsr"}


@pytest.mark.parametrize(
    "content",
    [
        SPARSE,
        {"method": "semi-structured", "ratios": [0.5], "backends": ["sparse24:bf16"]},
        {"method": "semi-structured", "ratios": [0.0, 0.5]},
    ],
    ids=str,
)
def test_what_goes_together_passes(content) -> None:
    """Methods that mask go on backends that skip zeros, the dense control beside them."""
    grid = make_grid(content)
    assert validate_grid(grid) is None
    assert len(list(accuracy_cells(grid))) > len(grid.backends)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"method": "semi-structured"},
            r"has one ratio, 0\.5: .* got 0\.25, 0\.75, 0\.9\. Take",
        ),
        ({**SPARSE, "method": "unstructured-l1,taylor"}, "'csr' skips weights that are masked, and taylor"),
        (
            {"method": "scratch:magnitude", "backends": "bsr"},
            "'bsr' skips .* scratch:magnitude masks none",
        ),
        ({"backends": "sparse24"}, "'sparse24' has no precision 'fp32'; it has: bf16, fp16"),
        ({"method": "latency-aware", "optimize_for": "csr"}, "'csr' skips .* and latency-aware masks none"),
        ({"target_speedup": [2], "target_on": "csr"}, "'csr' skips .* and magnitude masks none"),
        ({"method": "semi-structured", "ratios": [0.5], "scope": "global"}, "has no scope 'global'"),
    ],
    ids=str,
)
def test_what_does_not_is_one_line(content, said) -> None:
    """A combination that cannot be, or would be timed under a wrong name, is refused in one line."""
    with pytest.raises(OptionError, match=said) as caught:
        validate_grid(make_grid(content))
    assert "\n" not in str(caught.value)


GRIDS = sorted([*(ROOT / "bench" / "grids").glob("*.toml"), *(ROOT / "results").glob("*/*.toml")])


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_each_grid_that_we_keep_passes(path, monkeypatch) -> None:
    """What our grids and those of our results name is there and goes together."""
    monkeypatch.syspath_prepend(ROOT / "results" / "sparse")
    grid = read_grid(path)
    assert validate_grid(grid) is None
    assert grid.targets or any(grid.ratios)
