"""The content of image files: hashes by which a folder is divided, recognised, and searched for copies."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import __version__ as pillow_version
from PIL import features

from pruning_core.console.escaping import printable
from pruning_core.datasets.image_listing import SPLITS, Listing
from pruning_core.errors import DatasetError
from pruning_core.pictures.decode import DECODER_VERSION, Fit
from pruning_core.system.hardware import usable_cores

MAX_LISTED = 10
"""Pictures that one error names."""

_CHUNK_FILES = 256  # files that one thread hashes at a time


@dataclass(frozen=True)
class Pictures:
    """The pictures of a split: file, label and sha256 of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    hashes: tuple[bytes, ...]

    def take(self, chosen: Sequence[int]) -> "Pictures":
        """Return some of them, in their order."""
        return Pictures(
            tuple(self.files[i] for i in chosen),
            tuple(self.labels[i] for i in chosen),
            tuple(self.hashes[i] for i in chosen),
        )

    def without(self, left_out: Collection[int]) -> "Pictures":
        """Return all but some of them."""
        return self.take([i for i in range(len(self.files)) if i not in left_out])


def hash_pictures(folder: Path, listing: Listing) -> Pictures:
    """Read all files of a listing, in threads.

    Sizes and times would be quicker, and prove nothing: an archive or a copy can give other bytes the same.

    Raises:
        DatasetError: If some cannot be read: whether they are broken depends on who reads them.
    """
    files = listing.files
    chunks = [files[start : start + _CHUNK_FILES] for start in range(0, len(files), _CHUNK_FILES)]
    hashes: list[bytes] = []
    refused: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for hashed, unreadable in pool.map(_hash_files, chunks):
            hashes += hashed
            refused += unreadable
    if refused:
        raise DatasetError(
            explain_pictures(
                folder,
                refused,
                f"{len(refused)} of {len(files)} files cannot be read by this user",
                "mend that",
            )
        )
    return Pictures(files, listing.labels, tuple(hashes))


def _hash_files(files: Sequence[Path]) -> tuple[list[bytes], list[tuple[Path, str]]]:
    hashes, refused = [], []
    for path in files:
        try:
            with path.open("rb") as file:
                hashes.append(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            refused.append((path, error.strerror or str(error)))
    return hashes, refused


def explain_pictures(folder: Path, pictures: Sequence[tuple[Path, str]], what: str, advice: str) -> str:
    """Say what is wrong with some pictures: the first ten by name; one alone in one line.

    Args:
        folder: That holds them.
        pictures: Each with its reason.
        what: Is wrong, with their number.
        advice: What to do next.
    """
    named = [
        (printable(path.relative_to(folder).as_posix()), reason) for path, reason in pictures[:MAX_LISTED]
    ]
    if len(pictures) == 1:
        return f"dataset folder:{folder}: {what}: {named[0][0]} ({named[0][1]}); {advice}"
    lines = [f"dataset folder:{folder}: {what}; {advice}", *(f"  {name}: {why}" for name, why in named)]
    if len(pictures) > MAX_LISTED:
        lines.append(f"  and {len(pictures) - MAX_LISTED} more")
    return "\n".join(lines)


def divide(pictures: Pictures, test_share: float) -> dict[str, Pictures]:
    """Divide pictures into training and test ones by their content alone.

    So the side of a picture never changes, whatever it is called and whatever comes beside it, and copies are
    on one side.

    Args:
        pictures: Of one folder.
        test_share: The fraction that is for testing; of a few pictures another one comes out.
    """
    for_testing = [_fraction(sha256) < test_share for sha256 in pictures.hashes]
    return {
        split: pictures.take([i for i, testing in enumerate(for_testing) if testing == (split == "test")])
        for split in SPLITS
    }


def _fraction(sha256: bytes) -> float:
    """Return a number in [0, 1) that a content draws: of a hash of its own, which nothing else looks at."""
    drawn = hashlib.sha256(b"pruning-bench test share " + sha256).digest()
    return int.from_bytes(drawn[:6], "big") / 2**48


def check_classes(folder: Path, names: Sequence[str], splits: Mapping[str, Pictures], advice: str) -> None:
    """Refuse splits of which one lacks a class.

    Raises:
        DatasetError: With the classes that lack, in one line.
    """
    for split, pictures in splits.items():
        present = set(pictures.labels)
        absent = [name for label, name in enumerate(names) if label not in present]
        if absent:
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            kind = "training" if split == "train" else "testing"
            raise DatasetError(
                f"dataset folder:{folder}: no picture for {kind} of {', '.join(absent[:5])}{more}; {advice}"
            )


def explain_copies(folder: Path, splits: Mapping[str, Pictures]) -> Iterator[str]:
    """Say which pictures are in both splits, and which in two classes."""
    train, test = (splits[split] for split in SPLITS)
    known = set(train.hashes)
    shared = sum(sha256 in known for sha256 in test.hashes)
    if shared:
        yield (
            f"dataset folder:{folder}: {shared} of {len(test.hashes)} test images are in the training split "
            "too, byte for byte: accuracy is too high by what was learnt by heart"
        )
    labels: dict[bytes, set[int]] = {}
    for pictures in (train, test):
        for sha256, label in zip(pictures.hashes, pictures.labels, strict=True):
            labels.setdefault(sha256, set()).add(label)
    twice = sum(len(found) > 1 for found in labels.values())
    if twice:
        yield f"dataset folder:{folder}: {twice} images lie in two classes or more, byte for byte"


def hash_content(folder: Path, splits: Mapping[str, Pictures], fits: Mapping[str, Fit]) -> str:
    """Hash relative path and bytes of every image, and what decodes them: a moved folder keeps its cache."""
    versions = [pillow_version, *(features.version(codec) or "" for codec in ("jpg", "webp", "libtiff"))]
    digest = hashlib.sha256(f"folder {DECODER_VERSION} {' '.join(versions)}".encode())
    for split, pictures in splits.items():
        digest.update(f"\n{split} {fits[split]}".encode())
        for file, label, sha256 in zip(pictures.files, pictures.labels, pictures.hashes, strict=True):
            name = file.relative_to(folder).as_posix()
            digest.update(f"\n{label} {name}\0".encode("utf-8", "surrogateescape") + sha256)
    return digest.hexdigest()[:32]
