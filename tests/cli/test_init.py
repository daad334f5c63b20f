"""`pruning-bench init` writes a starter into a user's repository, and changes no file that exists."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from pruning_core.cli import cli
from pruning_core.cli.init import PLUGIN_LINE
from pruning_core.config.grid import read_grid
from pruning_core.config.grid_files import own_grid, shipped_suites
from pruning_core.config.thresholds import read_thresholds
from pruning_core.errors import OptionError, UnknownNameError
from pruning_core.gate.policy import read_policy
from pruning_core.models import build_model
from pruning_core.suites.validate import validate_grid

STARTER = {
    "conftest.py",
    "pytest.ini",
    "bench/test_cost.py",
    "bench/test_accuracy.py",
    "bench/test_latency.py",
    "bench/grids/quick.toml",
    "bench/thresholds.toml",
    "gate.toml",
    ".github/workflows/pruning-bench.yml",
    "my_nets.py",
}


def init(*arguments):
    """Run the command; return what it said."""
    return CliRunner().invoke(cli, ["init", *map(str, arguments)], catch_exceptions=False).output


def files_of(folder):
    """Return the names of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_empty_repository_gets_a_whole_starter(tmp_path, monkeypatch):
    """Suites, grid, limits, gate policy, CI job, conftest and an example network; each can be read."""
    said = init(tmp_path / "mine")
    mine = tmp_path / "mine"
    assert files_of(mine) == STARTER
    assert all(name in said for name in STARTER)
    assert "pytest bench/ --benchmark-json base.json" in said
    assert PLUGIN_LINE in (mine / "conftest.py").read_text()
    monkeypatch.syspath_prepend(str(mine))
    grid = read_grid(own_grid(mine))
    assert (grid.model, grid.dataset) == (("my_nets:build",), ("digits",))
    validate_grid(grid)
    assert read_thresholds(mine / "bench" / "thresholds.toml").entries
    assert read_policy(mine / "gate.toml").tolerances.inconclusive == "report"


def test_the_suites_are_ours(tmp_path):
    """There is one source of the suites: `bench/`."""
    init(tmp_path)
    for suite in ("cost", "accuracy", "latency"):
        name = f"test_{suite}.py"
        assert (tmp_path / "bench" / name).read_text() == (shipped_suites() / name).read_text()


def test_the_example_takes_any_number_of_classes_and_channels():
    """The small network fits every dataset."""
    network = build_model("pruning_core.cli.starter.my_nets:build", 7, (1, 28, 28))
    assert network.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 7)


def test_what_is_there_is_left_as_it_is(tmp_path):
    """Files of the user's own are not changed, but listed; a second run changes nothing."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "conftest.py").write_text("# mine\n")
    (tmp_path / "bench" / "thresholds.toml").symlink_to(tmp_path / "nowhere")
    said = init(tmp_path)
    assert "kept     conftest.py" in said
    assert "kept     bench/thresholds.toml" in said
    assert f"Add to it: {PLUGIN_LINE}" in said
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert before[tmp_path / "conftest.py"] == "# mine\n"
    assert "written" not in init(tmp_path)
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_conftest_that_asks_for_the_plugin_needs_nothing(tmp_path):
    """Where the line stands already, also among other plugins, nothing is said of it."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ("pytester", "pruning_core.pytest_plugin")\n')
    assert "Add to it" not in init(tmp_path)


@pytest.mark.parametrize("name", ["pyproject.toml", "pytest.ini", "setup.py"])
def test_a_project_with_settings_of_its_own_keeps_them(tmp_path, name):
    """A pytest.ini is written only where pytest would not know the root folder."""
    (tmp_path / name).write_text("")
    init(tmp_path)
    assert files_of(tmp_path) == (STARTER - {"pytest.ini"}) | {name}


def test_a_folder_inside_a_project_is_refused(tmp_path):
    """pytest loads plugins from its root folder's conftest.py alone: there the starter belongs."""
    (tmp_path / "tox.ini").write_text("[pytest]\n")
    with pytest.raises(OptionError, match=f"pruning-bench init {tmp_path}`"):
        init(tmp_path / "below")
    assert files_of(tmp_path) == {"tox.ini"}


def test_a_network_and_pictures_of_ones_own_stand_in_the_grid(tmp_path):
    """--model and --dataset go into the grid; then no example network is written."""
    init(tmp_path, "--model", "nets:a,nets:b", "--dataset", 'folder:da"ta/\\teile')
    assert "my_nets.py" not in files_of(tmp_path)
    grid = read_grid(own_grid(tmp_path))
    assert grid.model == ("nets:a", "nets:b")
    assert grid.dataset == ('folder:da"ta/\\teile',)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "resnet81"], "no model 'resnet81'. Did you mean 'resnet18'"),
        (["--model", ""], "at least one name"),
        (["--dataset", "digit"], "no dataset 'digit'. Did you mean 'digits'"),
        (["--model", "nets:a\x7f"], "control character"),
    ],
)
def test_names_that_cannot_be_are_refused_before_anything_is_written(tmp_path, arguments, expected):
    """A slip of the pen is found at once, and leaves no half of a starter."""
    with pytest.raises(OptionError, match=expected):
        init(tmp_path, *arguments)
    assert files_of(tmp_path) == set()


def test_a_file_in_the_way_is_said_in_one_line(tmp_path):
    """Where `bench` is a file, no folder can be made."""
    (tmp_path / "bench").write_text("")
    with pytest.raises(OptionError, match=r"cannot write .*test_cost.py: "):
        init(tmp_path)


def test_a_librarys_network_is_looked_up(tmp_path):
    """A slip in the name of a library's network is told at once; a module of the user's may come later."""
    with pytest.raises(UnknownNameError, match="Did you mean 'torchvision:resnet18'"):
        init(tmp_path / "a", "--model", "torchvision:resnet81")
    assert not (tmp_path / "a").exists()
    assert "written" in init(tmp_path / "b", "--model", "torchvision:resnet18,later:build")


def test_a_disk_that_is_full_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    """The next call writes what was not written whole, instead of keeping half of it."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    opened = Path.open

    def on_a_full_disk(path, *arguments, **options):
        if path.name != "gate.toml" or arguments[:1] != ("x",):
            return opened(path, *arguments, **options)
        opened(path, *arguments, **options).close()
        return opened(Path("/dev/full"), "w", encoding="utf-8")

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(OptionError, match=r"cannot write .*gate\.toml: No space left"):
        init(tmp_path)
    monkeypatch.undo()
    assert "gate.toml" not in files_of(tmp_path)
    assert "written  gate.toml" in init(tmp_path)
