"""What the documents say is what the program does."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
import torch  # noqa: F401  # before torchvision's schemas

from pruning_core.backends import BACKENDS
from pruning_core.cli import cli
from pruning_core.config.spec import TrainSpec
from pruning_core.datasets import DATASETS
from pruning_core.models import MODELS
from pruning_core.pruning import METHODS
from pruning_core.records.fields import field_table
from pruning_core.suites.options import OPTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def commands(group, path=()):
    """Walk over the commands: their words, and the command itself."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("path", [path for path, _ in commands(cli)], ids=" ".join)
def test_every_command_is_documented(path):
    """The README shows each command."""
    assert f"pruning-bench {' '.join(path)}" in README


@pytest.mark.parametrize(
    "table", [BACKENDS, DATASETS, METHODS, MODELS], ids=["backend", "dataset", "method", "model"]
)
def test_every_name_is_documented(table):
    """The README names each backend, dataset, method and model."""
    assert [name for name in table if f"`{name}`" not in README] == []


def test_the_record_table_is_the_codes():
    """The README's table of fields is the one in records.py."""
    assert field_table() in README


def shell_lines(text):
    """Walk over the commands in a Markdown text's shell blocks."""
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ").partition("  #")[0].strip()


def test_every_option_in_the_readme_exists():
    """Each `pruning-bench` line of the README names a command and options that there are."""
    known = dict(commands(cli))
    lines = [line for line in shell_lines(README) if line.startswith("pruning-bench ")]
    assert lines
    for line in lines:
        words = shlex.split(line)[1:]
        path = next(p for p in known if tuple(words[: len(p)]) == p)
        options = {o for p in known[path].params for o in p.opts}
        for word in words[len(path) :]:
            if word.startswith("-"):
                assert word.partition("=")[0] in options, line


def test_every_pytest_option_is_documented():
    """The README names each option of the suites."""
    assert len(OPTIONS) >= 12
    assert [option for option in OPTIONS if f"`{option}`" not in README] == []


def test_the_changelog_has_the_version():
    """The changelog begins with what is not released yet."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "bench" / "grids").glob("*.toml")), ids=lambda p: p.stem)
def test_every_grid_is_valid(path):
    """Each grid file that we ship can be read, and names what there is."""
    from pruning_core.config.grid import read_grid
    from pruning_core.suites.validate import validate_grid

    grid = read_grid(path)
    assert isinstance(grid.train, TrainSpec)
    validate_grid(grid)


def test_the_thresholds_are_valid():
    """The limits that we ship can be read."""
    from pruning_core.config.thresholds import read_thresholds

    assert read_thresholds(ROOT / "bench" / "thresholds.toml").entries


def option_names():
    """Return every option of the command line and of the suites."""
    return set(OPTIONS) | {o for _, command in commands(cli) for p in command.params for o in p.opts}


def messages():
    """Walk over the texts in the package's code that name an option: file, line, option."""
    for path in sorted((ROOT / "pruning_core").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", node.value):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", option


OTHER_PROGRAMS = {"--query-gpu", "--format", "--help", "--version"}
OTHER_PROGRAMS |= {"--benchmark-json", "--benchmark-disable", "--benchmark-skip"}
"""Options that our texts name of pytest-benchmark, of nvidia-smi, of every command."""


def test_every_option_that_a_message_names_exists():
    """Advice that is given can be followed: each option in a text of ours is one there is."""
    known = option_names() | OTHER_PROGRAMS
    assert [(where, option) for where, option in messages() if option not in known] == []


def named_files(text):
    """Return the files that the docstrings of a source text name in backquotes."""
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Expr)]
    texts = [
        n.value.value for n in nodes if isinstance(n.value, ast.Constant) and isinstance(n.value.value, str)
    ]
    return {name for doc in texts for name in re.findall(r"`([\w/]+\.(?:py|md|js))`", doc)}


def test_files_that_a_docstring_names_exist():
    """A file in backquotes lies beside the one that names it, or below the package or the repository."""
    package = ROOT / "pruning_core"
    gone = [
        (str(path.relative_to(package)), name)
        for path in sorted(package.rglob("*.py"))
        for name in named_files(path.read_text())
        if not any((folder / name).exists() for folder in (path.parent, package, ROOT))
    ]
    assert gone == []
    assert named_files('"""See `gone.py`."""') == {"gone.py"}
