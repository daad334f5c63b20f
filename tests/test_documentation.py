"""What the documents say is what the program does."""

import ast
import re
import shlex
import subprocess
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
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "bench").rglob("*.md")),
    *sorted((ROOT / "pruning_core").rglob("*.md")),
    *sorted(path for path in (ROOT / "results").rglob("*.md") if path.name != "report.md"),
]
"""Every page that people wrote."""
ALL_PAGES = "\n".join(path.read_text() for path in PAGES)


def page_name(path):
    """Return a page's path below the repository, as a test's id."""
    return str(path.relative_to(ROOT))


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
    """A page's table of fields is the one in `records/fields.py`."""
    assert field_table() in ALL_PAGES


def shell_lines(text):
    """Walk over the commands in a Markdown text's shell blocks."""
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ").partition("  #")[0].strip()


PYTEST_OPTIONS = {"-k", "-n", "-q", "-p"}
PYTEST_OPTIONS |= {"--benchmark-json", "--benchmark-disable", "--benchmark-skip", "--benchmark-compare"}


def unknown_options(text):
    """Return the `pruning-bench` and `pytest bench/` lines of a text that name what there is not."""
    known = dict(commands(cli))
    found = []
    for line in shell_lines(text):
        words = shlex.split(line, comments=True)
        if words[:1] == ["pruning-bench"]:
            path = next((p for p in known if tuple(words[1 : 1 + len(p)]) == p), None)
            options = set() if path is None else {o for p in known[path].params for o in p.opts}
            if path is None:
                found.append(line)
        elif words[:1] == ["pytest"] and any(word.startswith("bench/") for word in words):
            options = set(OPTIONS) | PYTEST_OPTIONS
        else:
            continue
        given = {word.partition("=")[0] for word in words[1:] if re.match("--?[a-z]", word)}
        found += [f"{line}: {option}" for option in sorted(given - options)]
    return found


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_command_on_a_page_exists(path):
    """Each command line of ours on a page names a command and options that there are."""
    assert unknown_options(path.read_text()) == []


@pytest.mark.parametrize(
    "line", ["pruning-bench rapport x", "pruning-bench gate a b --polici c", "pytest bench/ --gird quick"]
)
def test_a_command_that_there_is_not_is_found(line):
    """A wrong command, and a wrong option of either program, are told."""
    assert unknown_options(f"```sh\n{line}\n```\n") != []


def dead_links(path):
    """Return the relative links and pictures of a page that lead nowhere."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    return [t for t in targets if "://" not in t and not (path.parent / t).exists()]


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_link_on_a_page_leads_somewhere(path):
    """What a page links to, or shows, is in the repository."""
    assert dead_links(path) == []


def test_a_dead_link_is_found(tmp_path):
    """A link to a file that is not there is told, one that is there and one elsewhere are not."""
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md#part) [b](page.md) [c](https://example.org/x)")
    assert dead_links(page) == ["gone.md"]


def test_the_example_of_a_variation_applies(tmp_path):
    """The diff in CONTRIBUTING adds a method to the code as it is, in three files at most."""
    (diff,) = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    patch = tmp_path / "method.diff"
    patch.write_text(diff)
    done = subprocess.run(
        ["git", "apply", "--check", "--unidiff-zero", str(patch)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert diff.count("diff --git") <= 3


def test_every_pytest_option_is_documented():
    """A page names each option of the suites."""
    assert len(OPTIONS) >= 12
    assert [option for option in OPTIONS if f"`{option}`" not in ALL_PAGES] == []


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
OTHER_PROGRAMS |= {"--benchmark-columns", "--benchmark-group-by"}
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
