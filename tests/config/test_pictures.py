"""What a grid and its options say of pictures."""

import pytest

from pruning_core.config.augment import AugmentSpec
from pruning_core.config.grid import make_grid
from pruning_core.config.pictures import PictureOptions
from pruning_core.errors import OptionError
from pruning_core.suites.validate import validate_grid


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (224, (224, 224)),
        ("224", (224, 224)),
        ("192x256", (192, 256)),
        ("192×256", (192, 256)),
        ([192, 256], (192, 256)),
        ([64], (64, 64)),
        (1, (1, 1)),
        (2048, (2048, 2048)),
    ],
)
def test_a_size_may_be_written_in_several_ways(value: object, size: tuple[int, int]) -> None:
    """One side, or height and width, in a grid file or as text of an option."""
    assert make_grid({"image_size": value}).image_size == size


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2049,
        10**30,
        "0",
        "2049",
        "x",
        "64x",
        "64x0",
        "64x64x3",
        "",
        "6" * 5000,
        64.5,
        True,
        [64, 64, 3],
        [],
        ["64"],
        {"a": 1},
        "６４",
    ],
)
def test_a_wrong_size_is_one_line(value: object) -> None:
    """No side, sides of nothing, too many and too large ones are refused, with what is allowed."""
    with pytest.raises(OptionError) as caught:
        make_grid({"image_size": value})
    text = str(caught.value)
    assert "image_size" in text
    assert "from 1 to 2048 pixels" in text
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("test_share", 0),
        ("test_share", 1),
        ("test_share", -0.2),
        ("test_share", 20),
        ("test_share", float("nan")),
        ("test_share", "much"),
        ("skip_broken", -1),
        ("skip_broken", 1.5),
        ("normalize", "imagenet1k"),
        ("normalize", None),
    ],
)
def test_values_out_of_range_are_one_line(field: str, value: object) -> None:
    """The field, what is allowed and what it got are in one line."""
    with pytest.raises(OptionError) as caught:
        make_grid({field: value})
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


def test_by_default_pictures_are_as_they_are() -> None:
    """Without a word nothing is resized, divided or left out."""
    assert PictureOptions() == PictureOptions(
        image_size=None, normalize="dataset", test_share=None, skip_broken=0
    )


@pytest.mark.parametrize("fields", [{"image_size": 64}, {"test_share": 0.2}, {"skip_broken": 1}])
def test_datasets_of_ours_are_what_they_are(fields: dict[str, object]) -> None:
    """What only a folder has is refused for another dataset, in one line that names both."""
    grid = make_grid({"dataset": ["folder:x", "digits"], **fields})
    with pytest.raises(OptionError, match=rf"{next(iter(fields))}: only a folder .* got digits") as caught:
        validate_grid(grid)
    assert "\n" not in str(caught.value)
    validate_grid(make_grid({"dataset": "folder:x", **fields}))
    validate_grid(make_grid({"dataset": "digits", "normalize": "imagenet"}))


def test_resized_crops_enter_the_key_only_where_they_are_used() -> None:
    """Keys of datasets without them do not change; with them the spec says so."""
    plain = AugmentSpec(flip=True, crop_padding=4)
    assert plain.model_dump() == {"flip": True, "crop_padding": 4}
    assert plain.model_copy(update={"resized_crop": True}).model_dump()["resized_crop"] is True
