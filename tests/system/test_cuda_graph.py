"""Training steps as one CUDA graph: as kernel by kernel, and never where that would be wrong."""

import random
import warnings
from contextlib import contextmanager, nullcontext

import pytest
import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.system.cuda_graph import WARM_UP_CALLS, GraphedCallable
from pruning_core.tasks import classification
from pruning_core.tasks.classification import Classification
from pruning_core.training import step
from pruning_core.training.loop import train
from pruning_core.training.step import Distillation
from tests.helpers.factories import Tiny, bright_images
from tests.helpers.small_trainings import WithDropout, same

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SPEC = TrainSpec(epochs=20, batch_size=16, learning_rate=0.05, precision="bf16", device="cuda")


@pytest.fixture(scope="module")
def images():
    """Sixty images whose class shows in their brightness: three whole batches an epoch, and a smaller one."""
    return bright_images(crop_padding=2)


class Machine:
    """Stands for CUDA: what is done while a graph is captured is done again when it is replayed."""

    def __init__(self):
        self.captures, self.capturing, self.modes = 0, None, []

    def do(self, work):
        """Run one kernel."""
        work()
        if self.capturing is not None:
            self.capturing.works.append(work)

    @contextmanager
    def capture(self, graph, stream):
        """Capture what is done inside."""
        self.captures += 1
        self.capturing = graph
        try:
            yield
        finally:
            self.capturing = None


class StandInGraph:
    """Works that are done again."""

    def __init__(self):
        self.works = []

    def replay(self):
        """Do them."""
        for work in self.works:
            work()


class StandInStream:
    """One that waits for nothing."""

    device = torch.device("cpu")

    def wait_stream(self, other):
        """There is nothing to wait for."""


@pytest.fixture
def machine(monkeypatch):
    """CUDA, as far as a graph needs it, on the CPU."""
    machine = Machine()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", StandInGraph)
    monkeypatch.setattr(torch.cuda, "graph", machine.capture)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: StandInStream())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", machine.modes.append)
    return machine


def doubling(machine, beforehand=lambda call: None):
    """Return a function of one kernel, and the list of its calls by Python."""
    calls = []

    def double(x):
        calls.append(len(x))
        beforehand(len(calls))
        out = torch.zeros_like(x)
        machine.do(lambda: out.copy_(2 * x))
        return out

    return double, calls


def right_each_time(graphed, sizes):
    """Call with other numbers each time, and tell whether all answers are right."""
    numbers = [torch.full((n,), float(i)) for i, n in enumerate(sizes)]
    return all(torch.equal(graphed(x), 2 * x) for x in numbers)


def test_calls_are_replayed_on_new_inputs(machine):
    """After the warm-up the function is called once more, for the capture, and all answers are right."""
    function, calls = doubling(machine)
    graphed = GraphedCallable(function, StandInStream())
    assert right_each_time(graphed, [4] * 10)
    assert len(calls) == WARM_UP_CALLS + 1
    assert graphed.captured
    assert graphed.capture_error == ""


def test_another_shape_runs_as_it_is(machine):
    """A smaller last batch is no part of the graph, which goes on afterwards."""
    function, calls = doubling(machine)
    graphed = GraphedCallable(function, StandInStream())
    assert right_each_time(graphed, [4, 4, 4, 4, 3, 4, 3, 4])
    assert calls == [4, 4, 4, 4, 3, 3]


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), random.random], ids=["torch", "random"])
def test_what_draws_on_the_cpu_is_not_captured(machine, draw):
    """A graph would repeat the one choice that was made in the capture."""
    function, calls = doubling(machine, lambda call: draw())
    graphed = GraphedCallable(function, StandInStream())
    assert right_each_time(graphed, [4] * 6)
    assert len(calls) == 6
    assert graphed.capture_error == "it draws from a generator of the CPU"
    assert machine.captures == 0


@pytest.mark.parametrize(("waits_in", "captured"), [({1}, True), ({1, 2, 3}, False)])
def test_what_waits_for_the_device_is_not_captured(machine, waits_in, captured):
    """CUDA warns of waits; those of the first call alone may be for what is made once."""

    def wait(call):
        if call in waits_in:
            warnings.warn("called a synchronizing CUDA operation (Triggered internally)", stacklevel=1)

    function, _ = doubling(machine, wait)
    graphed = GraphedCallable(function, StandInStream())
    assert right_each_time(graphed, [4] * 6)
    assert graphed.captured == captured
    assert graphed.capture_error == ("" if captured else "it waits for the device")


