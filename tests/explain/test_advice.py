"""Advice with its measured effect; what has none beyond its interval is not given."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.explain.advice import Tried, advise
from pruning_core.explain.groups import width_groups
from pruning_core.explain.reasons import LAUNCH
from pruning_core.models.copying import copy_network
from pruning_core.pruning.step import prune
from pruning_core.shapes.timing import Setting, SettingTimes, ShapeTime

EXAMPLE = torch.zeros(1, 3, 8, 8)


def timed(speedup: float, low: float, high: float) -> ShapeTime:
    """Return a measurement of ten rounds."""
    return ShapeTime(1 / speedup, 1.0, speedup, low, high, 10, (1 / high, 1 / low), (1.0, 1.0))


def advice_on(times: Sequence[ShapeTime | None], small: float = 0.0) -> tuple[Tried, list[list[int]]]:
    """Advise on a network of 62 channels cut to 31, with given times of whatever is timed.

    Returns:
        What was said; and the widths of the networks that were timed, call by call.
    """
    dense = nn.Sequential(
        *(nn.Conv2d(3, 62, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(62, 10))
    )
    network = copy_network(dense)
    plan = prune(network, dense, MethodSpec(round_to=1), 0.5, EXAMPLE, seed=0)
    groups = width_groups(dense, network, plan, EXAMPLE)
    left, asked = list(times), []

    def time(
        reference: nn.Module, networks: Sequence[nn.Module], example: Tensor, settings: Sequence[Setting]
    ) -> list[SettingTimes]:
        asked.append([int(other[0].out_channels) for other in (reference, *networks)])
        some = tuple(left.pop(0) for _ in networks)
        return [SettingTimes(settings[0], some, None, ("",) * len(some), "")]

    setting = Setting("openvino", "int8", 1)
    return advise(dense, network, groups, EXAMPLE, setting, {LAUNCH: small}, time=time), asked


DENSE = timed(0.25, 0.2, 0.3125)


def test_a_gain_beyond_its_interval_is_said_with_what_it_costs() -> None:
    """Widths are rounded as `--round-to` rounds them; speed-ups are over the dense network."""
    tried, asked = advice_on([DENSE, timed(2.0, 1.8, 2.2), timed(1.5, 1.2, 1.8), timed(1.1, 0.9, 1.3)])
    assert asked == [[31, 62, 24, 16, 32]]
    assert [advice.option for advice in tried.advice] == ["--round-to 8", "--round-to 16"]
    (first, _) = tried.advice
    assert (first.before, first.after) == (4.0, 8.0)
    assert first.macs == pytest.approx(24 / 31 - 1, abs=0.01)
    assert first.text == (
        "`--round-to 8`: 4× → 8× on openvino:int8, batch 1, MACs −23 % (gain 2.00 [1.80–2.20])"
    )
    assert tried.without_gain == ("--round-to 32: 1.10 [0.90–1.30]",)
    assert tried.speedup is not None
    assert (tried.speedup.low, tried.speedup.high) == (3.2, 5.0)


def test_without_any_gain_nothing_is_advised() -> None:
    """An interval that includes no gain, or a network that cannot run, is no advice."""
    tried, _ = advice_on([DENSE, timed(1.2, 1.0, 1.4), None, timed(0.8, 0.7, 0.9)])
    assert tried.advice == ()
    assert len(tried.without_gain) == 3


def test_a_larger_batch_is_tried_where_a_call_is_too_small() -> None:
    """Only there; and said if pruning is worth more in it, beyond both intervals."""
    rest = [timed(1.0, 0.9, 1.1)] * 3
    tried, asked = advice_on([DENSE, *rest, timed(7.0, 6.0, 8.0)], small=0.5)
    assert asked[1] == [62, 31]
    (advice,) = tried.advice
    assert advice.text.startswith("`--batch-sizes 32`: 4× → 7× on openvino:int8, batch 32")
    assert advice_on([DENSE, *rest, timed(5.0, 4.9, 5.1)], small=0.5)[0].advice == ()


def test_a_backend_that_cannot_run_the_dense_network_gives_no_speedup() -> None:
    """Without a reference there is nothing to say."""
    tried, _ = advice_on([None, None, None, None])
    assert (tried.advice, tried.speedup) == ((), None)
