"""Each backend's own profile names every layer of a network."""

from datetime import timedelta
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from pruning_core.errors import BackendError, OptionError, UnknownNameError
from pruning_core.explain.onnx_layers import OnnxLayers
from pruning_core.explain.onnxruntime_profile import calls_in, with_next_layers
from pruning_core.explain.openvino_profile import OpenVinoProfiler, _CountedRound
from pruning_core.explain.profile import NetworkProfile, Node, profile_in_rounds
from pruning_core.explain.profilers import PROFILERS, check_setting, open_profiler
from pruning_core.shapes.timing import Setting

EXAMPLE = torch.zeros(1, 3, 16, 16)


class Small(nn.Module):
    """A residual connection, a depthwise layer, a copy between two layers, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.block = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU(), nn.Conv2d(16, 16, 1)
        )
        self.last = nn.Conv2d(16, 24, 3)
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 10)."""
        x = self.norm(self.stem(x)).relu()
        x = (x + self.block(x)).relu()
        x = x.permute(0, 2, 3, 1).contiguous().flip(1).permute(0, 3, 1, 2).contiguous()
        return self.head(self.last(x).relu().mean((2, 3)))


def profile_of(setting: Setting) -> NetworkProfile:
    """Profile the network in two rounds."""
    profiler = open_profiler(Small().eval(), EXAMPLE, setting)
    return profile_in_rounds({"": profiler}, 2)[""]


@pytest.mark.parametrize(
    "setting",
    [
        Setting(threads=1),
        Setting(batch_size=3, threads=2),
        Setting("onnxruntime", threads=1),
        Setting("onnxruntime", "int8", 2, threads=1),
        Setting("openvino", threads=1),
        Setting("openvino", "int8", 2, threads=1),
        Setting("openvino", batch_size=32, threads=2),  # two streams
    ],
    ids=lambda setting: setting.label,
)
def test_every_layer_has_its_time(setting: Setting) -> None:
    """All layers are in the profile, and nothing else passes for one."""
    profile = profile_of(setting)
    layers = profile.times("layer")
    expected = {"stem", "block.0", "block.2", "last", "head"}
    if setting.backend == "openvino":  # it leaves out what takes less than a microsecond
        assert layers
        assert set(layers) <= expected
    else:
        assert set(layers) == expected
    assert min(layers.values()) >= 0
    assert profile.sum_ms == pytest.approx(
        sum(layers.values()) + sum(sum(profile.times(kind).values()) for kind in ("conversion", "other"))
    )
    assert set(profile.times("conversion")) <= {*layers, ""}


@pytest.mark.parametrize("backend", ["eager", "onnxruntime"])
def test_a_copy_between_two_layers_is_a_conversion_before_the_second(backend: str) -> None:
    """What lays numbers out again is told from the layers around it."""
    assert profile_of(Setting(backend, threads=1)).times("conversion").get("last", -1.0) >= 0


def test_eager_modules_add_up_to_the_call() -> None:
    """Own times of all modules are the time of the outermost one: nothing is counted twice."""
    profile = profile_of(Setting(threads=1))
    shares = [sum(node.ms for node in one.nodes) / one.profiled_ms for one in profile.rounds]
    assert min(shares) > 0
    assert 0.5 < max(shares) <= 1  # between two nodes a busy machine may do something else


def test_events_of_a_run_are_those_within_it() -> None:
    """ONNX Runtime writes all runs into one file; times are in microseconds."""
    events = [
        {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 5},
        {"cat": "Node", "name": "a_kernel_time", "ts": 11, "dur": 30, "args": {"op_name": "Conv"}},
        {"cat": "Node", "name": "a_fence_before", "ts": 10, "dur": 1, "args": {"op_name": "Conv"}},
        {"cat": "Session", "name": "model_run", "ts": 10, "dur": 40},
        {"cat": "Node", "name": "a_kernel_time", "ts": 61, "dur": 20, "args": {"op_name": "Cast"}},
        {"cat": "Session", "name": "model_run", "ts": 60, "dur": 30},
    ]
    layers = OnnxLayers.__new__(OnnxLayers)
    layers._owner = {}  # knows no node
    layers._inputs, layers._products = {}, set()
    first, second = calls_in(events, layers)
    assert (first.ms, second.ms) == (0.04, 0.03)
    assert first.nodes == (Node("a", "", "other", 0.03),)
    assert second.nodes == (Node("a", "", "conversion", 0.02),)


def test_a_conversion_is_of_the_layer_that_runs_next() -> None:
    """Those behind the last layer are of that one."""
    nodes = [
        Node("1", "", "conversion", 1.0),
        Node("2", "a", "layer", 1.0),
        Node("3", "", "conversion", 1.0),
        Node("4", "", "other", 1.0),
        Node("5", "b", "layer", 1.0),
        Node("6", "", "conversion", 1.0),
    ]
    assert [node.layer for node in with_next_layers(nodes)] == ["a", "a", "b", "", "b", "b"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (Setting("compile"), "no backend with a profile 'compile'"),
        (Setting("eagre"), "Did you mean 'eager'"),
        (Setting("eager", "int8"), "no precision 'int8'"),
        (Setting("openvino", device="cuda"), "cuda"),
    ],
)
def test_a_setting_without_a_profile_is_refused(setting: Setting, said: str) -> None:
    """In one line, before anything is exported."""
    with pytest.raises((OptionError, BackendError), match=said):
        check_setting(setting)
    assert issubclass(UnknownNameError, OptionError)
    assert set(PROFILERS) == {"eager", "onnxruntime", "openvino"}


def test_a_network_that_answers_otherwise_on_a_backend_is_not_profiled() -> None:
    """An export that recorded one run would be timed as another network."""

    class OnlyEager(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.from_numpy(x.detach().numpy().copy())

    with pytest.raises(BackendError, match="does not answer as the network does"):
        open_profiler(OnlyEager().eval(), EXAMPLE, Setting("onnxruntime"))


def test_openvino_counts_are_differences_of_totals() -> None:
    """It tells the mean of all calls since compilation; what warmed up must not be in a round."""

    class Counts:
        status, node_name, node_type = "Status.EXECUTED", "a", "Convolution"

        def __init__(self, mean_us: float) -> None:
            self.real_time = timedelta(microseconds=mean_us)

    class Request:
        calls: ClassVar[list[float]] = [900.0, 100.0, 50.0, 50.0]  # two to warm up
        done = 0

        def start_async(self) -> None:
            self.done += 1

        def wait(self) -> None:
            pass

        def get_profiling_info(self) -> list[Counts]:
            return [Counts(sum(self.calls[: self.done]) / self.done)] if self.done else []

    layers = OnnxLayers.__new__(OnnxLayers)
    layers._owner, layers._inputs, layers._products = {"a": "a"}, {}, {"a"}
    profiler = OpenVinoProfiler.__new__(OpenVinoProfiler)
    profiler._layers, profiler._requests, profiler._fused = layers, [Request()], {}
    profiler._rounds, profiler._counted = [_CountedRound()], 0
    profiler.call_profiled()
    profiler.begin_round()
    for _ in range(3):
        profiler.call_profiled()
    *_, last = profiler.finish()
    assert last.nodes == (Node("a", "a", "layer", pytest.approx(0.05)),)
