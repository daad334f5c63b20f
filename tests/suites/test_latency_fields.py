"""What a paired measurement says of a cell, and why the cell is not faster."""

import math
from dataclasses import replace

import pytest

from pruning_core.backends.base import DeviceTime
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.measure.paired import PairedTiming
from pruning_core.records.record import make_record
from pruning_core.store.checkpoint import Metrics
from pruning_core.suites.latency_fields import contention_fields, efficiency_fields, timing_fields
from pruning_core.system.contention import Contention
from pruning_core.system.roofline import Roofline

OPTIONS = LatencyOptions(min_rounds=10)
QUIET = Contention(0.0, 0.01, None, None, None, None, 5.0)


def timing(calls: int = 200, candidate_s: float = 0.01) -> PairedTiming:
    """A candidate twice as fast as its reference, in ten rounds."""
    call_times_s = [candidate_s * (1 + place / 100) for place in range(calls)]
    return PairedTiming(
        (2 * candidate_s,) * 20,
        (candidate_s,) * 20,
        (-math.log(2),) * 10,
        5,
        3,
        looks=3,
        call_times_s=call_times_s,
    )


def metrics(macs: int, size_bytes: int = 4_000_000, **counts: int) -> Metrics:
    """Metrics of a checkpoint of so many MACs; other counts of them as given."""
    return Metrics(
        macs=macs,
        **counts,
        params=1,
        size_bytes=size_bytes,
        accuracy=1.0,
        accuracy_pruned=1.0,
        accuracy_n=1,
        exhausted=False,
        sparsity=0.0,
        prune_s=0.0,
        train_s=0.0,
        train_losses=(),
        train_precision="fp32",
        train_device="cpu",
        train_threads=1,
        train_overhead_s=0.0,
        torch="",
        created="",
    )


def reasons(**changes):
    """Reasons of a cell of 1 MMACs against a reference of 4, with some arguments changed."""
    arguments = {
        "timing": timing(),
        "metrics": metrics(1_000_000),
        "reference": metrics(4_000_000),
        "roofline": None,
        "device_time": None,
        "precision": "fp32",
        "batch_size": 8,
        "image_values": 3072,
    }
    return efficiency_fields(**{**arguments, **changes})


def test_times_are_in_milliseconds_and_speed_is_paired():
    """Latency, its reference's, and the speed-up are those of the samples; images per second follow."""
    fields = timing_fields(timing(), OPTIONS, batch_size=8)
    assert fields["latency_ms"] == pytest.approx(10.0)
    assert fields["reference_latency_ms"] == pytest.approx(20.0)
    assert fields["speedup"] == pytest.approx(2.0)
    assert fields["images_per_s"] == pytest.approx(800.0)
    assert (fields["rounds"], fields["looks"], fields["calls_per_sample"]) == (10, 3, 5)
    assert fields["confidence"] >= 0.95
    assert make_record(**fields)


@pytest.mark.parametrize(
    ("calls", "known"), [(19, "p50"), (20, "p50 p95"), (99, "p50 p95"), (100, "p50 p95 p99")]
)
def test_percentiles_need_enough_calls(calls, known):
    """A percentile that would be the slowest call, whatever it was, is left out."""
    fields = timing_fields(timing(calls), OPTIONS, batch_size=1)
    assert [name for name in ("p50", "p95", "p99") if f"latency_{name}_ms" in fields] == known.split()
    assert fields["calls_timed"] == calls


def test_the_fraction_of_the_roofline_is_of_the_latency():
    """The gate multiplies both: they must be of one time, however uneven the samples."""
    uneven = replace(timing(), candidate_s=(0.01,) * 11 + (0.4, 0.5, 0.6) * 3)
    fields = reasons(timing=uneven, roofline=Roofline(1e12, 1e10))
    min_s = fields["roofline_fraction"] * timing_fields(uneven, OPTIONS, 8)["latency_ms"] / 1e3
    even = reasons(roofline=Roofline(1e12, 1e10))
    assert min_s == pytest.approx(even["roofline_fraction"] * 0.01)


def test_percentiles_are_of_single_calls():
    """Not of samples, which are means and hide the slow call among many."""
    fields = timing_fields(timing(101), OPTIONS, batch_size=1)
    assert fields["latency_p50_ms"] == pytest.approx(15.0)
    assert fields["latency_p95_ms"] == pytest.approx(19.5)
    assert fields["latency_p99_ms"] == pytest.approx(19.9)


def test_saved_macs_are_compared_with_saved_time():
    """A quarter of the MACs at twice the speed: half of what was saved is saved time."""
    fields = reasons()
    assert fields == {"mac_reduction": 4.0, "mac_efficiency": 0.5}


def test_macs_of_an_earlier_version_are_compared_with_their_own_kind():
    """A dense checkpoint that an earlier version counted, and a new one: by torch-pruning's count, both."""
    new = metrics(900_000_000, macs_products=890_000_000, macs_torch_pruning=1_000_000)
    assert reasons(metrics=new)["mac_reduction"] == 4.0
    dense = metrics(1_800_000_000, macs_products=1_780_000_000, macs_torch_pruning=4_000_000)
    assert reasons(metrics=new, reference=dense)["mac_reduction"] == 2.0


def test_a_network_without_products_saved_none():
    """There is no reduction of nothing: the fields are left out."""
    assert reasons(metrics=metrics(0), reference=metrics(0)) == {}


def test_the_roofline_is_this_machines_own():
    """The minimum time is that of the slower rate; bytes shrink with the precision."""
    fast_memory = Roofline(peak_flops_per_s=16e9, bandwidth_bytes_per_s=1e12)
    fields = reasons(roofline=fast_memory)  # 2 × 1e6 × 8 operations at 16 G/s: 1 ms of 10
    assert fields["roofline_fraction"] == pytest.approx(0.1)
    assert fields["roofline_bound"] == "compute"
    assert (fields["peak_gflops"], fields["bandwidth_gb_s"]) == (16.0, 1000.0)
    slow_memory = Roofline(peak_flops_per_s=1e15, bandwidth_bytes_per_s=1e9)
    moved = 4_000_000 + 8 * 3072 * 4
    in_fp32, in_int8 = (reasons(roofline=slow_memory, precision=p) for p in ("fp32", "int8"))
    assert in_fp32["roofline_bound"] == "memory"
    assert in_fp32["roofline_fraction"] == pytest.approx(moved / 1e9 / 0.01)
    assert in_int8["roofline_fraction"] == pytest.approx(in_fp32["roofline_fraction"] / 4)
    assert make_record(**in_fp32)


def test_a_launch_bound_cell_is_flagged():
    """Where the device waits for the host, the record says so."""
    fields = reasons(device_time=DeviceTime(device_s=0.002, launch_s=0.0019))
    assert (fields["device_ms"], fields["launch_ms"], fields["launch_bound"]) == (2.0, 1.9, True)
    assert reasons(device_time=DeviceTime(device_s=0.002, launch_s=0.0001))["launch_bound"] is False


def test_a_contended_cell_is_contaminated_and_says_by_what():
    """What the machine does not say is left out; what harmed stands in words."""
    assert contention_fields(QUIET) == {
        "contention": "",
        "contaminated": False,
        "steal_share": 0.0,
        "other_cpu_share": 0.01,
    }
    fields = contention_fields(Contention(0.2, 0.01, 2600.0, 3100.0, None, None, 5.0))
    assert fields["contaminated"] is True
    assert fields["contention"] == "the hypervisor took 20 % of the CPU time"
    assert (fields["cpu_mhz_low"], fields["cpu_mhz_high"]) == (2600.0, 3100.0)
    assert make_record(**fields)
