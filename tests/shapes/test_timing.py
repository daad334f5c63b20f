"""Times of networks that nobody trained."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pruning_core.api import Comparison
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.errors import BackendError, OptionError
from pruning_core.measure.paired import PairedTiming
from pruning_core.shapes.shape_time import shape_time
from pruning_core.shapes.timing import Setting, time_shapes
from pruning_core.suites.latency_fields import timing_fields
from pruning_core.system.contention import Contention

FEW = LatencyOptions(
    min_rounds=5, max_rounds=9, target_error=0.9, budget_s=1.0, warmup_ms=1.0, sample_ms=0.5, confidence=0.9
)
QUIET = Contention(0.0, 0.0, None, None, None, None, 10.0)
EXAMPLE = torch.zeros(1, 3, 16, 16)


def net(width: int) -> nn.Module:
    """Return a small network of one width."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4)
    )


class OnlyEager(nn.Module):
    """A network that no graph can be made of."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, by way of NumPy."""
        return x + torch.from_numpy(x.detach().numpy().copy())


def test_each_network_is_timed_in_each_setting_in_the_order_asked_for() -> None:
    """Every network has a speed-up within its interval, and the control is timed as well."""
    settings = [
        Setting("onnxruntime", "int8", 2),
        Setting(batch_size=4),
        Setting("onnxruntime", "fp32", 1),
        Setting(),
    ]
    found = time_shapes(net(64), [net(64), net(2)], EXAMPLE, settings, FEW)
    assert [item.setting for item in found] == settings
    for item in found:
        assert item.errors == ("", "")
        for timed in (*item.networks, item.control):
            assert timed is not None
            assert 0 < timed.speedup_low <= timed.speedup <= timed.speedup_high
            assert timed.latency_bounds_ms[0] <= timed.latency_ms <= timed.latency_bounds_ms[1]
            assert timed.reference_bounds_ms[0] <= timed.reference_ms <= timed.reference_bounds_ms[1]
            assert min(*timed.latency_bounds_ms, *timed.reference_bounds_ms) > 0


def test_times_are_within_their_bounds_however_uneven_the_samples() -> None:
    """Of a round whose one sample was slowed down as much as of another; so do comparisons and cells."""
    samples = (1.0, 1.0, 1.0, 1.0, 1.0, 400.0, 600.0, 500.0, 300.0, 400.0)
    timing = PairedTiming(samples, samples[::-1], (0.0,) * 5, 1, 1)
    found = shape_time(timing, 0.9)
    assert found.latency_bounds_ms[0] <= found.latency_ms <= found.latency_bounds_ms[1]
    assert found.reference_bounds_ms[0] <= found.reference_ms <= found.reference_bounds_ms[1]
    assert (found.latency_ms, found.reference_ms) == (20_000.0, 20_000.0)
    compared = Comparison(timing, timing, QUIET, "", "cpu", 1, 0.05)
    assert (compared.candidate_s, compared.reference_s) == (20.0, 20.0)
    fields = timing_fields(replace(timing, call_times_s=samples), FEW, batch_size=1)
    assert (fields["latency_ms"], fields["reference_latency_ms"]) == (20_000.0, 20_000.0)


def test_a_network_that_a_backend_cannot_run_has_its_error_and_the_others_their_times() -> None:
    """One bad shape does not take the table away."""
    (found,) = time_shapes(net(8), [OnlyEager(), net(4)], EXAMPLE, [Setting("onnxruntime")], FEW)
    assert found.networks[0] is None
    assert found.networks[1] is not None
    assert "onnxruntime:fp32 cannot run this model" in found.errors[0]
    assert found.errors[1] == ""


def test_a_setting_that_is_none_is_one_line() -> None:
    """A backend without that precision is refused before anything is timed."""
    with pytest.raises(OptionError, match="no precision"):
        time_shapes(net(8), [net(4)], EXAMPLE, [Setting("eager", "int8")], FEW)


def test_a_backend_that_cannot_run_the_reference_costs_its_own_settings() -> None:
    """Asked to go on, every network has that error there, and its times elsewhere; else it is raised."""
    settings = [Setting("onnxruntime", batch_size=2), Setting(batch_size=2)]
    unable, able = time_shapes(OnlyEager(), [OnlyEager()], EXAMPLE, settings, FEW, go_on=True)
    assert (unable.networks, unable.control) == ((None,), None)
    assert "onnxruntime:fp32 cannot run this model" in unable.errors[0]
    assert able.errors == ("",)
    assert able.networks[0] is not None
    with pytest.raises(BackendError, match="cannot run this model"):
        time_shapes(OnlyEager(), [OnlyEager()], EXAMPLE, settings, FEW)


def test_a_control_is_timed_unless_it_is_not_wanted() -> None:
    """A first look spends no time on it; where no network can run it is timed all the same."""
    (found,) = time_shapes(net(8), [net(4)], EXAMPLE, [Setting()], FEW, with_control=False)
    assert found.control is None
    assert found.networks[0] is not None
    setting = Setting("onnxruntime")
    (found,) = time_shapes(net(8), [OnlyEager()], EXAMPLE, [setting], FEW, with_control=False)
    assert found.networks == (None,)
    assert found.errors[0]
