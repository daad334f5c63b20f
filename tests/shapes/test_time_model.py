"""The model of times: fitted to whole networks, checked with others."""

import random

import numpy as np
import pytest
from scipy.optimize import nnls

from pruning_core.shapes.time_model import (
    Dimension,
    GroupTimes,
    Weight,
    WholeTime,
    fit_nonnegative,
)

DENSE = (16, 32)


def weight(kind, *dimensions, macs=1.0):
    """Return a weight; each dimension is its length and what it follows."""
    made = tuple(Dimension(dense=length, follows=tuple(follows)) for length, follows in dimensions)
    return Weight(kind=kind, macs=macs, dimensions=made)


WEIGHTS = (
    weight(0, (16, [(0, 1.0)])),
    weight(1, (16, [(0, 1.0)]), (32, [(1, 1.0)])),
    weight(2, (48, [(0, 1.0), (1, 1.0)])),  # reads both, one behind the other
)


def law(a, b):
    """Return the time that such a network takes here, relative to dense."""
    return 0.1 + 0.2 * a / 16 + 0.5 * a * b / 512 + 0.2 * (a + b) / 48


def model_of(times, aside=4, **fields):
    """Return a model of networks of some widths, drawn by chance."""
    draw = random.Random(0)
    widths = [DENSE, *((draw.randint(1, 16), draw.randint(1, 32)) for _ in range(16))]
    wholes = tuple(
        WholeTime(widths=pair, measured=times(*pair), fitted=number < len(widths) - aside)
        for number, pair in enumerate(widths)
    )
    made = {"setting": "eager:fp32, batch 1", "roots": ("a", "b"), "weights": WEIGHTS, "dense_ms": 5.0}
    return GroupTimes(**{"dense_widths": DENSE, "wholes": wholes, **made, **fields})


def test_it_finds_the_law_of_the_times():
    """Times that follow it are predicted for any widths, through JSON too."""
    model = GroupTimes.model_validate_json(model_of(law).model_dump_json())
    for widths in ((16, 32), (8, 8), (1, 1), (3, 31)):
        assert model.time_ms(widths) == pytest.approx(5 * law(*widths), rel=0.03)
    alone = [model.time_ms((8, width)) for width in (4, 8, 32)]
    assert model.times_ms((8, 8), 1, (4, 8, 32)) == pytest.approx(alone)


def test_a_narrower_network_is_never_slower_in_it():
    """However noisy the measured times are."""
    draw = random.Random(1)
    model = model_of(lambda a, b: law(a, b) * draw.uniform(0.7, 1.4))
    for group in (0, 1):
        times = model.times_ms((8, 8), group, range(1, DENSE[group] + 1))
        assert times == sorted(times)


def test_how_far_it_is_off_is_said_of_networks_kept_aside():
    """Only networks that it was not fitted to count; without any it says so."""
    assert "at most" in model_of(law).error_text
    assert max(map(abs, model_of(law).errors)) < 0.05
    assert len(model_of(law, aside=3).errors) == 3
    shifted = model_of(lambda a, b: law(a, b))
    wholes = tuple(
        w if w.fitted else w.model_copy(update={"measured": 2 * w.measured}) for w in shifted.wholes
    )
    assert model_of(law, wholes=wholes).errors == pytest.approx([-0.5] * 4, abs=0.03)
    assert model_of(law, aside=0).error_text.startswith("not checked")


def test_what_no_measurement_tells_follows_the_multiply_adds():
    """Where two groups always went together, each weight gets a time in proportion to its work."""
    heavy = (weight(0, (16, [(0, 1.0)]), macs=9.0), weight(1, (32, [(1, 1.0)]), macs=1.0))
    only = tuple(WholeTime(widths=(16 // n, 32 // n), measured=0.1 + 0.9 / n, fitted=True) for n in (1, 2, 4))
    model = model_of(law, weights=heavy, wholes=only)
    saved = [5 - model.time_ms(widths) for widths in ((8, 32), (16, 16))]
    assert saved[0] > 3 * saved[1] > 0


def test_the_fit_is_that_of_another_solver():
    """It is what another solver finds."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        left, right = draw.normal(size=(12, 4)), draw.normal(size=12)
        assert fit_nonnegative(left, right) == pytest.approx(nnls(left, right)[0], abs=1e-6)
    assert fit_nonnegative(np.zeros((3, 2)), np.ones(3)) == pytest.approx([0, 0])
