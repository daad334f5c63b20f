"""Targets of time are found by timing untrained shapes, those of counts by counting."""

from dataclasses import replace

import pytest
import torch

from pruning_core.config.grid import make_grid
from pruning_core.config.spec import MethodSpec
from pruning_core.config.target_kinds import Target
from pruning_core.errors import BackendError
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning.cost import count_cost, serialised_size_bytes
from pruning_core.shapes import memory
from pruning_core.shapes.pruned import PrunedShapes
from pruning_core.shapes.targets import MARGIN, find_for_counts, find_for_times
from pruning_core.shapes.timing import Setting
from tests.helpers.factories import Tiny
from tests.helpers.target_times import DENSE_MS, NoisyTimer, speed_of

SETTING = Setting("openvino", "int8", 1)
EXAMPLE = torch.zeros(1, 3, 8, 8)
SPEEDUPS = tuple(Target("target_speedup", amount) for amount in (2.0, 4.0))


@pytest.fixture(scope="module")
def shapes():
    """Return the shapes of a small network of a few dozen widths."""
    torch.manual_seed(0)
    return PrunedShapes(Tiny(width=64), MethodSpec(), EXAMPLE)


def find(shapes, targets, timer):
    """Find the ratios of targets of time with made-up times."""
    return find_for_times(shapes, targets, SETTING, ProgressDisplay(), "tiny", timer)


def test_ratios_are_those_at_which_a_layer_gets_narrower(shapes):
    """Between two of them nothing changes, and each makes a difference."""
    seen = [shapes.network(ratio)[1] for ratio in shapes.ratios]
    assert len(set(seen)) == len(seen)
    assert shapes.ratios[0] == 0
    middle = (shapes.ratios[5] + shapes.ratios[6]) / 2
    assert shapes.network(middle)[1] == seen[5]


@pytest.mark.parametrize("seed", range(4))
def test_speed_ups_are_met_within_five_percent_under_noise(shapes, seed):
    """What was timed with errors of 3 % meets the target within 5 %, and one width less does not by far."""
    for item in find(shapes, SPEEDUPS, NoisyTimer(seed)):
        true = speed_of(shapes.network(item.ratio)[0], shapes.dense)
        assert item.reached
        assert true > 0.95 * item.target.amount
        assert item.low < item.value < item.high
        assert item.setting == "openvino:int8, batch 1"
        wider = shapes.ratios[max(shapes.ratios.index(item.ratio) - 4, 0)]
        assert speed_of(shapes.network(wider)[0], shapes.dense) < 1.02 * (1 + MARGIN) * item.target.amount


def test_a_target_still_holds_where_sessions_differ():
    """Where all times of a session are 4 % off, one way or the other, what is found reaches its target."""
    torch.manual_seed(0)
    shapes = PrunedShapes(Tiny(width=256), MethodSpec(), EXAMPLE)
    reached = [
        speed_of(shapes.network(item.ratio)[0], shapes.dense) / item.target.amount
        for seed in range(12)
        for item in find(shapes, SPEEDUPS, NoisyTimer(seed, session=0.04))
    ]
    assert min(reached) >= 1


def test_a_latency_is_a_time_of_one_call(shapes):
    """A latency in milliseconds is met by the shape that takes no longer, with bounds in milliseconds."""
    (item,) = find(shapes, [Target("target_latency_ms", DENSE_MS / 3)], NoisyTimer(0))
    assert item.reached
    assert item.value * (1 + MARGIN) <= DENSE_MS / 3 < item.value * 1.15
    assert item.low < item.value < item.high
    (item,) = find(shapes, [Target("target_latency_ms", 2 * DENSE_MS)], NoisyTimer(0))
    assert (item.reached, item.ratio, item.how) == (True, 0.0, "dense, unpruned,")


def test_dense_is_no_speed_up(shapes):
    """A network that only gets slower reaches no speed-up, however near to 1 it is."""

    class Slower(NoisyTimer):
        def _time(self, speedup, closely):
            return super()._time(0.8, closely)

    (item,) = find(shapes, [Target("target_speedup", 1.05)], Slower(noise=False))
    assert not item.reached


