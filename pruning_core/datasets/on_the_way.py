"""Images that fit neither into memory nor on disk: decoded, by processes, each time they are wanted.

What they are does not depend on how many processes there are, nor on whether a batch was announced.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pruning_core.datasets.stored import StoredImages
from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import BrokenPictureError, ChangedPictureError, Fit, read_picture
from pruning_core.pictures.workers import Decoders, File

_FILES_AT_A_TIME = 16
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class _Announced:
    indices: list[int]
    chunks: "list[Future[NDArray[np.uint8]]]"


class ImagesOnTheWay:
    """Stands for a tensor of images, uint8 (N, 3, H, W), as far as a split is used like one."""

    device = torch.device("cpu")

    def __init__(self, files: Sequence[File], fit: Fit, height: int, width: int, processes: int) -> None:
        """Decode nothing yet.

        Args:
            files: Path and hash of each image.
            fit: What becomes of a picture's size.
            height: Of an image.
            width: Of an image.
            processes: At most so many decode at once.
        """
        self._files, self._fit, self._processes = files, fit, processes
        self.shape = torch.Size((len(files), 3, height, width))
        self._decoders = Decoders(fit, height, width, processes)
        self._to_come: Iterator[Tensor] = iter(())
        self._ahead: deque[_Announced] = deque()

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take."""
        return self.shape.numel()

    def __len__(self) -> int:
        return len(self._files)

    def expect(self, batches: Iterable[Tensor]) -> None:
        """Say which images will be asked for, batch by batch; what was said before is forgotten.

        Args:
            batches: int64 (B,) each, indices.
        """
        self.close()
        self._to_come = iter(batches)
        self._look_ahead()

    def __getitem__(self, wanted: Tensor | slice) -> Tensor:
        """Return some images, uint8 (B, 3, H, W).

        Raises:
            DatasetError: If a file cannot be decoded any more, or has changed.
        """
        chosen = torch.arange(len(self))[wanted] if isinstance(wanted, slice) else wanted
        indices: list[int] = chosen.tolist()
        if not self._ahead or self._ahead[0].indices != indices:
            return self._decode_here(indices)
        announced = self._ahead.popleft()
        self._look_ahead()
        pixels = np.concatenate([chunk.result() for chunk in announced.chunks])
        if not self._ahead:
            self.close()  # an epoch is over: nothing runs beside what follows it
        return torch.from_numpy(pixels)

    def close(self) -> None:
        """Forget what was announced, and end the processes."""
        self._to_come, self._ahead = iter(()), deque()
        self._decoders.close()

    def _look_ahead(self) -> None:
        for batch in islice(self._to_come, _BATCHES_AHEAD + 1 - len(self._ahead)):
            indices: list[int] = batch.tolist()
            chunks = [self._decoders.submit(files) for files in self._in_chunks(indices)]
            self._ahead.append(_Announced(indices, chunks))

    def _in_chunks(self, indices: Sequence[int]) -> Iterator[list[File]]:
        for start in range(0, len(indices), _FILES_AT_A_TIME):
            yield [self._files[index] for index in indices[start : start + _FILES_AT_A_TIME]]

    def _decode_here(self, indices: Sequence[int]) -> Tensor:
        """Decode a few images in threads: so few that processes would not be worth their start."""
        images = np.empty((len(indices), *self.shape[1:]), dtype=np.uint8)

        def decode(position: int) -> None:
            path, sha256 = self._files[indices[position]]
            try:
                images[position] = read_picture(path, sha256, self._fit).pixels.transpose(2, 0, 1)
            except (OSError, ChangedPictureError, BrokenPictureError) as error:
                raise DatasetError(
                    f"{path} was read before, and cannot be any more: {error or 'its bytes are others'}; "
                    "run again when nobody writes there"
                ) from error

        pool = ThreadPoolExecutor(self._processes)
        try:
            list(pool.map(decode, range(len(indices))))
        finally:
            pool.shutdown(cancel_futures=True)
        return torch.from_numpy(images)


Images = Tensor | StoredImages | ImagesOnTheWay
"""What a split holds: uint8 (N, C, H, W), in memory, in a file, or decoded on the way."""


def announce(images: Images, batches: Iterable[Tensor]) -> None:
    """Say which images will be asked for next, batch by batch, where that helps.

    Args:
        images: Of a split.
        batches: int64 (B,) each, indices.
    """
    if isinstance(images, ImagesOnTheWay):
        images.expect(batches)
