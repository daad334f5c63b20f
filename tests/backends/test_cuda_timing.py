"""Device time and memory, on a GPU that is played: what the clocks of host and device must come to."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pruning_core.backends import BACKENDS, load_executable
from pruning_core.backends.base import DeviceTime
from pruning_core.backends.cuda_timing import measure_peak_bytes, time_back_to_back
from pruning_core.backends.eager import TorchExecutable

CUDA = torch.device("cuda:1")


class PlayedGpu:
    """A host that launches and a device that computes, each with a clock of its own, in seconds."""

    def __init__(self, launch_s: float, compute_s: float, room: int = 1000) -> None:
        self.host_s, self.free_from_s = 0.0, 0.0  # the device has nothing to do from then on
        self.launch_s, self.compute_s, self.room = launch_s, compute_s, room
        self.calls_since_wait: list[int] = [0]
        self.devices: list[torch.device] = []

    def launch(self) -> None:
        """Launch one call; when the queue has no room, the host waits."""
        self.host_s += self.launch_s
        self.host_s = max(self.host_s, self.free_from_s - (self.room - 1) * self.compute_s)
        self.free_from_s = max(self.free_from_s, self.host_s) + self.compute_s
        self.calls_since_wait[-1] += 1

    def wait(self, device: object = None) -> None:
        self.host_s = self.free_from_s = max(self.host_s, self.free_from_s)
        self.calls_since_wait.append(0)

    def event(self, enable_timing: bool) -> SimpleNamespace:
        assert enable_timing
        event = SimpleNamespace(at_s=None)

        def record() -> None:
            event.at_s = max(self.free_from_s, self.host_s)

        def elapsed_time(later: SimpleNamespace) -> float:
            return (later.at_s - event.at_s) * 1000  # milliseconds, as CUDA tells

        event.record, event.elapsed_time = record, elapsed_time
        return event

    def play(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in for CUDA and for the clock."""
        monkeypatch.setattr(torch.cuda, "Event", self.event)
        monkeypatch.setattr(torch.cuda, "synchronize", self.wait)
        monkeypatch.setattr(torch.cuda, "device", _WatchedDevice(self.devices))
        monkeypatch.setattr(time, "perf_counter", lambda: self.host_s)


class _WatchedDevice:
    """What `torch.cuda.device` is: a context that makes a device the current one."""

    def __init__(self, entered: list[torch.device]) -> None:
        self.entered = entered

    def __call__(self, device: torch.device) -> "_WatchedDevice":
        self.entered.append(device)
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def test_a_device_that_is_busy_is_timed_by_itself(monkeypatch) -> None:
    """With a host that is far ahead, the device's time is its own and the cell is not launch-bound."""
    gpu = PlayedGpu(launch_s=0.0001, compute_s=0.004)
    gpu.play(monkeypatch)
    timed = time_back_to_back(gpu.launch, CUDA)
    assert timed.device_s == pytest.approx(0.004, rel=0.01)
    assert timed.launch_s == pytest.approx(0.0001)
    assert not timed.launch_bound
    assert gpu.devices == [CUDA]


def test_a_device_that_waits_for_the_host_is_told(monkeypatch) -> None:
    """A host that launches more slowly than the device computes makes a launch-bound cell.

    The events bracket the gaps: the device's time alone would be taken for computing.
    """
    gpu = PlayedGpu(launch_s=0.004, compute_s=0.0001)
    gpu.play(monkeypatch)
    timed = time_back_to_back(gpu.launch, CUDA)
    assert timed.device_s == pytest.approx(0.004, rel=0.01)
    assert timed.launch_bound


def test_calls_are_launched_without_waiting_in_between(monkeypatch) -> None:
    """Eight calls go out at a time; one batch of them warms up."""
    gpu = PlayedGpu(launch_s=0.0001, compute_s=0.004)
    gpu.play(monkeypatch)
    time_back_to_back(gpu.launch, CUDA)
    assert set(gpu.calls_since_wait) == {0, 8}
    assert sum(gpu.calls_since_wait) == 6 * 8


def test_a_full_queue_is_not_taken_for_slow_launching(monkeypatch) -> None:
    """When a driver's queue is full the host waits for the device; that is no launch-bound cell."""
    gpu = PlayedGpu(launch_s=0.0001, compute_s=0.004, room=6)
    gpu.play(monkeypatch)
    timed = time_back_to_back(gpu.launch, CUDA)
    assert timed.launch_s == pytest.approx(0.0001)
    assert not timed.launch_bound


@pytest.mark.parametrize(("launch_s", "bound"), [(0.79, False), (0.81, True), (1.0, True)])
def test_launch_bound_from_four_fifths_on(launch_s, bound) -> None:
    """A launch time of more than 0.8 of the device's time is launch-bound."""
    assert DeviceTime(device_s=1.0, launch_s=launch_s).launch_bound is bound


def test_peak_memory_counts_what_a_call_adds(monkeypatch) -> None:
    """Memory that was there before, or that a first call leaves behind, is not what a call takes."""
    memory = SimpleNamespace(now=1000, peak=9999)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: memory.now)
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda device: setattr(memory, "peak", memory.now)
    )
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: memory.peak)

    def call() -> None:
        memory.now = 1010
        memory.peak = max(memory.peak, memory.now + 300)

    assert measure_peak_bytes(call, CUDA) == 300


def test_peak_memory_includes_weights_statistics_and_images(monkeypatch) -> None:
    """Weights, buffers and the batch lie on the device during the call, and are counted once."""
    monkeypatch.setattr("pruning_core.backends.eager.measure_peak_bytes", lambda call, device: call() or 7)
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2)).eval()
    loaded = TorchExecutable(net, dtype=torch.float32, device="cpu", layout=torch.channels_last)
    loaded._device = torch.device("cuda")
    monkeypatch.setattr(loaded, "_lay_out", lambda images: images)
    images = torch.zeros(4, 3, 5, 5)
    statistics = 2 * 2 * 4 + 8  # two vectors, and the number of batches as an int64
    assert loaded.peak_memory_bytes(images) == 7 + (6 + 2 + 2) * 4 + statistics + images.nbytes


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in ("cudagraph", "tensorrt")])
def test_on_a_cpu_the_hosts_clock_is_the_devices(name) -> None:
    """Every backend on the CPU has neither a device time nor a device memory to tell."""
    reason = BACKENDS[name].unavailable_reason("fp32", "cpu")
    if reason:
        pytest.skip(reason)
    images = torch.zeros(2, 3, 8, 8)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    loaded = load_executable(name, net, images[:1], "fp32", "cpu", 1)
    assert loaded.time_on_device(images) is None
    assert loaded.peak_memory_bytes(images) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["eager", "cudagraph"])
def test_a_gpu_tells_its_time_and_memory(name) -> None:
    """On CUDA, both are told and make sense: a call takes time, and more than its images in memory."""
    images = torch.randn(8, 3, 32, 32)
    net = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(20)), nn.Flatten())
    loaded = load_executable(name, net, images[:1], "fp32", "cuda", 1)
    timed = loaded.time_on_device(images)
    assert timed is not None
    assert 0 < timed.launch_s < 1
    assert 0 < timed.device_s < 1
    assert (loaded.peak_memory_bytes(images) or 0) > 2 * images.nbytes