def test_bounds_of_a_latency_are_its_own(shapes):
    """Milliseconds vary more than ratios of pairs."""

    class Drifting(NoisyTimer):
        def _time(self, speedup, closely):
            found = super()._time(speedup, closely)
            return replace(found, latency_bounds_ms=(0.8 * found.latency_ms, 1.3 * found.latency_ms))

    (item,) = find(shapes, [Target("target_latency_ms", DENSE_MS / 3)], Drifting(0))
    assert (item.low, item.high) == (pytest.approx(0.8 * item.value), pytest.approx(1.3 * item.value))


def test_a_control_that_is_off_is_kept_with_what_was_found(shapes):
    """Two copies of the dense network that seem to differ say that no time here can be trusted."""

    class Biased(NoisyTimer):
        def __call__(self, *arguments):
            found = super().__call__(*arguments)
            return replace(found, control=self._time(1.3, True))

    for item in find(shapes, SPEEDUPS, Biased(0)):
        assert item.contention == "the A/A control is beyond 1 ± 0.05"


def test_a_backend_that_fails_closely_is_an_error(shapes):
    """Where no shape can be timed with all rounds, it says why, and is no ratio."""

    class Full(NoisyTimer):
        def __call__(self, *arguments):
            found = super().__call__(*arguments)
            if not self.sessions[-1][1]:
                return found
            none = (None,) * len(found.networks)
            return replace(found, networks=none, errors=("no memory",) * len(none))

    with pytest.raises(BackendError, match="can run none of tiny pruned: no memory"):
        find(shapes, SPEEDUPS, Full())


def test_a_shape_that_fails_closely_after_others_is_left_out(shapes):
    """The backend cannot run that one; another one is found, and the search does not end."""
    reference, failed = find(shapes, SPEEDUPS, NoisyTimer(noise=False)), []

    class Partial(NoisyTimer):
        def _time(self, speedup, closely):
            return super()._time(speedup * (1 if closely else 0.9), closely)  # the crossing lies elsewhere

        def __call__(self, *arguments):
            found = super().__call__(*arguments)
            if sum(closely for _, closely in self.sessions) != 2:
                return found
            failed.extend(found.networks)
            none = (None,) * len(failed)
            return replace(found, networks=none, errors=("no such kernel",) * len(none))

    again = find(shapes, SPEEDUPS, Partial(noise=False))
    assert failed
    assert all(item.reached for item in again)
    assert [item.ratio for item in again] >= [item.ratio for item in reference]


def test_shapes_that_memory_does_not_hold_together_are_timed_one_after_the_other(shapes, monkeypatch):
    """Each has the reference beside it, and what is found is the same."""
    together, timer = find(shapes, SPEEDUPS, NoisyTimer(noise=False)), NoisyTimer(noise=False)
    dense = memory.bytes_of(shapes.dense, EXAMPLE, 1)
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 0)
    monkeypatch.setattr(memory, "MEMORY_BYTES", (memory.COPIES + 1) * dense)
    assert find(shapes, SPEEDUPS, timer) == together
    assert {count for count, _ in timer.sessions} == {1}
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 100 * dense)
    find(shapes, SPEEDUPS, timer)
    assert max(count for count, _ in timer.sessions) > 1


def test_out_of_reach_says_what_comes_nearest(shapes):
    """No ratio is called enough; the nearest one is given with its interval."""
    (item,) = find(shapes, [Target("target_speedup", 500.0)], NoisyTimer(0))
    assert not item.reached
    assert item.ratio > 0.9
    assert item.low <= item.value <= item.high < 500


