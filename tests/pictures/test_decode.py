"""One picture: which pixels come out of which file, and what is refused."""

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pruning_core.pictures.decode import (
    BrokenPictureError,
    ChangedPictureError,
    Fit,
    central_box,
    decode_picture,
    read_picture,
    resized_side,
)
from pruning_core.torchvision_compat import transforms
from tests.helpers.photographs import make_photograph

WHOLE = Fit("whole")


def as_bytes(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def pixels_of(data: bytes, fit: Fit = WHOLE) -> np.ndarray:
    """Decode and return the pixels, which must be RGB of 8 bits."""
    pixels = decode_picture(data, fit).pixels
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    return pixels


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_what_pillow_makes_of_it(mode: str) -> None:
    """Grey, transparent, palette, printing and video colours become what torchvision's ImageFolder makes."""
    kinds = {"YCbCr": "TIFF", "CMYK": "TIFF"}
    picture = make_photograph(0, 50, 13, 9).convert(mode)
    data = as_bytes(picture, kinds.get(mode, "PNG"))
    assert np.array_equal(pixels_of(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("transparency", [7, bytes([0, 128, 255])])
def test_a_palette_with_transparency_keeps_its_colours(transparency: object) -> None:
    """What shines through is not known, so the colours count, without a warning."""
    picture = make_photograph(0, 50, 13, 9).convert("P")
    data = as_bytes(picture, "PNG", transparency=transparency)
    assert np.array_equal(pixels_of(data), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_become_the_nearest_of_8(kind: str) -> None:
    """White stays white and black black; levels in between are rounded, not cut off."""
    levels = np.array([[0, 128, 129, 257, 32767, 32768, 65407, 65535]], dtype=np.uint16)
    pixels = pixels_of(as_bytes(Image.fromarray(levels), kind))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 127, 128, 255, 255]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("values", [np.float32, np.int32])
def test_wider_pixels_are_refused(values: type) -> None:
    """Which of their values is white is not known."""
    data = as_bytes(Image.fromarray(np.full((4, 4), 70000, dtype=values)), "TIFF")
    with pytest.raises(
        BrokenPictureError, match=r"its pixels are (floats|whole numbers of 32 bits); convert"
    ):
        decode_picture(data, WHOLE)


@pytest.mark.parametrize("mode", ["I;16", "L"])
@pytest.mark.parametrize(("orientation", "turned"), [(3, 2), (6, 3), (8, 1)])
def test_grey_pictures_are_turned_by_exif(mode: str, orientation: int, turned: int) -> None:
    """A picture that lies on its side is put upright, whatever its mode, and so is its size."""
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * (257 if mode == "I;16" else 1)
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(values if mode == "I;16" else values.astype(np.uint8))
    picture = decode_picture(as_bytes(stored, "PNG", exif=exif), WHOLE)
    expected = np.rot90(np.arange(12).reshape(3, 4), turned)
    assert np.array_equal(picture.pixels[..., 0], expected)
    assert (picture.height, picture.width) == expected.shape


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_several_counts(kind: str) -> None:
    """A moving picture is its first frame, and says that there are more."""
    first, second = (Image.new("RGB", (6, 5), colour) for colour in ((250, 0, 0), (0, 0, 250)))
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode_picture(as_bytes(first, kind, save_all=True, append_images=[second], **options), WHOLE)
    assert picture.animated
    assert np.abs(picture.pixels.astype(int) - [250, 0, 0]).max() <= 6
    assert not decode_picture(as_bytes(first, kind), WHOLE).animated


def test_what_a_camera_keeps_beside_a_picture_is_no_frame() -> None:
    """MPO, as phones write it, is its first picture, and nothing to speak of."""
    first, second = (make_photograph(seed, 50, 12, 9) for seed in (0, 1))
    picture = decode_picture(as_bytes(first, "MPO", save_all=True, append_images=[second]), WHOLE)
    assert not picture.animated
    assert np.array_equal(picture.pixels, pixels_of(as_bytes(first, "JPEG")))


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (257, 256), (90, 64), (500, 101)])
@pytest.mark.parametrize("side", [224, 64, 33])
def test_test_pictures_are_those_of_torchvisions_references(width: int, height: int, side: int) -> None:
    """The shorter side is resized to side ÷ 0.875, then the middle is cut out; to a grey level."""
    picture = make_photograph(1, 50, width, height)
    resize = transforms.Resize(resized_side(side)), transforms.CenterCrop(side)
    expected = np.asarray(transforms.Compose(resize)(picture)).astype(int)
    found = pixels_of(as_bytes(picture, "PNG"), Fit("crop", side, side)).astype(int)
    assert found.shape == (side, side, 3)
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - expected).mean() < 0.03


def test_the_published_sizes_come_out() -> None:
    """224 is cut out of 256, as the references have it."""
    assert (resized_side(224), resized_side(64), resized_side(1)) == (256, 73, 1)


@pytest.mark.parametrize("out", [(64, 96), (96, 64), (1, 1)])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (1, 1), (1, 60000), (60000, 1)])
def test_the_middle_lies_within_the_picture(size: tuple[int, int], out: tuple[int, int]) -> None:
    """Whatever the shapes, the part that is shown lies in the picture, in its middle, undistorted."""
    (width, height), (out_height, out_width) = size, out
    left, top, right, bottom = central_box(height, width, out_height, out_width)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    if min(*size, *out) > 1:
        assert (right - left) / (bottom - top) == pytest.approx(out_width / out_height, rel=0.01)
    pixels = pixels_of(as_bytes(make_photograph(0, 50, width, height), "PNG"), Fit("crop", *out))
    assert pixels.shape == (*out, 3)


def test_a_squeezed_picture_is_whole() -> None:
    """Stored for training, nothing is cut off; the size it had is kept beside."""
    picture = decode_picture(as_bytes(make_photograph(0, 50, 90, 30), "PNG"), Fit("squeeze", 20, 20))
    assert picture.pixels.shape == (20, 20, 3)
    assert (picture.height, picture.width) == (30, 90)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"no picture", "it is no image"),
        (as_bytes(make_photograph(0, 50, 64, 64), "EPS"), "it is no image of BMP"),
        (as_bytes(make_photograph(0, 50, 64, 64), "JPEG")[:700], "truncated"),
        (as_bytes(make_photograph(0, 50, 64, 64), "PNG")[:300], ""),
        (as_bytes(make_photograph(0, 50, 64, 64), "JPEG")[:20], ""),
        (bomb(60_000, 60_000), "more than 179 million pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "more than 179 million pixels"),
        (bomb(2**31, 2**31), ""),
    ],
    ids=["empty", "text", "EPS", "half JPEG", "half PNG", "header", "bomb", "huge", "too huge"],
)
def test_broken_files_say_why(data: bytes, reason: str) -> None:
    """Whatever is wrong with a file, one line says it, and nothing is filled with grey."""
    with pytest.raises(BrokenPictureError) as caught:
        decode_picture(data, Fit("crop", 32, 32))
    assert reason in str(caught.value)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_changed_is_told(tmp_path: Path) -> None:
    """Bytes that are not those that were hashed are never decoded."""
    file = tmp_path / "a.png"
    file.write_bytes(as_bytes(make_photograph(0, 50, 9, 9), "PNG"))
    sha256 = hashlib.sha256(file.read_bytes()).digest()
    assert read_picture(file, sha256, WHOLE).height == 9
    file.write_bytes(as_bytes(make_photograph(1, 50, 9, 9), "PNG"))
    with pytest.raises(ChangedPictureError):
        read_picture(file, sha256, WHOLE)
