"""The roofline of this machine, measured here: how fast can it multiply, how fast can it stream memory.

Peak arithmetic is the best rate of large matrix products and of convolutions, as either may be the faster.
The convolutions have no padding, so that every counted operation is done. A network's count includes padding,
which oneDNN skips: so a ResNet may exceed the peak by counted operations. Evidence: `system/README.md`.

Source: Williams, Waterman and Patterson, "Roofline", Communications of the ACM 52(4), 2009.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F

from pruning_core.config.precision import PRECISIONS
from pruning_core.system.clock import Call, Clock
from pruning_core.system.hardware import resolve_threads, torch_threads
from pruning_core.system.memory import available_memory_bytes

Workload = tuple[float, Call]
"""How much one call does (operations, or bytes moved), and the call."""


CALLS_PER_SAMPLE = {"cpu": 1, "cuda": 10}
"""The kinds of device we measure. Short samples find a moment without neighbours on a busy CPU; on CUDA some
calls share the cost of waiting for them."""

SIDES = (256, 512, 1024, 2048, 4096, 8192)
IMAGES = (2, 8, 32, 128, 512)
"""Sides of square matrices and sizes of batches, ascending: many cores and GPUs need the large ones."""

CHANNELS, FEATURE_MAP = 256, 16
"""Of the convolution, in and out, and the side of what comes out: a layer from the middle of a ResNet-18."""

MAX_CALL_S = 0.010
"""No larger work is tried after a call this long: the next would be many times as long."""

REPEAT_S = 0.05
MIN_SAMPLES = 3

MIN_STREAM_BYTES = 256 * 2**20
CACHES_STREAMED = 4
"""An array is at least this many times as large as all last-level caches together."""

CHUNKS = 16
"""On a CPU a call streams one chunk of the array, for the sake of short samples (see `CALLS_PER_SAMPLE`)."""

CUDA_STREAM_BYTES = 512 * 2**20
"""Several times the second-level cache of any GPU that we know."""


@dataclass(frozen=True)
class Roofline:
    """The highest rates of a device, in a precision, on a number of threads."""

    peak_flops_per_s: float  # a multiply-add is two
    bandwidth_bytes_per_s: float  # read and written


@dataclass(frozen=True)
class Stopwatch:
    """How to time a call on a device."""

    calls: int  # in one sample
    wait: Callable[[], object]  # returns when the device has done what it was asked to
    clock: Clock

    def fastest_call_s(self, call: Call) -> float:
        """Return seconds per call in the fastest sample, after a warm-up: a peak is not an average."""
        call()
        self.wait()
        samples_s: list[float] = []
        while len(samples_s) < MIN_SAMPLES or sum(samples_s) < REPEAT_S:
            start = self.clock()
            for _ in range(self.calls):
                call()
            self.wait()
            samples_s.append(max(self.clock() - start, 1e-9))  # a coarse clock may stand still
        return min(samples_s) / self.calls


def measure_roofline(
    device: str, precision: str, threads: int, *, clock: Clock = time.perf_counter
) -> Roofline | None:
    """Measure the roofline of a device, in a second or two.

    fp32 means what PyTorch is set to at that moment (TF32 or not). int8 is `torch._int_mm`, which has fast
    kernels on some CPUs only.

    Args:
        device: `cpu`, `cuda`, `cuda:1`; no other kind is measured.
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        threads: CPU threads, 0 for all usable cores; PyTorch's own number is restored.
        clock: Seconds that only go up; another one in tests.

    Returns:
        None where it is not known: another device, or a precision that is not supported there or no faster
        than fp32. Such a precision is emulated, and a network may be emulated in a better way.
    """
    kind = device.partition(":")[0]
    if kind not in CALLS_PER_SAMPLE:
        return None
    wait = (lambda: torch.cuda.synchronize(device)) if kind == "cuda" else (lambda: None)
    stopwatch = Stopwatch(CALLS_PER_SAMPLE[kind], wait, clock)
    with torch_threads(resolve_threads(threads)), torch.inference_mode():
        try:
            peak = _peak_flops(device, PRECISIONS[precision].dtype, stopwatch)
        except RuntimeError:  # PyTorch's word for: not implemented for this type on this device
            if precision == "fp32":
                raise
            return None
        if precision != "fp32" and peak <= _peak_flops(device, torch.float32, stopwatch):
            return None
        return Roofline(peak, _max_rate(_memory_sweep(device), stopwatch))


def max_of(one: Roofline, other: Roofline) -> Roofline:
    """Return the higher of two rates, each for itself: no measurement exceeds what the machine can do."""
    return Roofline(
        max(one.peak_flops_per_s, other.peak_flops_per_s),
        max(one.bandwidth_bytes_per_s, other.bandwidth_bytes_per_s),
    )


def roofline_time(flops: float, bytes_moved: float, roofline: Roofline) -> tuple[float, str]:
    """Return the shortest time that work can take under a roofline, and what bounds it.

    Args:
        flops: Operations, two for a multiply-add: twice what `pruning/cost/` counts.
        bytes_moved: Bytes that must be read from memory or written to it.
        roofline: Of the device, precision and threads in question.

    Returns:
        Seconds, and `compute` or `memory`.
    """
    compute_s = flops / roofline.peak_flops_per_s
    memory_s = bytes_moved / roofline.bandwidth_bytes_per_s
    return (compute_s, "compute") if compute_s >= memory_s else (memory_s, "memory")


def _peak_flops(device: str, dtype: torch.dtype, stopwatch: Stopwatch) -> float:
    products = _max_rate(_products(device, dtype), stopwatch)
    if dtype == torch.int8:  # PyTorch has no convolution of plain integers
        return products
    return max(products, _max_rate(_convolutions(device, dtype), stopwatch))


def _max_rate(works: Iterator[Workload], stopwatch: Stopwatch) -> float:
    max_rate = 0.0
    for amount, call in works:
        seconds = stopwatch.fastest_call_s(call)
        max_rate = max(max_rate, amount / seconds)
        if seconds > MAX_CALL_S:
            break
    return max_rate


def _products(device: str, dtype: torch.dtype) -> Iterator[Workload]:
    for side in SIDES:
        a = _random_tensor((side, side), device, dtype)
        # Transposed: the one layout that cuBLASLt takes for int8. Layout hardly matters to the others.
        b = _random_tensor((side, side), device, dtype).t()
        multiply = torch._int_mm if dtype == torch.int8 else torch.mm
        yield 2.0 * side**3, lambda multiply=multiply, a=a, b=b: multiply(a, b)  # type: ignore[misc]


def _convolutions(device: str, dtype: torch.dtype) -> Iterator[Workload]:
    kernel = _random_tensor((CHANNELS, CHANNELS, 3, 3), device, dtype).to(memory_format=torch.channels_last)
    for images in IMAGES:
        x = _random_tensor(
            (images, CHANNELS, FEATURE_MAP + 2, FEATURE_MAP + 2), device, dtype
        )  # (N, C, H + 2, W + 2)
        x = x.to(memory_format=torch.channels_last)
        yield 2.0 * images * (CHANNELS * 3 * FEATURE_MAP) ** 2, lambda x=x: F.conv2d(x, kernel)  # type: ignore[misc]


def _random_tensor(shape: tuple[int, ...], device: str, dtype: torch.dtype) -> torch.Tensor:
    # Not zeros: a GPU needs less power for those, and clocks higher. Of their own generator: to measure a
    # machine must not change what a seed gives.
    generator = torch.Generator().manual_seed(0)
    if dtype == torch.int8:
        return torch.randint(-127, 128, shape, dtype=dtype, generator=generator).to(device)
    return torch.randn(shape, generator=generator).to(device, dtype)


def _memory_sweep(device: str) -> Iterator[Workload]:
    """Scale an array in place, chunk after chunk: when a chunk is used again, no cache holds it any more.

    Not a copy: a CPU reads a line of memory before it writes to it (write-allocate), so that a copy moves
    more bytes than are counted.
    """
    array = torch.ones(_stream_bytes(device) // 4, device=device)  # (N,) float32
    chunks = array.chunk(1 if device.startswith("cuda") else CHUNKS)
    endless = cycle(chunks)
    yield 2.0 * chunks[0].nbytes, lambda: next(endless).mul_(1.0)


def _stream_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return CUDA_STREAM_BYTES
    wanted = max(MIN_STREAM_BYTES, CACHES_STREAMED * _last_level_cache_bytes())
    if available := available_memory_bytes():
        wanted = min(wanted, available // 8)
    return wanted // (4 * CHUNKS) * (4 * CHUNKS)  # float32, in chunks of one size


def _last_level_cache_bytes(root: Path = Path("/sys/devices/system/cpu")) -> int:
    """Return the size of all last-level caches together; 0 where the platform does not say."""
    caches: dict[tuple[int, str], int] = {}  # level and the cores that share it → bytes
    try:
        for index in root.glob("cpu[0-9]*/cache/index*"):
            level, cores, size = (
                (index / name).read_text(encoding="ascii").strip()
                for name in ("level", "shared_cpu_list", "size")
            )
            caches[int(level), cores] = int(size.removesuffix("K")) * 1024
    except (OSError, ValueError):
        return 0
    last = max((level for level, _ in caches), default=0)
    return sum(size for (level, _), size in caches.items() if level == last)