def test_contention_is_kept_with_what_was_found(shapes):
    """A ratio that was timed on a busy machine says so."""
    timer = NoisyTimer(0, contention="other processes used 80 % of the cores")
    assert [item.contention for item in find(shapes, SPEEDUPS, timer)] == [timer.contention] * 2

    class Disturbed(NoisyTimer):
        def __call__(self, *arguments):
            found = super().__call__(*arguments)
            closely = [session for session in self.sessions if session[1]]
            return replace(found, contention="other work" if len(closely) == 1 else "")

    for seed in range(8):  # in some a second close look follows, undisturbed
        timer = Disturbed(seed, session=0.06)
        assert {item.contention for item in find(shapes, SPEEDUPS, timer)} == {"other work"}
        if sum(closely for _, closely in timer.sessions) > 1:
            return
    raise AssertionError("no search had two close looks")


@pytest.mark.parametrize(("round_to", "first"), [(48, 0.001), (24, 0.001), (16, 0.001), (8, 0.001)])
def test_the_first_ratio_narrows_a_layer_whatever_widths_are_multiples_of(round_to, first):
    """64 channels go to 48 in steps of 48 and of 24 too; where no layer is as wide, it says so."""
    torch.manual_seed(0)
    shapes = PrunedShapes(Tiny(width=64), MethodSpec(round_to=round_to), EXAMPLE)
    assert shapes.ratios[1] == first
    assert shapes.network(first)[1] != shapes.network(0.0)[1]
    with pytest.raises(BackendError, match="no ratio makes any layer narrower"):
        find(PrunedShapes(Tiny(width=64), MethodSpec(round_to=256), EXAMPLE), SPEEDUPS, NoisyTimer())


def test_a_backend_that_runs_no_pruned_shape_is_an_error(shapes):
    """It repeats what the backend said, and is no ratio."""

    class Refusing(NoisyTimer):
        def __call__(self, *arguments):
            found = super().__call__(*arguments)
            networks = (None,) * len(found.networks)
            return replace(found, networks=networks, errors=("no such operator",) * len(networks))

    with pytest.raises(BackendError, match="can run none of tiny pruned: no such operator"):
        find(shapes, SPEEDUPS, Refusing())


@pytest.mark.parametrize("round_to", [1, 2, 8])
def test_counts_are_met_exactly_by_the_smallest_ratio(round_to):
    """The ratio before the one that is found does not meet the target."""
    shapes = PrunedShapes(Tiny(width=32), MethodSpec(round_to=round_to), EXAMPLE)
    dense = count_cost(shapes.dense, EXAMPLE)
    asked = {"target_macs": f"2x,4x,{dense.macs // 3}", "target_params": "3x", "target_size_mb": 0.02}
    for item in find_for_counts(shapes, make_grid(asked).targets):
        before = shapes.ratios[shapes.ratios.index(item.ratio) - 1]
        met = [_meets(item.target, shapes, ratio, dense) for ratio in (before, item.ratio)]
        assert met == [False, True]
        assert item.reached
        assert item.setting == ""


def test_a_method_that_ranks_by_examples_needs_none_here():
    """With local scope it leaves the same widths as another one, whatever it would rank by."""
    taylor, magnitude = (
        PrunedShapes(Tiny(), MethodSpec(name=name), EXAMPLE) for name in ("taylor", "magnitude")
    )
    assert taylor.ratios == magnitude.ratios
    assert taylor.network(0.5)[1] == magnitude.network(0.5)[1]


def test_counts_that_dense_meets_or_none_does():
    """Dense is ratio 0; out of reach is not reached."""
    shapes = PrunedShapes(Tiny(), MethodSpec(), EXAMPLE)
    easy, hard = find_for_counts(shapes, make_grid({"target_macs": "1G,10"}).targets)
    assert (easy.reached, easy.ratio) == (True, 0.0)
    assert not hard.reached
    assert hard.value > 10


def _meets(target, shapes, ratio, dense):
    network, _ = shapes.network(ratio)
    cost = count_cost(network, EXAMPLE)
    if target.key == "target_size_mb":
        return sum(t.numel() for t in network.state_dict().values()) * 4 / 1e6 < 1.2 * target.amount and (
            _size_mb(network) <= target.amount
        )
    now, before = (cost.macs, dense.macs) if target.key == "target_macs" else (cost.params, dense.params)
    return before / now >= target.amount if target.factor else now <= target.amount


def _size_mb(network):
    return serialised_size_bytes(network) / 1e6
