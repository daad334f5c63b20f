"""The steps of a plan, with the times of their shapes."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from pruning_core.config.grid import make_grid
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.spec import MethodSpec
from pruning_core.errors import OptionError, PruningError, UnavailableError
from pruning_core.pruning.preview import PreviewStep, preview_networks
from pruning_core.shapes import memory, plan_times
from pruning_core.shapes.plan_times import settings_of, time_steps
from pruning_core.shapes.timing import Setting, SettingTimes, ShapeTime

EXAMPLE = torch.zeros(1, 3, 32, 32)
RATIOS = (0.25, 0.5, 0.9)
SETTINGS = (
    Setting("eager", "fp32", 1),
    Setting("eager", "fp32", 4),
    Setting("openvino", "int8", 1),
)


class Calls(list):
    """What was timed together: networks and settings of each call."""

    def answer(self, reference, networks, example, settings, options, *, advance, say, go_on):
        """Answer in place of `time_shapes`: a network of few weights is fast; on OpenVINO there is none."""
        assert go_on
        self.append((len(networks), [setting.label for setting in settings]))
        loaded = {(setting.backend, setting.precision) for setting in settings}
        for number in range(len(loaded) * (1 + len(networks))):
            say(str(number))
        advance(10, 10)
        dense = sum(p.numel() for p in reference.parameters())
        speedups = [dense / sum(p.numel() for p in network.parameters()) for network in networks]
        return [
            SettingTimes(setting, (None,) * len(networks), None, ("no way",) * len(networks), "")
            if setting.backend == "openvino"
            else SettingTimes(
                setting,
                tuple(ShapeTime(1.0, s, s, s * 0.9, s * 1.1, 10, (1.0, 1.0), (s, s)) for s in speedups),
                ShapeTime(1.0, 1.0, 1.0, 0.9, 1.1, 10, (1.0, 1.0), (1.0, 1.0)),
                ("",) * len(networks),
                "a neighbour",
            )
            for setting in settings
        ]


@pytest.fixture
def calls(monkeypatch) -> Calls:
    """Time nothing; return what was asked for."""
    found = Calls()
    monkeypatch.setattr(plan_times, "time_shapes", found.answer)
    return found


def plan(ratios=RATIOS, settings=SETTINGS, shown=None) -> Iterator[PreviewStep]:
    """Give the timed steps of a small network."""
    networks = preview_networks("resnet18", MethodSpec(), ratios, with_dense=True)
    show = (lambda *step: None) if shown is None else (lambda *step: shown.append(step))
    return time_steps(networks, len(ratios), EXAMPLE, settings, show)


def test_settings_are_the_product_of_the_axes() -> None:
    """Backends are written as grids have them; each is looked up before anything is pruned."""
    grid = make_grid({"backends": "eager,openvino:int8", "batch_sizes": "1,32", "threads": "1,2"})
    found = settings_of(grid)
    assert [setting.label for setting in found[:2]] == [
        "eager:fp32, batch 1, 1 thread",
        "eager:fp32, batch 32, 1 thread",
    ]
    assert len(set(found)) == 8
    for axes, kind in (
        ({"backends": "eager:int8"}, OptionError),
        ({"devices": "cuda:99"}, UnavailableError),
        ({"backends": "tensorrt"}, UnavailableError),
    ):
        with pytest.raises(kind):
            settings_of(make_grid(axes))


def test_each_step_has_its_time_in_each_setting(calls) -> None:
    """Times, quotient, control and contention stand in the step; what is not timed has its error."""
    shown: list[tuple[str, int, int]] = []
    dense, *steps = plan(shown=shown)
    assert dense.times == ()
    assert calls == [(3, [setting.label for setting in SETTINGS])]
    for step in steps:
        first, _, failed = step.times
        assert first.speedup == pytest.approx(dense.params / step.params)
        assert first.mac_reduction == pytest.approx(dense.macs / step.macs)
        assert first.mac_efficiency == pytest.approx(first.speedup / first.mac_reduction)
        assert (first.control_low, first.control_high, first.contention) == (0.9, 1.1, "a neighbour")
        assert (failed.backend, failed.error, failed.speedup) == ("openvino", "no way", None)
    assert list(dict.fromkeys(what for what, _, _ in shown)) == ["prune", "load", "warm up", "time"]


def test_what_memory_does_not_hold_is_timed_in_several_sessions(calls, monkeypatch) -> None:
    """Each has the reference; where even that is large, each backend has sessions of its own."""
    monkeypatch.setattr(memory, "MEMORY_BYTES", 275_000_000)  # weights of the dense network: 45 million
    assert [step.ratio for step in plan(settings=SETTINGS[:1])] == [0.0, *RATIOS]
    assert [count for count, _ in calls] == [1, 2]
    monkeypatch.setattr(memory, "MEMORY_BYTES", 2_000_000_000)
    together = list(plan())
    calls.clear()
    monkeypatch.setattr(memory, "MEMORY_BYTES", 1)
    steps = list(plan())
    labels = [setting.label for setting in SETTINGS]
    assert calls == [(1, labels[:2]), (1, labels[2:])] * 3
    assert steps == together


def test_a_step_that_removes_nothing_more_is_not_timed(calls) -> None:
    """It has the shape of the step before."""
    *_, nine_tenths, all_of_it = plan((0.9, 1.0))
    assert len(nine_tenths.times) == 3
    assert all_of_it.exhausted
    assert all_of_it.times == ()
    assert calls[0][0] == 1


def test_steps_before_one_that_fails_are_timed(calls) -> None:
    """A network that cannot be pruned further does not take the times before away."""

    def failing() -> Iterator[tuple[PreviewStep, nn.Module]]:
        yield from preview_networks("resnet18", MethodSpec(), (0.5,), with_dense=True)
        raise PruningError("no further")

    steps = time_steps(failing(), 2, EXAMPLE, SETTINGS[:1], lambda *_: None)
    assert [len(next(steps).times) for _ in range(2)] == [0, 1]
    with pytest.raises(PruningError, match="no further"):
        next(steps)


def test_real_times_lie_within_their_intervals(monkeypatch) -> None:
    """Two steps of a chain, timed: each has as many rounds as are run before the first look."""
    few = LatencyOptions(min_rounds=5, max_rounds=5, warmup_ms=1.0, sample_ms=0.5, confidence=0.9)
    monkeypatch.setattr(plan_times, "QUICK", few)
    networks = preview_networks("mobilenet_v2", MethodSpec(), (0.5, 0.9), with_dense=True)
    *_, half, most = time_steps(networks, 2, EXAMPLE, [Setting()], lambda *_: None)
    assert half.times[0].rounds == most.times[0].rounds == 5
    assert half.times[0].low <= half.times[0].speedup <= half.times[0].high
    assert half.times[0].latency_ms > 0
