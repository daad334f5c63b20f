"""No test of a dataset reaches the network; a folder of images, and which of them are decoded."""

import socket
from pathlib import Path

import pytest

from pruning_core.datasets import decoding as decoding_module
from pruning_core.datasets import fashion_mnist
from pruning_core.pictures.decode import Fit, Picture
from tests.helpers.image_folder import write_image


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make every attempt to reach the network fail, and look in no folder of this machine."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a test must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two classes, three images each for training, one for testing."""
    root = tmp_path / "images"
    for seed, name in enumerate(("cat", "dog")):
        for number in range(3):
            write_image(root / "train" / name / f"{number}.png", 10 * seed + number)
        write_image(root / "test" / name / "0.png", 100 + seed)
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collect the files that are decoded."""
    files: list[Path] = []
    read = decoding_module.read_picture

    def note(file: Path, sha256: bytes, fit: Fit) -> Picture:
        files.append(file)
        return read(file, sha256, fit)

    monkeypatch.setattr(decoding_module, "read_picture", note)
    return files
