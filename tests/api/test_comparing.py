"""`pruning_core.api.compare`: verdicts on a clock of its own; what it does with networks and callables."""

import gc
import random

import pytest
import torch
from torch import nn

from pruning_core.api import Comparison, compare
from pruning_core.api.comparing import FEW_ROUNDS, MAX_ROUNDS, MIN_ROUNDS, measure, plan
from pruning_core.api.subjects import bind
from pruning_core.errors import ModelError, OptionError
from pruning_core.measure.paired import PairedTiming
from pruning_core.system.contention import Contention, ContentionMonitor, CpuTimes
from tests.helpers.timed_machine import IDLE, Machine

QUIET = Contention(0.0, 0.0, None, None, None, None, 10.0)


@pytest.fixture(scope="module", autouse=True)
def _quick_garbage_collection():
    """Hold what is in memory, PyTorch above all, out of the collections before each measurement."""
    gc.freeze()
    yield
    gc.unfreeze()


def simulated(candidate_cost: float, seed: int, noise: float = 0.045) -> Comparison:
    """Compare on a machine of its own, three seconds long; a cost of 1.1 is 10 % more work."""
    machine = Machine(noise=noise, seed=seed)
    call_s = 0.002  # five of them are a sample, whose noise is 2 %
    calls = [
        machine.model(name, call_s * cost) for name, cost in zip("ABC", (1, candidate_cost, 1), strict=True)
    ]
    options = plan([call_s] * 3, 0.02, 3.0)
    return measure(
        calls,
        ["one"] * 3,
        options,
        device="cpu",
        threads=1,
        tolerance=0.05,
        clock=machine.clock,
        monitor=ContentionMonitor("cpu", read_cpu=lambda: CpuTimes(0.0, 0.0, None, 0.0)),
        **IDLE,
    )


def made_up(speedups: list[float], control: list[float] | None = None, contended: str = "") -> Comparison:
    """Return a comparison whose rounds found these speed-ups."""

    def timing(ratios: list[float]) -> PairedTiming:
        logs = [-float(torch.tensor(ratio).log()) for ratio in ratios]
        seconds = tuple(0.002 for _ in range(2 * len(ratios)))
        return PairedTiming(seconds, seconds, tuple(logs), 1, 1)

    return Comparison(timing(speedups), timing(control or [1.0] * 10), QUIET, contended, "cpu", 1, 0.05)


def test_equal_work_is_never_called_faster_or_slower():
    """Of 200 simulated pairs of equal networks, with noise, none has a verdict."""
    verdicts = [simulated(1.0, seed).verdict for seed in range(200)]
    assert verdicts.count("no difference shown") == 200


