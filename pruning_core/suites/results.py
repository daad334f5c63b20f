"""Where a run's results go: `--benchmark-json` is tried before the run, and nothing is lost after it."""

import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import OptionError
from pruning_core.files.home import expand_home

_PROBE_BYTES = 1_000_000
"""A run of a few dozen cells is about as large."""


def json_target(config: pytest.Config) -> Path | None:
    """Return the path of `--benchmark-json`; None without one, or without pytest-benchmark."""
    given = config.getoption("benchmark_json", None)
    if not given:
        return None
    # In older releases of pytest-benchmark argparse opens the file, and the option is the open file.
    return Path(given if isinstance(given, str | Path) else given.name)


def check_target(path: Path) -> None:
    """Find out before a long run whether its results can be written after it; what stands there stays.

    Raises:
        OptionError: If its folder is missing, it is a folder, or it cannot be written.
    """
    try:
        if path.is_dir():
            raise OptionError(f"cannot write --benchmark-json {path}: it is a folder. Name a file in it")
        if not path.parent.is_dir():
            raise OptionError(
                f"cannot write --benchmark-json {path}: there is no folder {path.parent}. Make it first"
            )
        if path.is_file():
            with path.open("r+b"):
                pass
        if not path.exists() or (path.is_file() and os.access(path.parent, os.W_OK)):
            with tempfile.TemporaryFile(dir=path.parent) as file:
                file.write(b"\0" * _PROBE_BYTES)
                file.flush()
        if not path.exists():
            real = Path(os.path.realpath(path))  # else a dangling link would be removed
            real.touch()  # a name may be too long
            real.unlink()
    except OSError as error:
        raise OptionError(f"cannot write --benchmark-json {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise OptionError(f"cannot write --benchmark-json {str(path)!r}: {error}") from None


def rescue_results(config: pytest.Config, say: Callable[[str], None]) -> None:
    """Have pytest-benchmark's results written elsewhere where they cannot be written as asked.

    Args:
        config: Its pytest-benchmark session is already there.
        say: Takes one line for each file that could not be written.
    """
    session: Any = config.pluginmanager.getplugin("pytest-benchmark")
    if session is None:
        return
    save_json, storage = session.save_json, session.storage
    save_in_storage = storage.save

    def save_json_or_rescue(output_json: Any) -> None:
        try:
            save_json(output_json)
        except OSError as error:
            say(_rescue(config, output_json, f"--benchmark-json {json_target(config)}", error))

    def save_in_storage_or_rescue(output_json: Any, name: Any) -> None:
        try:
            save_in_storage(output_json, name)
        except OSError as error:
            say(_rescue(config, output_json, f"into the storage {storage}", error))

    session.save_json = save_json_or_rescue
    storage.save = save_in_storage_or_rescue


def _rescue(config: pytest.Config, results: Any, target: str, error: OSError) -> str:
    """Write results beside the store, else into the system's temporary folder; return a line on where."""
    from pytest_benchmark import utils

    serialize: Any = utils.safe_dumps  # has no types
    text = serialize(results, ensure_ascii=True, indent=4)
    name = f"pruning-bench-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.json"
    problem = f"error: cannot write {target}: {error.strerror or error}"
    for folder in (_beside_store(config), Path(tempfile.gettempdir())):
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError:
            path.unlink(missing_ok=True)  # a full disk leaves half a file
        else:
            return f"{problem}. The results are in {path}"
    sys.stdout.write(text + "\n")
    return f"{problem}; nor can anything be written beside the store or in {tempfile.gettempdir()}"


def _beside_store(config: pytest.Config) -> Path:
    named = config.getoption("--store")
    if named:
        return expand_home(Path(named)).absolute().parent
    from pruning_core.store import default_root

    return default_root().absolute().parent
