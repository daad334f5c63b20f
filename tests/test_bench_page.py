"""What `bench/README.md` and `records/README.md` list is what the code takes."""

import re
from pathlib import Path

import pytest
import torch  # noqa: F401  # before torchvision's schemas

from pruning_core.config.grid import Grid
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.recipes import RECIPES
from pruning_core.config.regularize import RegularizeOptions
from pruning_core.config.spec import FineTuneSpec, TrainSpec
from pruning_core.config.thresholds import Threshold
from pruning_core.pruning import METHODS, find_penalty
from pruning_core.records.fields import field_table
from pruning_core.suites.options import OPTIONS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "bench" / "README.md").read_text()
LIMITS = (ROOT / "bench" / "THRESHOLDS.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for page in (PAGE, LIMITS) for part in page.split("\n## ")[1:]}
(GRID, INNER), THRESHOLDS = list(SECTIONS)[1:3], list(SECTIONS)[-1]


def keys_in(text):
    """Return key → default as text, of the rows of a table whose second column is `default`."""
    found = {}
    for names, default in re.findall(r"^\| (`.+?) \| ?(.*?) ?\| ", text, flags=re.MULTILINE):
        keys = re.findall(r"`(\w+)`", names)
        defaults = default.split(", ") if len(keys) > 1 else [default]
        found |= dict(zip(keys, defaults, strict=True))
    return found


def defaults_of(model, but=()):
    """Return key → default as a page writes it, of a pydantic model."""
    shown = {}
    for name, field in model.model_fields.items():
        if name not in but:
            value = field.default
            items = value if isinstance(value, tuple) else () if value in (None, "") else (value,)
            shown[name] = ", ".join(
                str(item).lower() if isinstance(item, bool) else str(item) for item in items
            )
    return shown


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (GRID, defaults_of(Grid, but=("train", "fine_tune", "regularize", "latency"))),
        (
            INNER,
            defaults_of(TrainSpec)
            | defaults_of(FineTuneSpec, but=TrainSpec.model_fields)
            | defaults_of(RegularizeOptions, but=TrainSpec.model_fields)
            | defaults_of(LatencyOptions),
        ),
        (THRESHOLDS, defaults_of(Threshold)),
    ],
    ids=["grid", "train, fine_tune, regularize, latency", "thresholds"],
)
def test_keys_and_defaults_are_the_codes(section, expected):
    """Each key of a grid or a thresholds file is listed with its default, and no other."""
    assert keys_in(SECTIONS[section]) == expected


def test_fine_tuning_differs_from_training_in_what_the_page_says():
    """`[fine_tune]` of an empty grid has other epochs and another learning rate than `[train]`."""
    grid = Grid()
    differing = {
        name: getattr(grid.fine_tune, name)
        for name in TrainSpec.model_fields
        if getattr(grid.fine_tune, name) != getattr(grid.train, name)
    }
    assert differing == {"epochs": 2, "learning_rate": 0.02}
    assert "2 `epochs` and a `learning_rate` of 0.02" in PAGE


def test_a_network_is_prepared_as_it_was_trained_but_for_what_the_page_says():
    """`[regularize]` of an empty grid has other epochs, learning rate and weight decay than `[train]`."""
    options = RegularizeOptions()
    own = {name: getattr(options, name) for name in TrainSpec.model_fields if hasattr(options, name)}
    assert own == {"epochs": 10, "learning_rate": 0.05, "weight_decay": 0.0}
    assert "10 `epochs`, a `learning_rate` of 0.05 and a `weight_decay` of 0" in PAGE


@pytest.mark.parametrize("penalty", [find_penalty(name) for name in METHODS if find_penalty(name)])
def test_the_strength_of_each_penalty_is_on_the_page(penalty):
    """Where a grid names none, its own default counts."""
    assert f"{penalty.default_strength:g}" in PAGE


@pytest.mark.parametrize("table", [OPTIONS, RECIPES])
def test_every_name_is_listed(table):
    """Each option of the suites and each recipe is on the page; other names are in the README."""
    assert [name for name in table if f"`{name}`" not in PAGE] == []


def test_the_table_of_fields_is_the_codes():
    """The fields of a record are listed as `records/fields.py` has them."""
    assert field_table() in (ROOT / "pruning_core" / "records" / "README.md").read_text()


@pytest.mark.parametrize("page", ["bench", "pruning_core/store"])
def test_a_rooms_page_is_short(page):
    """What people read of a room has 80 lines at most."""
    assert len((ROOT / page / "README.md").read_text().splitlines()) <= 80
