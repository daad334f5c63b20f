"""The roofline of a machine: on clocks of its own, and once for real with tiny work."""

import math
from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pruning_core.system import roofline
from pruning_core.system.roofline import Roofline, Stopwatch, measure_roofline, roofline_time

PEAK_FLOPS = 100.0  # operations per second
BANDWIDTH = 10.0  # bytes per second


@pytest.fixture(autouse=True)
def tiny(monkeypatch) -> None:
    """Make all work tiny."""
    monkeypatch.setattr(roofline, "SIDES", (32, 64))
    monkeypatch.setattr(roofline, "IMAGES", (1, 2))
    monkeypatch.setattr(roofline, "CHANNELS", 3)
    monkeypatch.setattr(roofline, "REPEAT_S", 1e-4)
    monkeypatch.setattr(roofline, "_stream_bytes", lambda device: 2**16)


def steady_clock(step_s: float) -> Callable[[], float]:
    """Return a clock that goes on by `step_s` each time it is read: all samples last as long."""
    looks = iter(range(10**6))
    return lambda: next(looks) * step_s


def rates(monkeypatch, flops_per_s: dict[torch.dtype, float]) -> None:
    """Set the peak arithmetic of each type."""
    monkeypatch.setattr(roofline, "_peak_flops", lambda device, dtype, stopwatch: flops_per_s[dtype])


def test_the_fastest_sample_counts_after_a_warm_up() -> None:
    """A peak is what was reached once: the warm-up is not timed, and neighbours change nothing."""
    done = []
    times = iter([0.0, 5.0, 10.0, 11.0, 20.0, 29.0])  # samples of 5, 1 and 9 seconds
    waited = []
    stopwatch = Stopwatch(calls=2, wait=lambda: waited.append(len(done)), clock=lambda: next(times))
    assert stopwatch.fastest_call_s(lambda: done.append("call")) == 0.5  # of two calls
    assert len(done) == 1 + 3 * 2
    assert waited == [1, 3, 5, 7]


def test_rates_are_work_by_time() -> None:
    """With samples of one millisecond, the largest product gives one rate, a chunk of memory the other."""
    found = measure_roofline("cpu", "fp32", 1, clock=steady_clock(1e-3))
    assert found is not None
    assert found.peak_flops_per_s == pytest.approx(2 * 64**3 * 1e3)
    assert found.bandwidth_bytes_per_s == pytest.approx(2 * 2**16 / roofline.CHUNKS * 1e3)


def test_convolutions_count_too(monkeypatch) -> None:
    """Where convolutions are the faster, they give the peak: TF32 is allowed to them alone."""
    monkeypatch.setattr(roofline, "CHANNELS", 64)
    found = measure_roofline("cpu", "fp32", 1, clock=steady_clock(1e-3))
    assert found is not None
    assert found.peak_flops_per_s == pytest.approx(2 * 2 * (64 * 3 * 16) ** 2 * 1e3)


def test_no_larger_work_after_a_long_call() -> None:
    """A slow machine ends with the smallest work; the next would take many times as long."""
    found = measure_roofline("cpu", "fp32", 1, clock=steady_clock(1.0))
    assert found is not None
    assert found.peak_flops_per_s == pytest.approx(2 * 32**3)


@pytest.mark.parametrize("kind", ["_products", "_convolutions"])
def test_operations_are_counted_as_pytorch_counts_them(kind) -> None:
    """What a call is said to compute is what PyTorch's own counter finds."""
    works = list(getattr(roofline, kind)("cpu", torch.float32))
    assert len(works) == 2
    for flops, call in works:
        with FlopCounterMode(display=False) as counter:
            call()
        assert flops == counter.get_total_flops()


def test_streaming_goes_over_the_whole_array() -> None:
    """Each call takes the next chunk, so that none is still in a cache when it is used again."""
    ((moved, call),) = roofline._memory_sweep("cpu")
    addresses = [call().data_ptr() for _ in range(roofline.CHUNKS + 1)]
    assert len(set(addresses)) == roofline.CHUNKS
    assert addresses[0] == addresses[-1]
    assert moved * roofline.CHUNKS == 2 * 2**16


