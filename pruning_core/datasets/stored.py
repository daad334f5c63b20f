"""Images in a large file: read as they are wanted, so that they are no memory of this process.

The system keeps what was read as long as it has room. Mapped, the pages of such a file would count as memory
of whoever touches them, neighbours included. Evidence: `datasets/README.md`.
"""

import threading
import weakref

import numpy as np
import torch
from torch import Tensor

_STEP_BYTES = 64 * 2**20


class StoredImages:
    """Stands for a tensor of images, uint8 (N, C, H, W), as far as a split is used like one."""

    device = torch.device("cpu")

    def __init__(self, pixels: "np.memmap[tuple[int, ...], np.dtype[np.uint8]]") -> None:
        """Open the file.

        Args:
            pixels: uint8 (N, C, H, W), mapped from the file; only what it says of itself is used.
        """
        assert pixels.filename is not None
        self.shape = torch.Size(pixels.shape)
        self._start = pixels.offset
        self._file = open(pixels.filename, "rb", buffering=0)  # noqa: SIM115  # as long as this object
        self._reading = threading.Lock()
        weakref.finalize(self, self._file.close)

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, wanted: Tensor | slice) -> Tensor:
        """Read some images, uint8 (B, C, H, W).

        Raises:
            OSError: If the file cannot be read any more.
        """
        if isinstance(wanted, slice):
            start, stop, step = wanted.indices(len(self))
            if step == 1:
                found = np.empty((max(0, stop - start), *self.shape[1:]), dtype=np.uint8)
                self._read(start, found)
                return torch.from_numpy(found)
            wanted = torch.arange(start, stop, step)
        found = np.empty((len(wanted), *self.shape[1:]), dtype=np.uint8)
        for index, image in zip(wanted.tolist(), found, strict=True):
            self._read(index, image)
        return torch.from_numpy(found)

    def to(self, device: torch.device) -> Tensor:
        """Return all images on a device, copied there as they are read."""
        images = torch.empty(self.shape, dtype=torch.uint8, device=device)
        step = max(1, _STEP_BYTES // max(1, self.shape[1:].numel()))
        for start in range(0, len(self), step):
            images[start : start + step] = self[start : start + step].to(device)
        return images

    def _read(self, index: int, images: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> None:
        """Fill an array with the image at an index, and those that follow it."""
        left = images.reshape(-1).data
        with self._reading:
            self._file.seek(self._start + index * self.shape[1:].numel())
            while left:
                count = self._file.readinto(left)
                if not count:
                    raise OSError(f"{self._file.name} is shorter than it was")
                left = left[count:]
