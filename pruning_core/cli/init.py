"""The command `pruning-bench init`: write a starter into a user's repository; existing files are kept."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pruning_core.cli.options import FOLDER
from pruning_core.config.grid_files import shipped_suites
from pruning_core.config.parse import LIBRARIES
from pruning_core.errors import OptionError

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid

PLUGIN_LINE = 'pytest_plugins = ["pruning_core.pytest_plugin"]'

_CONFTEST = f'''"""Settings of every pytest run here: the fixtures and options of pruning-bench."""

{PLUGIN_LINE}
'''
_PYTEST_INI = """# Makes this folder pytest's root: its conftest.py is found from every folder of the project.
[pytest]
"""
_STARTER = Path(__file__).parent / "starter"
_EXAMPLE_FILE, _EXAMPLE = "my_nets.py", "my_nets:build"


@click.command()
@click.argument("folder", type=FOLDER, default=Path())
@click.option(
    "--model", metavar="LIST", help="Network, usually module:function (default: a small one is written)."
)
@click.option(
    "--dataset",
    metavar="LIST",
    default="digits",
    show_default=True,
    help="Name, folder:PATH or module:function.",
)
def init(folder: Path, model: str | None, dataset: str) -> None:
    """Write suites, a grid, limits, a gate's policy and a CI job into FOLDER, your repository.

    Existing files are kept.
    """
    _check_root(folder)
    contents = dict(_starter_files(folder, model, dataset))
    written: list[str] = []
    left: list[str] = []
    for name, text in contents.items():
        (written if _write_new(folder / name, text) else left).append(name)
    for name in written:
        click.echo(f"written  {name}")
    for name in left:
        click.echo(f"kept     {name}")
    if "conftest.py" in left and not _asks_for_plugin(folder / "conftest.py"):
        click.echo(f"\nYour conftest.py does not ask for our plugin yet. Add to it: {PLUGIN_LINE}")
    where = "" if folder.resolve() == Path.cwd().resolve() else f"  cd {folder}\n"
    click.echo(
        f"\nNext:\n{where}"
        "  pytest bench/ --benchmark-json base.json\n"
        "  pruning-bench report base.json\n"
        "then change something, and\n"
        "  pytest bench/ --benchmark-json new.json\n"
        "  pruning-bench gate base.json new.json --policy gate.toml"
    )


def _starter_files(folder: Path, model: str | None, dataset: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file that belongs into the project."""
    yield "conftest.py", _CONFTEST
    if not _has_pytest_settings(folder):
        yield "pytest.ini", _PYTEST_INI
    for suite in ("cost", "accuracy", "latency"):
        name = f"test_{suite}.py"
        yield f"bench/{name}", (shipped_suites() / name).read_text(encoding="utf-8")
    yield "bench/grids/quick.toml", _grid_text(_EXAMPLE if model is None else model, dataset)
    yield "bench/thresholds.toml", _starter_text("thresholds.toml")
    yield "gate.toml", _starter_text("gate.toml")
    yield ".github/workflows/pruning-bench.yml", _starter_text("pruning-bench.yml")
    if model is None:
        yield _EXAMPLE_FILE, _starter_text(_EXAMPLE_FILE)


def _starter_text(name: str) -> str:
    return (_STARTER / name).read_text(encoding="utf-8")


def _grid_text(model: str, dataset: str) -> str:
    """Return the grid with the user's names in it.

    Raises:
        OptionError: If they are no names of models and datasets.
    """
    from pruning_core.config.grid import make_grid

    grid = make_grid({"model": model, "dataset": dataset})
    _check_names(grid)
    text = _starter_text("quick.toml")
    for mark, names in (("@MODEL@", grid.model), ("@DATASET@", grid.dataset)):
        text = text.replace(
            mark, json.dumps(names[0] if len(names) == 1 else list(names), ensure_ascii=False)
        )
    try:
        make_grid(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        raise OptionError(
            f"--model {model!r}, --dataset {dataset!r}: a name holds a control character"
        ) from None
    return text


def _check_names(grid: Grid) -> None:
    """Refuse names that no table holds; a user's own modules may be written later."""
    models = [name for name in grid.model if name.partition(":")[0] in LIBRARIES or ":" not in name]
    if not models and grid.dataset == ("digits",):
        return  # the tables import torch
    from pruning_core.datasets import check_dataset_name
    from pruning_core.models import check_model_name

    for name in models:
        check_model_name(name)
    for name in grid.dataset:
        check_dataset_name(name)


def _check_root(folder: Path) -> None:
    """Refuse a folder inside another project: pytest loads plugins from its root folder's conftest.py alone.

    Raises:
        OptionError: If pytest's root folder would be another one.
    """
    if _has_pytest_settings(folder):
        return
    for parent in folder.resolve().parents:
        if _has_pytest_settings(parent):
            raise OptionError(
                f"{folder} belongs to the project in {parent}, and pytest takes plugins from the conftest.py "
                f"there alone. Run `pruning-bench init {parent}`, or give {folder} a pytest.ini of its own"
            )


def _has_pytest_settings(folder: Path) -> bool:
    """Return whether pytest takes a folder for the root of a project."""
    if any((folder / name).exists() for name in ("pytest.ini", ".pytest.ini", "pyproject.toml", "setup.py")):
        return True
    sections = {"tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}
    for name, section in sections.items():
        with suppress(OSError, UnicodeDecodeError):
            if section in (folder / name).read_text(encoding="utf-8"):
                return True
    return False


def _write_new(path: Path, text: str) -> bool:
    """Write a file that does not exist yet, whole or not at all; return whether it was written.

    Raises:
        OptionError: If it cannot be written.
    """
    new = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            new = True
            file.write(text)
    except FileExistsError as error:
        if path.is_symlink() or path.exists():
            return False
        raise OptionError(f"cannot write {path}: {error.filename} is no folder") from None
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from None
    else:
        new = False
    finally:
        if new:
            path.unlink()  # else the next call would keep half a file
    return True


def _asks_for_plugin(conftest: Path) -> bool:
    """Return whether a conftest.py names our plugin; one that cannot be read does not."""
    with suppress(OSError, UnicodeDecodeError, SyntaxError, ValueError):
        tree = ast.parse(conftest.read_text(encoding="utf-8"))
        return any(
            isinstance(node, ast.Constant) and node.value == "pruning_core.pytest_plugin"
            for node in ast.walk(tree)
        )
    return False
