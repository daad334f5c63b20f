"""Folders of made-up photographs: many sizes and modes, bright ones and dark ones, some broken."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("bright", "dark")

MODES = ("RGB", "L", "RGBA", "P", "I;16", "CMYK")
"""What cameras, scanners, drawing programs and printers leave."""


def make_photograph(seed: int, light: int, width: int, height: int) -> Image.Image:
    """Return a smooth picture; its grey levels lie in a hundred above `light`."""
    coarse = np.random.RandomState(seed).randint(light, light + 100, (5, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


def save_as(picture: Image.Image, mode: str, stem: Path, *, lying: bool = False) -> Path:
    """Write a picture in a mode, as a file that can hold it; `lying`: on its side, and EXIF says so."""
    exif = Image.Exif()
    if lying:
        picture = picture.transpose(Image.Transpose.ROTATE_90)
        exif[274] = 6
    if mode in ("RGB", "CMYK"):
        file = stem.with_suffix(".jpg")
        picture.convert(mode).save(file, quality=90, progressive=True, exif=exif)
    elif mode == "I;16":
        file = stem.with_suffix(".png")
        Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(file, exif=exif)
    else:
        file = stem.with_suffix(".png")
        picture.convert(mode).save(file, exif=exif)
    return file


def damage(file: Path) -> Path:
    """Cut a file off in its middle."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def write_photographs(root: Path, count: int, sizes: int, broken: int) -> list[Path]:
    """Write a folder of two classes.

    Args:
        root: To be made.
        count: Pictures in all.
        sizes: How many of them differ in size.
        broken: So many of them are cut off in their middle.

    Returns:
        The broken files.
    """
    cut = []
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for number in range(count):
        size = number % sizes
        width, height = 40 + 7 * (size % 12), 36 + 5 * (size // 12)
        picture = make_photograph(number, 130 if number % 2 == 0 else 10, width, height)
        mode = MODES[number // 2 % len(MODES)]
        file = save_as(picture, mode, root / CLASSES[number % 2] / f"{number:03}", lying=number % 9 == 0)
        if number >= count - broken:
            cut.append(damage(file))
    return cut
