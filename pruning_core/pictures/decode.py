"""A picture of any size and mode → upright RGB of 8 bits, whole, cropped or squeezed to a size.

Resized as torchvision's references for classification do it with PIL: bilinear, antialiased.
"""

import hashlib
import os
import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

DECODER_VERSION = 3
"""Raised when the same files would give other pixels."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Of the endings that are read; MPO is a JPEG. Pillow would have another program run an EPS, whatever the
file is called."""

CROP_FRACTION = 0.875
"""Of the shorter side, once resized, that a test picture's central crop shows."""

STORED_FACTOR = 1.5
"""A training picture is stored so much larger than what a network gets: a part of it is enlarged to that."""

MAX_PIXELS = 178_956_970
"""Of one picture: what Pillow takes for a decompression bomb."""

MAX_FILE_BYTES = 2**30

_BIG_PIXELS = 2**24
_one_big = threading.Lock()
"""Held while a picture of more pixels is decoded, so that memory holds one of them."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation as EXIF numbers it → what puts the picture upright (as `PIL.ImageOps.exif_transpose`)."""


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class BrokenPictureError(Exception):
    """A file holds no picture that can be read; its text says why."""


class ChangedPictureError(Exception):
    """A file holds other bytes than when it was listed."""


@dataclass(frozen=True)
class Fit:
    """What becomes of a picture's size; height and width count but for `whole`."""

    mode: Literal["whole", "crop", "squeeze"]
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class Picture:
    """What a file shows."""

    pixels: NDArray[np.uint8]  # (H, W, 3)
    height: int  # upright, before it was resized
    width: int
    animated: bool  # it holds several frames; this is the first
    max_level: int | None = None  # of 65,535, where its grey levels have 16 bits


def read_picture(path: str | bytes | os.PathLike[str], sha256: bytes, fit: Fit) -> Picture:
    """Read the picture in a file that was hashed before.

    Raises:
        BrokenPictureError: If it cannot be decoded.
        ChangedPictureError: If the file holds other bytes by now.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise BrokenPictureError(f"its file is larger than {MAX_FILE_BYTES >> 30} GiB")
        data = file.read()
    if hashlib.sha256(data).digest() != sha256:
        raise ChangedPictureError
    return decode_picture(data, fit)


def decode_picture(data: bytes, fit: Fit) -> Picture:
    """Decode the bytes of a file.

    Raises:
        BrokenPictureError: If they are no picture, a damaged one, too large, or of pixels that 8 bits cannot
            stand for.
    """
    if not data:
        raise BrokenPictureError("it is empty")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as opened:
            pixels = opened.width * opened.height
            if pixels > MAX_PIXELS:
                raise BrokenPictureError(_too_large(opened.width, opened.height))
            with _one_big if pixels > _BIG_PIXELS else nullcontext():
                animated = _is_animated(opened)
                opened.load()
                orientation = _orientation(opened)
                image, max_level = _to_8_bits(opened)
                if orientation is not None:
                    image = image.transpose(orientation)
                if image.mode in ("P", "PA", "RGBa", "La"):
                    image = image.convert("RGBA")  # Pillow warns of the direct way, or knows none
                return replace(_fit(image.convert("RGB"), fit, animated), max_level=max_level)
    except BrokenPictureError:
        raise
    except UnidentifiedImageError:
        raise BrokenPictureError(f"it is no image of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise BrokenPictureError(f"it has more than {MAX_PIXELS / 1e6:.0f} million pixels") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise what they like: OSError, SyntaxError, struct.error, …
        lines = str(error).strip().splitlines()
        raise BrokenPictureError(lines[0][:200] if lines else type(error).__name__) from error


def resized_side(side: int) -> int:
    """Return what the shorter side is resized to before a crop of `side`."""
    return round(side / CROP_FRACTION)


def stored_side(side: int) -> int:
    """Return what a side of a training picture is squeezed to, of which parts become `side`."""
    return round(side * STORED_FACTOR)


def central_box(height: int, width: int, out_height: int, out_width: int) -> Box:
    """Return the part of a picture that a test picture shows: left, top, right, bottom.

    As `Resize` and `CenterCrop` of torchvision round it, without the pixels that the crop drops: of a picture
    1 × 100,000 they would be many.
    """
    rows, columns = resized_side(out_height), resized_side(out_width)
    if rows * width >= columns * height:  # the height decides
        columns = max(out_width, int(rows * width / height))
    else:
        rows = max(out_height, int(columns * height / width))
    top, left = round((rows - out_height) / 2), round((columns - out_width) / 2)
    y, x = height / rows, width / columns
    return left * x, top * y, min(width, (left + out_width) * x), min(height, (top + out_height) * y)


def _fit(image: Image.Image, fit: Fit, animated: bool) -> Picture:
    width, height = image.size
    if fit.mode != "whole":
        box = None if fit.mode == "squeeze" else central_box(height, width, fit.height, fit.width)
        image = image.resize((fit.width, fit.height), Image.Resampling.BILINEAR, box)
    return Picture(np.asarray(image), height, width, animated)


def _to_8_bits(image: Image.Image) -> tuple[Image.Image, int | None]:
    """Return a picture whose wide grey levels are the nearest of those that a byte holds, and the largest."""
    if not image.mode.startswith(("I", "F")):
        return image, None
    values = np.asarray(image)
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not wide or values.min() < 0 or values.max() > 0xFFFF:
        kind = "floats" if image.mode.startswith("F") else "whole numbers of 32 bits"
        raise BrokenPictureError(f"its pixels are {kind}; convert it to 8 or 16 bits")
    nearest = (values.astype(np.uint32) * 255 + 32767) // 65535
    return Image.fromarray(nearest.astype(np.uint8)), int(values.max())


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return how a loaded picture is turned; a TIFF is turned by loading it, and then says so."""
    try:
        number = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF says nothing; the pixels are whole
        return None
    return _TURNS.get(number) if isinstance(number, int) else None


def _is_animated(image: Image.Image) -> bool:
    if image.format == "MPO":  # what a camera keeps beside its picture
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame; the first is what counts
        return False


def _too_large(width: int, height: int) -> str:
    return f"it is {width}×{height}, more than {MAX_PIXELS / 1e6:.0f} million pixels; make it smaller"
