"""A user's own dataset, given as `module:function`."""

import itertools
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import compute_statistics
from pruning_core.errors import DatasetError

HEAD = """
import numpy as np
import torch
images = np.arange(4 * 3 * 8 * 8, dtype=np.uint16).reshape(4, 3, 8, 8).astype(np.uint8)
labels = np.array([0, 1, 2, 0])
"""
_NUMBERS = itertools.count()


class Folder:
    """A folder that a user would run the command in; writes modules that no test has imported yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, body: str, head: str = HEAD) -> str:
        """Write a module whose function `load` has this body, and return the dataset's name."""
        module = f"my_dataset_{next(_NUMBERS)}"
        indented = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
        (self.path / f"{module}.py").write_text(f"{head}\ndef load():\n{indented}")
        return f"{module}:load"

    def fail(self, body: str, head: str = HEAD) -> str:
        """Load a dataset that must fail, and return the error's text, which must be one line."""
        name = self.write(body, head)
        with pytest.raises(DatasetError) as caught:
            load_dataset(name)
        text = str(caught.value)
        assert "\n" not in text
        assert name in text
        return text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Folder(tmp_path)


def test_loads_arrays(folder: Folder) -> None:
    """Arrays become tensors; name, shape, classes and statistics come from the content, no augmentation."""
    name = folder.write("return (images, labels), (images[:2], labels[:2])")
    dataset = load_dataset(name)
    spec = dataset.spec
    assert (spec.name, spec.classes, spec.channels, spec.height, spec.width) == (name, 3, 3, 8, 8)
    assert (spec.augment.flip, spec.augment.crop_padding) == (False, 0)
    assert (spec.mean, spec.std) == compute_statistics(dataset.train.images)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.train.labels.tolist() == [0, 1, 2, 0]
    assert (dataset.test.images.dtype, dataset.test.labels.dtype) == (torch.uint8, torch.int64)


@pytest.mark.parametrize(
    "body",
    [
        "return (torch.from_numpy(images), torch.from_numpy(labels).to(torch.int32)), (images, labels)",
        "return (images, labels.tolist()), (images, labels.astype(np.uint8))",
        "return (images, torch.from_numpy(labels).to(torch.uint16)), (images, labels)",
        "images.setflags(write=False); return (images, labels), (images, labels)",
        "return (images[::-1][::-1], labels[::-1][::-1]), (np.asfortranarray(images), labels)",
    ],
)
def test_same_content_gives_the_same_fingerprint(folder: Folder, body: str) -> None:
    """Tensors, lists, read-only and strided arrays of the same content are the same dataset."""
    unchanged = load_dataset(folder.write("return (images, labels), (images, labels)"))
    assert load_dataset(folder.write(body)).spec.fingerprint == unchanged.spec.fingerprint


def test_module_may_import_its_neighbours_late(folder: Folder) -> None:
    """A function may import another module of the folder when it is called."""
    neighbour = folder.write("return (images, labels), (images, labels)").partition(":")[0]
    assert load_dataset(folder.write(f"import {neighbour}; return {neighbour}.load()")).spec.classes == 3


WITH_DATASET = (
    HEAD
    + """
from pruning_core.datasets.base import Dataset, Split
from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import DatasetSpec
def describe(std=(0.25,) * 3, padding=1, names=("a", "b", "c")):
    spec = DatasetSpec(name="anything", fingerprint="untrue", classes=9, channels=3, height=1, width=1,
        mean=(0.5,) * 3, std=std, augment=AugmentSpec(flip=True, crop_padding=padding))
    split = Split(torch.from_numpy(images), torch.from_numpy(labels))
    return Dataset(spec, names, split, split)
"""
)


