"""Where a user's modules are looked for: here, in the project's root, its `src/`, pytest's `pythonpath`."""

import configparser
import tomllib
from collections.abc import Sequence
from pathlib import Path

_ROOT_MARKS = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", "setup.py", ".git")
_INI_SECTIONS = {"pytest.ini": "pytest", "tox.ini": "pytest", "setup.cfg": "tool:pytest"}

_project: list[Path] = []


def set_project(root: Path | None, pythonpath: Sequence[Path] = (), suites: Sequence[Path] = ()) -> None:
    """Set where the project lies.

    Args:
        root: Its root, as pytest found it; None: the nearest folder above that looks like one.
        pythonpath: Further folders, those that pytest is told to look in.
        suites: Files or folders of suites; a module may lie beside them, or in the folder above.
    """
    folders = [suite if suite.is_dir() else suite.parent for suite in suites]
    beside = [path for folder in folders for path in (folder.parent, folder.parent / "src", folder)]
    _project[:] = [] if root is None else [root, root / "src", *pythonpath, *beside]


def searched_folders() -> list[Path]:
    """Return the folders that a user's module is looked for in, in order."""
    here = Path.cwd()
    folders = (here, *(_project or _find_project(here)))
    return list(dict.fromkeys(folder.absolute() for folder in folders if folder.is_dir()))


def _find_project(start: Path) -> list[Path]:
    """Return the root above a folder, its `src/`, and what its settings of pytest call `pythonpath`."""
    root = next((f for f in (start, *start.parents) if any((f / m).exists() for m in _ROOT_MARKS)), start)
    return [root, root / "src", *(root / path for path in _pythonpath_of(root))]


def _pythonpath_of(root: Path) -> list[str]:
    """Read pytest's setting from the first file that has one; a damaged file says nothing."""
    try:
        for name, section in _INI_SECTIONS.items():
            ini = configparser.ConfigParser(interpolation=None)
            ini.read(root / name, encoding="utf-8")
            if ini.has_option(section, "pythonpath"):
                return ini.get(section, "pythonpath").split()
        tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
        paths = tool.get("pytest", {}).get("ini_options", {}).get("pythonpath", [])
    except (OSError, ValueError, AttributeError, configparser.Error):
        return []
    return paths.split() if isinstance(paths, str) else [path for path in paths if isinstance(path, str)]
