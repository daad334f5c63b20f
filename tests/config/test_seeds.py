"""Several seeds: replicates of one grid, told apart in ids; times are those of the first."""

import pytest

from pruning_core.config.cells import accuracy_cells, latency_cells, variants
from pruning_core.config.grid import make_grid
from pruning_core.errors import OptionError
from pruning_core.suites.opening import load_grid
from pruning_core.suites.summary_table import summary_fields, summary_table
from tests.helpers.made_up_methods import method_content

SMALL = {"ratios": [0.5], "batch_sizes": 1}


@pytest.mark.parametrize(("text", "seeds"), [("0,1,2", (0, 1, 2)), (3, (3,)), ([4, 0], (4, 0)), ([], ())])
def test_seeds_are_read_as_people_write_them(text, seeds):
    """In one text, alone, or in a list; none is the one of the trainings."""
    assert make_grid({"seeds": text}).seeds == seeds


@pytest.mark.parametrize("seeds", ["0,0", "-1", "one", "1.5", [2**32], [True], "0,"])
def test_seeds_that_cannot_be_are_refused(seeds):
    """In one line."""
    with pytest.raises(OptionError, match="seeds") as error:
        make_grid({"seeds": seeds})
    assert "\n" not in str(error.value)


def test_accuracy_is_of_each_seed_and_times_are_of_the_first():
    """A control belongs to the seed whose cells it stands before; each id is there once."""
    grid = make_grid({**SMALL, "seeds": "5,6"})
    assert {cell.variant.seed for cell in accuracy_cells(grid)} == {5, 6}
    timed = list(latency_cells(grid))
    assert {cell.variant.seed for cell in timed} == {5}
    assert all(cell.reference.variant.seed == 5 for cell in timed)
    for cells in (list(accuracy_cells(grid)), timed):
        assert len({cell.id for cell in cells}) == len(cells)


def test_without_seeds_ids_are_as_they_were():
    """The one seed of the trainings is in no id."""
    assert [v.id for v in variants(make_grid(SMALL))] == [
        "resnet18-digits-dense",
        "resnet18-digits-magnitude-0.5",
    ]


def test_one_seed_replaces_the_seeds_of_a_file(tmp_path):
    """`--seed` is a run of that seed alone; beside `--seeds` it is refused."""
    path = tmp_path / "g.toml"
    path.write_text("seeds = [0, 1]\n")
    grid = load_grid(path, {"seed": 7})
    assert (grid.seeds, grid.train.seed, grid.fine_tune.seed) == ((), 7, 7)
    assert load_grid(path, {"seeds": "4"}).seeds == (4,)
    with pytest.raises(OptionError, match="--seed and --seeds: name one seed or several"):
        load_grid(path, {"seed": 7, "seeds": "1,2"})


def test_the_end_of_a_run_tells_seeds_apart():
    """A row each; a run of one seed says nothing of it."""
    several = method_content({"magnitude": [338, 339]})["benchmarks"]
    lines = "\n".join(summary_table([summary_fields(entry["extra_info"]) for entry in several]))
    assert "0.5 s0" in lines
    assert "0.5 s1" in lines
    one = method_content({"magnitude": [338]})["benchmarks"]
    assert " s0" not in "\n".join(summary_table([summary_fields(entry["extra_info"]) for entry in one]))