def test_ten_percent_more_work_is_found():
    """Of 200 simulated candidates with a tenth more work, with noise, at least 95 % are found."""
    verdicts = [simulated(1.1, seed).verdict for seed in range(200)]
    assert verdicts.count("slower") >= 190
    assert "faster" not in verdicts


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Of 200 simulated comparisons 95 %, but for chance, have the true speed-up in their interval."""
    found = [simulated(1.1, seed, noise=0.1).speedup for seed in range(200)]
    assert sum(speedup.low <= 1 / 1.1 <= speedup.high for speedup in found) >= 184


@pytest.mark.parametrize(
    ("speedups", "verdict", "half_as_fast_again"),
    [
        ([1.9, 2.0, 2.1] * 4, "faster", True),
        ([0.5, 0.51, 0.52] * 4, "slower", False),
        ([1.0, 1.01, 1.02] * 4, "no difference shown", False),
        ([1.4, 1.5, 1.6] * 4, "faster", None),
        ([0.6, 1.0, 2.0] * 4, "no difference shown", None),
        ([1.04, 1.05, 1.045] * 4, "no difference shown", False),
    ],
)
def test_a_verdict_needs_the_whole_interval(speedups, verdict, half_as_fast_again):
    """Faster or slower is said where the whole interval is beyond the tolerance; a limit likewise."""
    found = made_up(speedups)
    assert found.verdict == verdict
    assert found.is_at_least(1.5) is half_as_fast_again


@pytest.mark.parametrize(
    ("control", "contended"), [([1.2] * 10, ""), ([0.8, 1.25] * 5, "other processes used 34 % of the cores")]
)
def test_disturbed_times_must_clear_the_control_too(control, contended):
    """Where the control is off or the machine contended, a difference no larger than that shows nothing."""
    small, large = made_up([1.15] * 10, control, contended), made_up([3.0] * 10, control, contended)
    assert small.problem
    assert small.verdict == "no difference shown"
    assert small.is_at_least(1.1) is None
    assert large.verdict == "faster"
    assert large.is_at_least(1.5) is True
    assert "disturbed: " in str(large)
    assert contended in str(large)


def test_it_prints_as_one_line():
    """Verdict, speed-up with interval, times, rounds, control, state, device."""
    assert str(made_up([1.9, 2.0, 2.1] * 4)) == (
        "faster: 2× [1.9, 2.1], 2 → 2 ms; 12 rounds, A/A 1× [1, 1], quiet; cpu, 1 thread"
    )


class Noting(nn.Module):
    """Notes in which mode it runs, and whether autograd is off."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dropout = nn.Linear(4, 4), nn.Dropout(0.5)
        self.seen: set[tuple[bool, bool, bool]] = set()

    def forward(self, numbers):
        self.seen.add((self.training, self.dropout.training, torch.is_inference_mode_enabled()))
        return self.dropout(self.layer(numbers))


def test_networks_run_in_evaluation_and_are_back_in_their_mode():
    """Each module is in evaluation and inference mode meanwhile, and afterwards in the mode it was in."""
    reference, candidate = Noting(), Noting()
    candidate.dropout.eval()
    compare(reference, candidate, torch.zeros(2, 4), time_limit_s=0.1)
    assert reference.seen == candidate.seen == {(False, False, True)}
    assert reference.training
    assert reference.dropout.training
    assert candidate.training
    assert not candidate.dropout.training
    with pytest.raises(ModelError):
        compare(reference, candidate, torch.zeros(2, 5))
    assert reference.training


def test_threads_are_set_meanwhile():
    """PyTorch's threads are those asked for while it runs, and as before afterwards."""
    before, seen = torch.get_num_threads(), set()
    found = compare(
        lambda: seen.add(torch.get_num_threads()), lambda: None, threads=before + 1, time_limit_s=0.1
    )
    assert seen == {before + 1}
    assert found.threads == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("inputs", "arguments"),
    [(None, ()), ((1, "a"), (1, "a")), ([1, 2], ([1, 2],)), ((), ())],
)
def test_inputs_are_the_arguments(inputs, arguments):
    """None is no argument, a tuple is several, anything else is one."""
    seen = []
    compare(lambda *given: seen.append(given), lambda *given: None, inputs, time_limit_s=0.1)
    assert set(map(str, seen)) == {str(arguments)}


def test_input_tensors_are_copied():
    """A network that writes into its input does not change the caller's tensor."""
    numbers = torch.full((2, 4), -1.0, requires_grad=True)
    compare(nn.ReLU(inplace=True), nn.ReLU(), numbers, time_limit_s=0.1)
    assert numbers.eq(-1).all()


def test_slow_calls_get_few_rounds():
    """Looks are planned that there is time for: one after six rounds of slow calls, three of fast ones."""
    assert plan([0.5, 0.5, 0.5], 0.02, 3.0).looks == (FEW_ROUNDS,)
    assert plan([1e-4] * 3, 0.02, 3.0).looks == (15,)
    assert plan([1e-4] * 3, 0.02, 4.0).looks == (MIN_ROUNDS, 2 * MIN_ROUNDS)
    assert plan([1e-4] * 3, 0.02, 10.0).looks == (MIN_ROUNDS, 2 * MIN_ROUNDS, MAX_ROUNDS)
    assert 0 < 2 * plan([1e-4] * 3, 0.02, 3.0).budget_s < 3


