"""torchvision can be imported beside a torch that its compiled operators do not fit."""

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
import torch

from pruning_core import torchvision_compat
from pruning_core.torchvision_compat import declare_missing_schemas

# Each test that declares takes a name of its own: an operator that torch has seen once stays known.


@pytest.fixture
def torchvision_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for torchvision's folder, with a `_C` that no torch can load."""
    (tmp_path / f"_C{EXTENSION_SUFFIXES[-1]}").write_bytes(b"built for another torch")
    monkeypatch.setattr(torchvision_compat, "_torchvision_folder", lambda: tmp_path)
    return tmp_path


def test_torchvision_can_be_imported_afterwards() -> None:
    """Through the module both libraries import without a warning, and torchvision builds a network."""
    code = (
        "from pruning_core.torchvision_compat import models, torch_pruning\n"
        "models.resnet18()\n"
        "torch_pruning.importance.MagnitudeImportance()"
    )
    # A Python of its own: in this one torchvision may have been imported long ago.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_declares_schemas_where_the_operators_do_not_load(
    torchvision_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a `_C` that cannot be loaded, the operator is known afterwards, but has no kernel."""
    monkeypatch.setattr(torchvision_compat, "SCHEMAS", {"unloadable": "unloadable(Tensor x) -> Tensor"})
    library = declare_missing_schemas()
    assert library is not None
    with pytest.raises(NotImplementedError, match="torchvision::unloadable"):
        torch.ops.torchvision.unloadable(torch.zeros(1))


def test_declares_schemas_where_there_are_no_operators(
    torchvision_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torchvision that was built without `_C` needs the schemas as well."""
    next(torchvision_folder.iterdir()).unlink()
    monkeypatch.setattr(torchvision_compat, "SCHEMAS", {"unbuilt": "unbuilt(Tensor x) -> Tensor"})
    library = declare_missing_schemas()
    assert library is not None
    assert hasattr(torch.ops.torchvision, "unbuilt")


def test_declares_nothing_where_the_operators_load(
    torchvision_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `_C` that fits is loaded, and its operator keeps its kernel."""
    brought = torch.library.Library("torchvision", "FRAGMENT")

    def load_library(path: str) -> None:
        brought.define("loadable(Tensor x) -> Tensor")
        brought.impl("loadable", lambda x: x + 1, "CPU")

    monkeypatch.setattr(torch.ops, "load_library", load_library)
    monkeypatch.setattr(torchvision_compat, "SCHEMAS", {"loadable": "loadable(Tensor x) -> Tensor"})
    assert declare_missing_schemas() is None
    assert torch.ops.torchvision.loadable(torch.zeros(1)).item() == 1


def test_declares_only_once() -> None:
    """A second call finds all operators there and declares nothing."""
    assert hasattr(torch.ops.torchvision, "nms")
    assert declare_missing_schemas() is None


def test_without_torchvision_nothing_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torchvision is not installed, importing it shall fail with its own plain message."""
    monkeypatch.setattr(torchvision_compat, "_torchvision_folder", lambda: None)
    monkeypatch.setattr(torchvision_compat, "SCHEMAS", {"never": "never(Tensor x) -> Tensor"})
    assert declare_missing_schemas() is None
    assert not hasattr(torch.ops.torchvision, "never")


@pytest.mark.parametrize("file", ["timm/__init__.py", "timm.py"])
def test_a_users_own_timm_is_not_taken_for_the_library(tmp_path, file):
    """torch-pruning is imported beside a package or file of that name, which can be imported later."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("")
    code = (
        "import sys, importlib.metadata as m\nreal = m.distribution\n"
        "def distribution(name):\n"
        "    if name == 'timm': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        f"m.distribution = distribution\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "import pruning_core.torchvision_compat\nimport timm\n"
        f"assert {str(tmp_path)!r} in str(timm.__path__ if hasattr(timm, '__path__') else timm.__file__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