def test_a_dataset_is_described_again(folder: Folder) -> None:
    """A Dataset keeps its statistics, augmentation and names; name, shape and fingerprint are made true."""
    name = folder.write("return describe()", WITH_DATASET)
    unchanged = load_dataset(folder.write("return (images, labels), (images, labels)")).spec
    dataset = load_dataset(name)
    spec = dataset.spec
    assert (spec.name, spec.fingerprint) == (name, unchanged.fingerprint)
    assert (spec.classes, spec.height, spec.width) == (3, 8, 8)
    assert (spec.mean, spec.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (spec.augment.flip, spec.augment.crop_padding) == (True, 1)
    assert dataset.class_names == ("a", "b", "c")


@pytest.mark.parametrize("names", ["range(3)", "[0, 1, 2]", "numpy.arange(3)"])
def test_names_of_classes_become_texts(folder: Folder, names: str) -> None:
    """Numbers, a list or an array of names: a checkpoint holds them as texts."""
    dataset = load_dataset(folder.write(f"import numpy; return describe(names={names})", WITH_DATASET))
    assert dataset.class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return describe(std=(0.25, 0.25))", "std (0.25, 0.25) do not fit 3 channel(s)"),
        ("return describe(std=(0.25, 0.25, 0.0))", "std above 0"),
        ("return describe(padding=8)", "crop_padding 8 must be less than the side, 8"),
        ("return describe(names=('a', 'b'))", "train labels must be 0 to 1; got 2"),
    ],
)
def test_refuses_a_dataset_that_contradicts_itself(folder: Folder, body: str, text: str) -> None:
    """A Dataset is checked as arrays are."""
    assert text in folder.fail(body, WITH_DATASET)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ("None", "returned NoneType; expected ((train_images"),
        ("(images, labels)", "expected ((train_images"),
        (
            "(images.astype(np.float32), labels), (images, labels)",
            "train images must be uint8, 0 to 255; got float32",
        ),
        ("(images, labels), (images.astype(int), labels)", "test images must be uint8"),
        ("(images[:, 0], labels), (images, labels)", "got (4, 8, 8)"),
        ("(images[:0], labels[:0]), (images, labels)", "none of them 0; got (0, 3, 8, 8)"),
        ("(images.transpose(0, 2, 3, 1), labels), (images, labels)", "looks like (N, H, W, C)"),
        ("(images, labels / 2), (images, labels)", "train labels must be whole numbers; got float64"),
        ("(images, labels[:3]), (images, labels)", "train labels must be (4,), one an image; got (3,)"),
        ("(images, labels - 1), (images, labels)", "train labels must be 0 or more; got -1"),
        ("(images, labels), (images, labels + 1)", "test labels must be 0 to 2; got 3"),
        ("(images, labels + 1), (images, labels)", "no train image has label 0; labels must be 0 to 3"),
        ("(images, labels * 2), (images, labels)", "no train image has label 1"),
        ("(images, labels * 0), (images, labels * 0)", "at least 2 classes; got 1"),
        ("(images, labels), (images[:, :1], labels)", "of one (C, H, W); got (3, 8, 8) and (1, 8, 8)"),
        ("(images, ['a', 'b', 'c', 'd']), (images, labels)", "train labels must be an array or a tensor"),
        (
            "(images, torch.from_numpy(labels).to_sparse()), (images, labels)",
            "train labels must be a tensor of numbers row by row; got a tensor of layout sparse_coo",
        ),
        (
            "(torch.empty(images.shape, dtype=torch.uint8, device='meta'), labels), (images, labels)",
            "train images must be a tensor of numbers row by row; got a tensor without content",
        ),
        ("(images, labels + 0j), (images, labels)", "train labels must be whole numbers; got complex128"),
    ],
)
def test_refuses_what_is_no_dataset(folder: Folder, returned: str, text: str) -> None:
    """What a function returns is checked: the error says which split, what it got and what is allowed."""
    assert text in folder.fail(f"return {returned}")


def test_huge_labels_are_refused_at_once(folder: Folder) -> None:
    """Labels that are no class numbers do not make a table of a billion names."""
    assert "no train image has label 1;" in folder.fail("return (images, labels * 10**9), (images, labels)")


def test_error_of_the_function_is_one_line(folder: Folder) -> None:
    """Whatever the function raises becomes one line, its cause kept for a debugger."""
    name = folder.write("raise ZeroDivisionError('first\\nsecond')")
    with pytest.raises(DatasetError, match=r"the function raised ZeroDivisionError: first second$") as caught:
        load_dataset(name)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_missing_module_is_named(folder: Folder) -> None:
    """A module that is not there is named, with where it was looked for."""
    with pytest.raises(DatasetError, match="cannot import 'no_such_module'") as caught:
        load_dataset("no_such_module:load")
    assert str(folder.path) in str(caught.value)


def test_missing_function_is_named(folder: Folder) -> None:
    """A function that is not there is named, with those that are."""
    module = folder.write("return None").partition(":")[0]
    with pytest.raises(DatasetError, match="has no function 'laod'; it has: load"):
        load_dataset(f"{module}:laod")


def test_broken_module_is_one_line(folder: Folder) -> None:
    """An error in the user's file becomes one line."""
    assert "SyntaxError" in folder.fail("return None", head="def (:")


@pytest.mark.parametrize(
    "function",
    [
        "def load():\n    import sys\n    sys.exit(0)\n",
        "def load():\n    raise SystemExit\n",
        "class Stop(BaseException):\n    pass\ndef load():\n    raise Stop\n",
    ],
)
def test_a_function_that_ends_the_program_is_one_line(folder: Folder, function: str) -> None:
    """Whatever a dataset's function raises is an error of the dataset, never the end of the program."""
    (folder.path / f"my_ending_{(number := next(_NUMBERS))}.py").write_text(function)
    with pytest.raises(DatasetError, match="the function raised") as caught:
        load_dataset(f"my_ending_{number}:load")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "function",
    [
        "import functools\nload = functools.partial(lambda a: a, ((images, labels), (images, labels)))\n",
        "import functools\n@functools.cache\ndef load():\n    return (images, labels), (images, labels)\n",
        "class L:\n    def __call__(self):\n        return (images, labels), (images, labels)\nload = L()\n",
    ],
)
def test_anything_that_can_be_called_is_a_dataset(folder: Folder, function: str) -> None:
    """A partial, a function that remembers and an object load as a function does, twice alike."""
    (folder.path / f"my_callable_{(number := next(_NUMBERS))}.py").write_text(HEAD + function)
    first, second = (load_dataset(f"my_callable_{number}:load").spec for _ in range(2))
    assert first == second


def test_images_of_a_neighbour_enter_the_key(folder: Folder) -> None:
    """Whatever file the images come from, their content decides the spec."""
    specs = []
    for brightness in (0, 1):
        neighbour = f"my_pixels_{next(_NUMBERS)}"
        (folder.path / f"{neighbour}.py").write_text(f"brightness = {brightness}\n")
        name = folder.write(
            f"import {neighbour} as n; x = images + n.brightness; return (x, labels), (x, labels)"
        )
        specs.append(load_dataset(name).spec.fingerprint)
    assert specs[0] != specs[1]


def test_a_library_without_source_is_refused(folder: Folder) -> None:
    """A function that Python's language does not hold is one line."""
    with pytest.raises(DatasetError, match="'math' has no Python file"):
        load_dataset("math:sqrt")