def test_what_cannot_be_copied_is_its_own_control():
    """A network that holds a lock, which cannot be copied, is compared with itself as the control."""
    import threading

    network = nn.Linear(4, 4)
    network.lock = threading.Lock()
    assert compare(network, nn.Linear(4, 4), torch.zeros(2, 4), time_limit_s=0.1).control.value > 0


def test_a_device_is_waited_for(monkeypatch):
    """On another device than the CPU a call returns when the work is done."""
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    bind(lambda: None, (), "cuda:0")()
    bind(lambda: None, (), "cpu")()
    assert waited == [torch.device("cuda:0")]


NET, BARE = nn.Linear(4, 4), nn.Linear(4, 4, device="meta")


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((NET, 3), {}, "the candidate must be a network or a callable; got int"),
        ((NET, NET), {"tolerance": -0.1}, "tolerance must be a number from 0"),
        ((NET, NET), {"target_error": "1"}, "target_error must be a number"),
        ((NET, NET), {"time_limit_s": float("nan")}, "time_limit_s must be a number"),
        ((NET, NET), {"threads": -1}, "threads must be 1 or more"),
        ((NET, NET), {"threads": "2"}, "threads must be 1 or more"),
        ((NET, NET), {"threads": 10**6}, "threads must be 1 or more"),
        ((NET, NET), {"device": 5}, "device must be a name, as cpu or cuda:0; got 5"),
        ((BARE, BARE), {}, "has no content"),
        ((NET, NET), {"device": "gpu"}, "no device 'gpu' here"),
        ((NET, nn.Linear(4, 4, device="meta")), {}, "the candidate lies on meta"),
        ((NET, NET), {"device": "meta"}, "the reference lies on cpu"),
    ],
)
def test_an_invalid_argument_is_named(arguments, options, text):
    """A mistake of the caller is one line, before anything is measured."""
    with pytest.raises(OptionError) as found:
        compare(*arguments, torch.zeros(1, 4), **options)
    assert text in str(found.value)
    assert "\n" not in str(found.value)


def test_an_input_without_content_is_named():
    """A tensor on the device meta cannot be copied to where the networks lie."""
    with pytest.raises(OptionError, match="an input lies on the device meta"):
        compare(NET, NET, torch.zeros(1, 4, device="meta"))


@pytest.mark.parametrize("device", [torch.device("cpu"), "cpu:0", torch.device("cpu", 0)])
def test_the_cpu_is_one_device_however_it_is_called(device):
    """A device of torch will do as its name does, and the CPU has no second one."""
    assert compare(NET, NET, torch.zeros(1, 4), device=device, threads=1, time_limit_s=0.01).device == "cpu"


@pytest.mark.parametrize("speedup", ["2", None, 0, float("nan"), True])
def test_a_speedup_that_is_none_is_refused(speedup):
    """No verdict on what cannot be reached or missed."""
    with pytest.raises(OptionError, match="a speed-up is a number above 0"):
        made_up([2.0] * 10).is_at_least(speedup)


@pytest.mark.parametrize(
    ("reference", "candidate", "text"),
    [
        (NET, nn.Linear(5, 4), "the candidate cannot run on these inputs: RuntimeError: mat1"),
        (lambda _: 1 / 0, NET, "the reference cannot run on these inputs: ZeroDivisionError"),
    ],
)
def test_what_does_not_run_is_named(reference, candidate, text):
    """An error of the callable's own is told in one line, with its name."""
    with pytest.raises(ModelError, match=text):
        compare(reference, candidate, torch.zeros(1, 4))


def test_random_states_are_not_touched():
    """Comparing draws nothing from the caller's generators."""
    other = nn.Linear(4, 4)
    state, ours = torch.random.get_rng_state(), random.getstate()
    compare(NET, other, torch.zeros(1, 4), time_limit_s=0.1)
    assert torch.random.get_rng_state().equal(state)
    assert random.getstate() == ours
