"""`~` is expanded wherever a folder or a file is named, and that of nobody is one line."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from pruning_core.api.loading import find_checkpoint
from pruning_core.cli import cli
from pruning_core.config.weights import WeightsChoice
from pruning_core.errors import OptionError, PruningBenchError
from pruning_core.files.home import expand_home
from pruning_core.models.weights import check_weights
from pruning_core.store import Store, default_root
from pruning_core.suites.grid_choice import folder_option


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give a home, and an empty current folder beside it."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_only_what_begins_with_it_is_expanded(home):
    """Another `~` is part of a name."""
    assert expand_home(Path("~/x")) == home / "x"
    assert expand_home(Path("a~/~")) == Path("a~/~")
    with pytest.raises(OptionError, match=r"^--store ~no-such-user/x: there is no user of that name"):
        expand_home(Path("~no-such-user/x"), "--store")


def test_the_store_lies_in_the_home(home, monkeypatch):
    """By an option of a command or of pytest, by the variable, from Python; no folder called `~` is made."""
    Store(home / "store")
    listed = CliRunner().invoke(cli, ["store", "ls", "--store=~/store"], catch_exceptions=False)
    assert listed.exit_code == 0, listed.output
    assert folder_option(SimpleNamespace(getoption=lambda _: "~/store"), "--store") == home / "store"
    monkeypatch.setenv("PRUNING_BENCH_STORE", "~/store")
    assert default_root() == home / "store"
    assert CliRunner().invoke(cli, ["store", "ls"], catch_exceptions=False).exit_code == 0
    with pytest.raises(PruningBenchError, match=f"0 checkpoints in {home}/store"):
        find_checkpoint("~/store", "")
    assert list(Path.cwd().iterdir()) == []


def test_the_home_of_nobody_is_one_line(home, monkeypatch):
    """A store, a folder of data and weights below it are mistakes of the user's."""
    refused = CliRunner().invoke(cli, ["prepare", "--data-root=~no-such-user/x"], standalone_mode=True)
    assert refused.exit_code == 2
    assert "no user of that name" in refused.output
    monkeypatch.setenv("PRUNING_BENCH_STORE", "~no-such-user/x")
    for call in (
        default_root,
        lambda: find_checkpoint("~no-such-user/x", ""),
        lambda: check_weights(WeightsChoice(source="~no-such-user/x.pt"), "mine:net"),
        lambda: check_weights(WeightsChoice(source="~no-such-user/x.pt#model"), "mine:net"),
        lambda: folder_option(SimpleNamespace(getoption=lambda _: "~no-such-user/x"), "--store"),
    ):
        with pytest.raises(PruningBenchError, match="no user of that name") as caught:
            call()
        assert "\n" not in str(caught.value)
