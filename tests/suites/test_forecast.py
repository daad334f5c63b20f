"""What making a grid will take is said before its first training."""

import io
from functools import partial

import pytest
import torch

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.errors import CrashError
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.suites import forecast
from pruning_core.suites.forecast import _between, _Sample, announce, in_words, missing_specs
from pruning_core.tasks.classification import Classification
from pruning_core.workspace import Workspace
from tests.helpers.factories import bright_images, write_user_model


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write a user's small network and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_user_model(tmp_path, "forecast_nets")


def open_workspace(folder):
    """Open a workspace whose messages can be read."""
    stream = io.StringIO()
    workspace = Workspace(Store(folder / "store"), ProgressDisplay(stream))
    workspace._datasets["digits"] = bright_images()
    return workspace, stream


def grid_of(model, **fields):
    """Build a grid of quick trainings."""
    train = {"epochs": 1, "batch_size": 16, "precision": "fp32"}
    return make_grid(
        {"model": model, "ratios": "0.25,0.5,0.75", "train": train, "fine_tune": train, **fields}
    )


def test_it_is_said_before_the_first_training_and_once(tmp_path, model):
    """The line stands before what is trained, counts the checkpoints, and does not come again."""
    workspace, stream = open_workspace(tmp_path)
    grid = grid_of(model)
    wanted = list(variants(grid))
    workspace.before_first_training = lambda: announce(wanted, grid, workspace)
    for variant in wanted:
        ensure_variant(variant, grid, workspace)
    first, *others = stream.getvalue().splitlines()
    assert first.startswith("making 4 checkpoints takes about ")
    assert first.endswith((" s on this machine", " min on this machine"))  # a busy one
    assert not [line for line in others if "takes about" in line]


def test_only_what_is_missing_counts(tmp_path, model):
    """What is stored is not counted, nor what only it was made from; with all stored nothing is said."""
    workspace, stream = open_workspace(tmp_path)
    grid = grid_of(model)
    wanted = list(variants(grid))
    assert len(missing_specs(wanted, grid, workspace)) == 4
    ensure_variant(wanted[2], grid, workspace)
    assert [spec.ratio for _, spec in missing_specs(wanted, grid, workspace)] == [0.75]
    ensure_variant(wanted[3], grid, workspace)
    before = stream.getvalue()
    announce(wanted, grid, workspace)
    assert stream.getvalue() == before


def test_it_changes_nothing_that_is_trained(tmp_path, model):
    """Checkpoints are the same to the last bit with the forecast and without."""
    grid, weights = grid_of(model, ratios="0.5"), []
    for name in ("with", "without"):
        workspace, _ = open_workspace(tmp_path / name)
        wanted = list(variants(grid))
        if name == "with":
            workspace.before_first_training = partial(announce, wanted, grid, workspace)
        weights.append([ensure_variant(variant, grid, workspace).weights() for variant in wanted])
    for first, second in zip(*weights, strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_more_epochs_take_longer(tmp_path, model, monkeypatch):
    """The estimate is steps times the seconds of a step, evaluations and pruning on top."""
    workspace, _ = open_workspace(tmp_path)
    timed = []

    def time_steps(spec, dense, network, dataset, workspace, ratio):
        timed.append(ratio)
        return _Sample(ratio, 1.0 - ratio, 0.0, 16)

    monkeypatch.setattr(forecast, "_time_steps", time_steps)

    def seconds(**fields):
        grid = grid_of(model, **fields)
        pairs = missing_specs(list(variants(grid)), grid, workspace)
        return forecast._seconds_for(
            [spec for _, spec in pairs], Classification(workspace.dataset("digits")), workspace
        )

    train = {"epochs": 3, "batch_size": 16}
    none = {"epochs": 0, "batch_size": 16}
    evaluations = 60 / 16 / 3  # of the dense network, whose step takes a second: a third of that
    assert seconds(ratios="0.0", train=train) == pytest.approx(3 * 4 + evaluations)
    once = seconds(ratios="0.5", train=none, fine_tune=train)
    assert once == pytest.approx(evaluations + 3 * 4 * 0.5 + 2 * evaluations * 0.5)
    timed.clear()
    seconds(ratios="0.05:0.95:0.05")
    assert len(timed) == 1 + forecast.TIMED_RATIOS
    assert timed[-1] == 0.95
    timed.clear()
    seconds(ratios="0.5,0.75", method=["magnitude", "fpgm", "taylor", "hessian", "activation"])
    assert timed == [0.0, 0.5, 0.75, 0.5, 0.75]  # alike in widths; one that ranks by examples for all of them


@pytest.mark.parametrize(("ratio", "step_s"), [(0.0, 4.0), (0.25, 2.0), (0.5, 1.0), (0.75, 0.5), (0.9, 0.5)])
def test_between_two_ratios_it_is_interpolated(ratio, step_s):
    """Times between two networks lie between theirs, in the logarithm; beyond them the nearest counts."""
    samples = [_Sample(0.0, 4.0, 0.0, 16), _Sample(0.5, 1.0, 0.1, 16), _Sample(0.75, 0.5, 0.1, 16)]
    assert _between(samples, ratio).step_s == pytest.approx(step_s)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89, "89 s"), (180, "3 min"), (5399, "90 min"), (9000, "2.5 h")],
)
def test_times_are_said_as_people_say_them(seconds, words):
    """Seconds, then minutes, then hours."""
    assert in_words(seconds) == words


def test_a_death_in_the_timed_steps_is_one_of_the_training(tmp_path, model):
    """Where two processes have died at the first epoch, the steps that are timed are refused as well."""
    workspace, _ = open_workspace(tmp_path)
    grid = grid_of(model)
    wanted = list(variants(grid))
    ((_, spec), *_) = missing_specs(wanted, grid, workspace)
    folder = workspace.store.root / "attempts"
    folder.mkdir(exist_ok=True)
    key, step = forecast.key_of(spec), forecast.training_label(spec) + ": epoch 1"
    for number in (1, 2):
        note = folder / f"{key}.{number}.json"
        note.write_text(f'{{"pid": -1, "step": "{step}"}}')
        note.with_suffix(".trace").write_text("Fatal Python error: Segmentation fault\n")
    with pytest.raises(CrashError, match="2 processes died"):
        announce(wanted, grid, workspace)
