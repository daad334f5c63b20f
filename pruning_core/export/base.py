"""What a format must do: write a network into a file, and say how its public runtime reads that file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from pruning_core.config.spec import CheckpointSpec

Metadata = Mapping[str, object]
"""What is written beside the weights (`metadata.py`): name → text, or what JSON can hold."""


@dataclass(frozen=True)
class Material:
    """What a format may write: a network, and what is known of it."""

    network: nn.Module
    """In float32, on the CPU, in evaluation mode; it stays as it is."""

    build_dense: Callable[[], nn.Module]
    """Builds the dense network that it was pruned from, untrained."""

    spec: CheckpointSpec
    """Of its checkpoint."""

    example: Tensor
    """An image of zeros, (1, C, H, W)."""

    precision: str
    """One that the format has."""

    batch_size: int
    """Images in a call, for formats that fix it; the others take any number."""

    calibration: Tensor | None
    """Normalised training images, (N, C, H, W): int8 needs them."""

    metadata: Metadata

    min_agreement: float
    """Images that must be predicted as by eager fp32, fraction: of the precision, or of the cell."""


class ExportFormat(ABC):
    """A kind of file that a public runtime reads without this program."""

    name: str
    """Its name in `EXPORTS`."""

    ending: str
    """Of the file's name; empty where it is a folder."""

    precisions: tuple[str, ...]

    int8_backend = ""
    """The backend whose answers in int8 the file must repeat: to rounding, since it is the same file."""

    packages: tuple[str, ...] = ()
    """Besides torch, what writes and reads it; as they are called in an import."""

    extra = ""
    """Of ours, that installs them."""

    forbidden: tuple[str, ...] = ()
    """What its reader must not import, beside this program and torch-pruning."""

    fixed_batch = False
    """Whether a file takes one number of images alone."""

    reader: str
    """Python that opens the file `path` on so many CPU `threads`: sets `predict`, a function from images
    (N, C, H, W), a float32 array, to logits (N, classes), and `runtime`, its name and version. It runs in a
    process of its own (`public_runtime.py`)."""

    @abstractmethod
    def write(self, material: Material, path: Path) -> None:
        """Write a network; the same network gives the same bytes, as far as the format's library allows.

        Args:
            material: The network, and what is known of it.
            path: Of the file or folder, which is not there yet; its name ends as the format's do.

        Raises:
            BackendError: If the format, or the library that writes it, cannot hold this network.
        """

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files that `write` makes: those that one must keep together."""
        return (path,)


def size_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return path.stat().st_size
