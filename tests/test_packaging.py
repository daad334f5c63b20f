"""What is in the wheel: every package of ours, and the suites and grids of `bench/`."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
SHIPPED = "pruning_core.shipped"


def test_every_package_is_in_the_wheel():
    """pyproject.toml names each folder of the package; `bench/` goes in under a name of its own."""
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "pruning_core").rglob("__init__.py")
    }
    assert set(SETTINGS["packages"]) == found | {SHIPPED}
    assert SETTINGS["package-dir"] == {SHIPPED: "bench"}


def test_every_file_that_is_read_is_in_the_wheel():
    """Each file of a package that is no Python module matches a pattern of its package data."""
    for package, folder in [(p, ROOT.joinpath(*p.split("."))) for p in SETTINGS["packages"]]:
        source = ROOT / "bench" if package == SHIPPED else folder
        for path in source.rglob("*") if package == SHIPPED else source.glob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                name = path.relative_to(source)
                assert any(name.match(pattern) for pattern in SETTINGS["package-data"][package]), path


def test_every_extra_that_a_message_names_exists():
    """What an error tells to install can be installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    sources = [path.read_text() for path in (ROOT / "pruning_core").rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"pruning-bench\[(\w+)\]", text)}
    assert {"timm", "figures"} <= named <= extras.keys()


@pytest.mark.slow
def test_a_repository_of_ones_own():
    """From a wheel, in a fresh environment: init, suites, a change, the gate, beside another's options."""
    command = [ROOT / ".ci" / "own-repository", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