def test_threads_are_set_and_restored() -> None:
    """The work runs with the threads asked for; afterwards PyTorch has its own again."""
    before = torch.get_num_threads()
    seen = set()
    tick = steady_clock(1e-3)

    def clock() -> float:
        seen.add(torch.get_num_threads())
        return tick()

    measure_roofline("cpu", "fp32", before + 1, clock=clock)
    assert seen == {before + 1}
    assert torch.get_num_threads() == before


def test_a_failure_restores_the_threads_too(monkeypatch) -> None:
    """When fp32 itself cannot run, the error comes out and the threads are as before."""

    def fail(*tensors: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    before = torch.get_num_threads()
    monkeypatch.setattr(torch, "mm", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        measure_roofline("cpu", "fp32", before + 1)
    assert torch.get_num_threads() == before


def test_measuring_changes_no_seed() -> None:
    """The global random numbers that follow are the same with and without a measurement."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    measure_roofline("cpu", "fp32", 1, clock=steady_clock(1e-3))
    assert torch.rand(1) == expected


@pytest.mark.parametrize(("bf16_flops_per_s", "known"), [(3.0, True), (2.0, False), (1.0, False)])
def test_a_precision_that_is_emulated_has_no_roofline(monkeypatch, bf16_flops_per_s, known) -> None:
    """Below fp32, only what is faster than fp32 runs on instructions of its own."""
    rates(monkeypatch, {torch.float32: 2.0, torch.bfloat16: bf16_flops_per_s})
    found = measure_roofline("cpu", "bf16", 1)
    assert (found is not None) == known
    assert found is None or found.peak_flops_per_s == bf16_flops_per_s


def test_a_precision_that_is_not_supported_has_no_roofline(monkeypatch) -> None:
    """Where PyTorch has no products of 8-bit integers, none is measured, and nothing is raised."""

    def fail(*tensors: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("no kernel")

    monkeypatch.setattr(torch, "_int_mm", fail)
    assert measure_roofline("cpu", "int8", 1) is None


def test_other_devices_have_no_roofline() -> None:
    """A device that we do not know how to time has none."""
    assert measure_roofline("mps", "fp32", 1) is None


@pytest.mark.parametrize(
    ("flops", "bytes_moved", "seconds", "bound"),
    [
        (400.0, 10.0, 4.0, "compute"),
        (100.0, 70.0, 7.0, "memory"),
        (100.0, 10.0, 1.0, "compute"),
        (0.0, 5.0, 0.5, "memory"),
    ],
)
def test_the_slower_of_both_bounds_the_time(flops, bytes_moved, seconds, bound) -> None:
    """Under a roofline, work takes as long as its operations or its bytes, whichever is longer."""
    assert roofline_time(flops, bytes_moved, Roofline(PEAK_FLOPS, BANDWIDTH)) == (seconds, bound)


def test_only_last_level_caches_are_added_up_each_once(tmp_path) -> None:
    """Two caches of 8 KiB shared by two cores each are 16 KiB; lower levels do not count."""
    for core, shared in enumerate(["0-1", "0-1", "2-3", "2-3"]):
        for level, cores, size in [(2, str(core), "4K"), (3, shared, "8K")]:
            folder = tmp_path / f"cpu{core}" / "cache" / f"index{level}"
            folder.mkdir(parents=True)
            for name, text in [("level", str(level)), ("shared_cpu_list", cores), ("size", size)]:
                (folder / name).write_text(f"{text}\n", encoding="ascii")
    assert roofline._last_level_cache_bytes(tmp_path) == 16 * 1024
    assert roofline._last_level_cache_bytes(tmp_path / "nowhere") == 0


def test_a_real_roofline_is_two_numbers() -> None:
    """On the machine at hand, both rates are positive and finite."""
    found = measure_roofline("cpu", "fp32", 1)
    assert found is not None
    for rate in (found.peak_flops_per_s, found.bandwidth_bytes_per_s):
        assert 0 < rate < math.inf


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_a_gpu_has_a_roofline(monkeypatch, precision) -> None:
    """On a GPU every precision either has two positive rates or none."""
    monkeypatch.undo()  # tiny work is as slow in each precision
    found = measure_roofline("cuda", precision, 1)
    assert found is not None or precision != "fp32"
    if found is not None:
        assert 0 < found.peak_flops_per_s < math.inf
        assert 0 < found.bandwidth_bytes_per_s < math.inf
