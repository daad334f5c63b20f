"""Grids are found in a project, and those that we ship everywhere."""

import subprocess
import sys

import pytest

from pruning_core.config.grid_files import find_grid, own_grid, shipped_suites
from pruning_core.errors import UnknownNameError


def write_grid(folder, name="quick"):
    """Write an empty grid into a project; return its path."""
    grids = folder / "bench" / "grids"
    grids.mkdir(parents=True, exist_ok=True)
    (grids / f"{name}.toml").write_text("")
    return grids / f"{name}.toml"


def test_quick_is_the_default_everywhere(tmp_path):
    """In a folder without grids of its own, no name and `quick` mean the grid that we ship."""
    assert find_grid(None, tmp_path) == shipped_suites() / "grids" / "quick.toml"
    assert find_grid("quick", tmp_path) == find_grid("quick") == find_grid(None, tmp_path)
    assert find_grid("backends", tmp_path).is_file()
    assert own_grid(tmp_path) is None


def test_a_projects_own_grid_goes_before_ours(tmp_path):
    """The first project that has a grid of a name gives it; ours stay reachable by their other names."""
    mine, other = write_grid(tmp_path / "mine"), write_grid(tmp_path / "other")
    assert find_grid(None, tmp_path / "mine", tmp_path / "other") == mine
    assert find_grid(None, tmp_path, tmp_path / "other") == own_grid(tmp_path, tmp_path / "other") == other
    assert find_grid("post", tmp_path / "mine") == shipped_suites() / "grids" / "post.toml"


def test_an_unknown_name_lists_ours_too(tmp_path):
    """A slip of the pen outside of a clone is answered with the names there are."""
    with pytest.raises(UnknownNameError, match=r"Did you mean 'quick'\?\n  known: backends, .*quick"):
        find_grid("quik", tmp_path)


def test_prepare_knows_our_grids_in_any_folder(tmp_path):
    """`pruning-bench prepare` finds them outside of the clone."""
    command = [sys.executable, "-m", "pruning_core", "prepare"]
    done = subprocess.run(
        [*command, "--grid", "quik"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "known: backends" in done.stderr
