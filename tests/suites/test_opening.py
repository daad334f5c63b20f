"""`prepare` and the suites begin alike: one way from options to a grid and a workspace."""

import sys

import pytest

from pruning_core.config.cells import latency_cells, variants
from pruning_core.errors import OptionError, UnknownNameError
from pruning_core.progress import ProgressDisplay
from pruning_core.suites.opening import load_grid, open_workspace
from pruning_core.tasks import check_task_name
from tests.helpers.own_task import write_task


@pytest.fixture
def grid_file(tmp_path):
    """Write a grid with a chain and a normalisation of its own."""
    path = tmp_path / "mine.toml"
    path.write_text('ratios = [0.25, 0.5]\nnormalize = "[-1,1]"\n[train]\nepochs = 3\n')
    return path


def test_options_replace_what_the_file_says(grid_file):
    """A seed is that of both trainings, a target error that of latency; what is not given stays."""
    grid = load_grid(grid_file, {"seed": 7, "target_error": 0.03, "model": None, "batch_sizes": "1,8"})
    assert (grid.train.seed, grid.fine_tune.seed, grid.train.epochs) == (7, 7, 3)
    assert grid.latency.target_error == 0.03
    assert grid.batch_sizes == (1, 8)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"model": "resnet81"}, UnknownNameError), ({"ratios": "2"}, OptionError), ({"seed": -1}, OptionError)],
)
def test_a_mistake_is_found_before_any_work(grid_file, options, error):
    """Names that no table holds and values out of range are refused when the grid is loaded."""
    with pytest.raises(error):
        load_grid(grid_file, options)


def test_a_workspace_fits_its_grid(grid_file, tmp_path, capsys):
    """It normalises as the grid says, and says so where ratios of an option make another chain."""
    grid = load_grid(grid_file, {"ratios": "0.5"})
    workspace = open_workspace(
        grid,
        grid_file,
        variants=list(variants(grid)),
        own_ratios=True,
        root=tmp_path / "store",
        display=ProgressDisplay(),
    )
    assert workspace.dataset("digits").spec.mean == (0.5, 0.5, 0.5)
    assert workspace.before_first_training is not None
    assert "0.5 follows 0.25" in capsys.readouterr().err


def test_a_users_task_brings_its_data(grid_file, tmp_path, monkeypatch):
    """A task replaces the dataset in every cell; beside a dataset that was asked for it is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    task = f"{write_task(tmp_path)}:Sums"
    model = task.replace("Sums", "build")
    grid = load_grid(grid_file, {"task": task, "model": model})
    assert {(v.task, v.dataset, v.dataset_name) for v in variants(grid)} == {(task, task, task)}
    assert {c.variant.task for c in latency_cells(grid)} == {task}
    assert {v.task for v in variants(load_grid(grid_file, {}))} == {"classification"}
    with pytest.raises(OptionError, match=r"^--task and --dataset: a task of your own brings its data"):
        load_grid(grid_file, {"task": task, "dataset": "digits"})
    grid_file.write_text(f'task = "{task}"\n')
    with pytest.raises(OptionError, match="a task of your own brings its data"):
        load_grid(grid_file, {"dataset": "digits"})
    grid_file.write_text(f'dataset = "digits"\ntask = "{task}"\n')
    with pytest.raises(OptionError, match=r"task and dataset: .* leave dataset out   \(in .*, line 1\)"):
        load_grid(grid_file, {})
    with pytest.raises(UnknownNameError, match="no task 'regresion'"):
        check_task_name("regresion")
