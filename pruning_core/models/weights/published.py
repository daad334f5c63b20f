"""Weights that a library has published: where their file lies, and what the network is to be given.

Nothing is downloaded unless the user asks for it. Who has published any: `torchvision_weights.py`,
`timm_weights.py`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pruning_core.errors import ModelError, first_line

Adapt = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""From the names in a published file to those that the library's networks have today."""

Color = tuple[float, ...]
"""A number for each channel."""


@dataclass(frozen=True)
class Published:
    """Weights that a library has published."""

    name: str  # with the library's, for records: `torchvision:ResNet18_Weights.IMAGENET1K_V1`
    path: Path  # where they lie, or will
    url: str
    download: Callable[[], Path]
    mean: Color  # of the images that they were trained on, …
    std: Color  # … by which their pixels in [0, 1] were normalised
    adapt: Adapt = dict


def published_file(published: Published, download: bool) -> Path:
    """Return the file of published weights.

    Args:
        published: From one of `PUBLISHERS`.
        download: Whether it may be downloaded.

    Raises:
        ModelError: In one line, if it is not on this machine and may not or cannot be downloaded, or is not
            as its name says.
    """
    if published.path.is_file():
        _check_hash(published)
        return published.path
    if not download:
        raise ModelError(
            f"weights {published.name}: there is no {published.path}. Give --download, or put there "
            f"{published.url}"
        )
    try:
        return published.download()
    except Exception as error:  # of urllib, torch.hub and huggingface_hub
        raise ModelError(
            f"weights {published.name}: cannot download {published.url}: {first_line(error)}"
        ) from error


def download_to_torch_cache(url: str, path: Path) -> Path:
    """Download a file to where torch keeps such; its name may hold the beginning of its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), _hash_in(path.name), progress=False)
    return path


def _hash_in(name: str) -> str | None:
    """Return the beginning of the hash that a file's name says its content has; None where it says none."""
    found = re.search(r"-([0-9a-f]{8,})\.", name)
    return found.group(1) if found else None


def _check_hash(published: Published) -> None:
    path, expected = published.path, _hash_in(published.path.name)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest() if expected else ""
    except OSError as error:
        raise ModelError(f"weights {published.name}: cannot read {path}: {error.strerror or error}") from None
    if expected and not found.startswith(expected):
        raise ModelError(
            f"weights {published.name}: {path} is not the published file, whose sha256 begins with "
            f"{expected}, its own with {found[: len(expected)]}: delete it, and give --download, or put "
            f"there {published.url}"
        )


def torch_cache(url: str) -> Path:
    """Return where torch keeps what it has downloaded from an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