def test_other_warnings_reach_the_user(machine):
    """Of what is warned of while waits are looked for, only those are kept back; the mode is as it was."""

    def warn(call):
        if call == 2:
            warnings.warn("this layer is deprecated", DeprecationWarning, stacklevel=1)

    function, _ = doubling(machine, warn)
    graphed = GraphedCallable(function, StandInStream())
    with pytest.warns(DeprecationWarning, match="this layer is deprecated"):
        assert right_each_time(graphed, [4] * 5)
    assert graphed.captured
    assert machine.modes == ["warn", 0] * WARM_UP_CALLS


def test_a_capture_that_fails_is_given_up_for_good(machine):
    """The function goes on as it is; another capture ends what the failed one left open."""

    def fail(call):
        if machine.capturing is not None:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    function, calls = doubling(machine, fail)
    graphed = GraphedCallable(function, StandInStream())
    assert right_each_time(graphed, [4] * 7)
    assert graphed.capture_error == "operation not permitted when stream is capturing"
    assert machine.captures == 2
    assert len(calls) == 8


class Waiting(Tiny):
    """Waits for the device: cannot be captured."""

    def forward(self, images):
        return super().forward(images) * (1.0 if float(images.sum()) > -1e9 else 2.0)


class Synchronizing(Tiny):
    """Waits for the device in a way that only a capture finds out."""

    def forward(self, images):
        if self.training and images.is_cuda:
            torch.cuda.synchronize()
        return super().forward(images)


class Choosing(Tiny):
    """Chooses a path by chance on the CPU: a graph would freeze it."""

    def forward(self, images):
        return super().forward(images) * (1.0 if random.random() < 0.5 else 0.5)


def run(images, *, kind=WithDropout, resume=None, **others):
    """Train a small network; return weights, states after each epoch, and the result."""
    torch.manual_seed(1)
    network, states = kind(), []
    result = train(network, Classification(images), SPEC, resume=resume, on_epoch=states.append, **others)
    return network.state_dict(), states, result


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_graph_trains_as_kernel_by_kernel(images, monkeypatch, taught, masked):
    """Losses and weights are those of a training without graphs, but for the rounding of learning rates."""
    torch.manual_seed(3)
    others = {"distillation": Distillation(Tiny(), 0.5, 4.0)} if taught else {}
    if masked:
        others["zeros"] = {"inner.weight": torch.rand(Tiny().inner.weight.shape) < 0.5}
    weights, _, result = run(images, kind=Tiny, **others)
    monkeypatch.setattr(step, "MIN_STEPS_FOR_GRAPH", 10**9)
    ungraphed, _, ungraphed_result = run(images, kind=Tiny, **others)
    assert (result.graphed, ungraphed_result.graphed) == (True, False)
    assert result.losses == pytest.approx(ungraphed_result.losses, rel=2e-2)
    for name in weights:
        torch.testing.assert_close(weights[name], ungraphed[name], rtol=5e-2, atol=5e-2)
    if masked:
        assert (weights["inner.weight"][others["zeros"]["inner.weight"]] == 0).all()


@pytest.mark.gpu
@GPU
def test_a_graph_gives_the_same_weights_every_time(images):
    """Twice from one spec, and resumed after an epoch in which it was replayed, to the last bit."""
    first, states, result = run(images)
    again, _, again_result = run(images)
    resumed, _, resumed_result = run(images, resume=states[7])
    assert result.graphed
    assert same(first, again)
    assert same(first, resumed)
    assert result.losses == again_result.losses == resumed_result.losses


@pytest.mark.gpu
@GPU
def test_images_that_do_not_fit_are_moved_before_the_graph(images, monkeypatch):
    """A split that stays on the CPU gives the weights of one that lies on the GPU, graphed as well."""
    there, _, _ = run(images)
    monkeypatch.setattr(classification, "MAX_DATA_FRACTION", 0.0)
    elsewhere, _, result = run(images)
    assert result.graphed
    assert same(there, elsewhere)


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("kind", [Waiting, Synchronizing, Choosing])
def test_what_cannot_or_must_not_be_captured_runs_as_it_is(images, monkeypatch, kind):
    """The training goes on kernel by kernel, with the weights that it has without any graph."""
    random.seed(0)
    weights, _, result = run(images, kind=kind)
    monkeypatch.setattr(step, "MIN_STEPS_FOR_GRAPH", 10**9)
    random.seed(0)
    ungraphed, _, _ = run(images, kind=kind)
    assert not result.graphed
    torch.nn.functional.dropout(torch.ones(4, device="cuda"))  # the device's generator is as it was
    for name in weights:
        torch.testing.assert_close(weights[name], ungraphed[name], rtol=5e-2, atol=5e-2)
