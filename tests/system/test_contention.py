"""What else happened on the machine: from made-up readings, and once for real beside a busy stranger."""

import dataclasses
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from pruning_core.system import contention as watch_module
from pruning_core.system.contention import (
    Contention,
    ContentionMonitor,
    CpuTimes,
    contention_reason,
    read_cpu_mhz,
    read_cpu_times,
    read_gpu_mhz,
)

QUIET = Contention(
    steal_share=0.01,
    other_cpu_share=0.02,
    cpu_mhz_low=None,
    cpu_mhz_high=None,
    gpu_mhz_low=1950.0,
    gpu_mhz_high=1980.0,
    wall_s=10.0,
)

BURN = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
"""A stranger that would end by itself if the test could not end it."""


def watched(*readings: CpuTimes) -> Contention:
    """Monitor nothing, with made-up CPU times before and after."""
    given = iter(readings)
    with ContentionMonitor("cpu", read_cpu=lambda: next(given)) as monitor:
        pass
    return monitor.contention


def test_shares_are_of_all_cpu_time_of_our_cores() -> None:
    """Of 20 s, 3 stolen and 12 busy, 7 of these our own: 15 % stolen, 25 % used by others."""
    found = watched(CpuTimes(100, 50, 4, 40), CpuTimes(120, 62, 7, 47))
    assert found.steal_share == pytest.approx(0.15)
    assert found.other_cpu_share == pytest.approx(0.25)


def test_others_never_use_less_than_nothing() -> None:
    """Our own time may be counted a tick early; then others used nothing."""
    assert watched(CpuTimes(0, 0, 0, 0), CpuTimes(10, 5, 0, 6)).other_cpu_share == 0.0


def test_what_the_platform_does_not_say_is_none() -> None:
    """Without stolen time there is no share of it; without a tick there are no shares at all."""
    silent = watched(CpuTimes(0, 0, None, 0), CpuTimes(10, 6, None, 1))
    assert silent.steal_share is None
    assert silent.other_cpu_share == pytest.approx(0.5)
    still = watched(CpuTimes(10, 6, 0, 1), CpuTimes(10, 6, 0, 1))
    assert (still.steal_share, still.other_cpu_share) == (None, None)
    for found in (silent, still):
        assert contention_reason(dataclasses.replace(found, wall_s=0.1)) == ""  # too short to tell


def test_only_the_cores_that_we_may_use_count(monkeypatch) -> None:
    """Each kind of time is added up over our cores; a guest's time is in the user's already."""
    fields = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"]
    ours = SimpleNamespace(**dict(zip(fields, [1, 2, 4, 8, 16, 32, 64, 128, 1, 2], strict=True)))
    foreign = SimpleNamespace(**dict.fromkeys(fields, 1000.0))
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [foreign, ours, ours])
    monkeypatch.setattr(watch_module.os, "sched_getaffinity", lambda pid: {1, 2}, raising=False)
    read = read_cpu_times()
    assert (read.total, read.busy, read.stolen) == (2 * 255, 2 * 103, 2 * 128)


def test_a_platform_that_does_not_count_stolen_time(monkeypatch) -> None:
    """Without that field, stolen time is unknown, not nothing."""
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [SimpleNamespace(user=1, system=2, idle=4)])
    read = read_cpu_times()
    assert (read.total, read.busy, read.stolen) == (7, 3, None)


def test_only_this_process_is_our_own(monkeypatch) -> None:
    """The time of children is not ours: what is measured runs in this process, and they compete with it."""
    times = SimpleNamespace(user=1, system=2, children_user=4, children_system=8)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(cpu_times=lambda: times))
    assert read_cpu_times().own == 3


def test_clocks_are_read_in_the_middle_and_at_the_end() -> None:
    """The lowest and the highest reading remain; before the work there is none."""
    now = [0.0]
    cpu, gpu = iter([3000.0, 2500.0, 2800.0]), iter([1410.0, None, 1980.0])
    monitor = ContentionMonitor(
        "cuda",
        read_cpu_clock=lambda: next(cpu),
        read_gpu_clock=lambda device: next(gpu),
        clock=lambda: now[0],
    )
    with monitor:
        for seconds in (5.0, 10.0):
            now[0] = seconds
            monitor.sample()
        now[0] = 15.0
    found = monitor.contention
    assert (found.cpu_mhz_low, found.cpu_mhz_high) == (2500.0, 3000.0)
    assert (found.gpu_mhz_low, found.gpu_mhz_high) == (1410.0, 1980.0)
    assert found.wall_s == 15.0


def test_sampling_often_costs_nothing() -> None:
    """Clocks that were just read are not read again, however often a caller samples."""
    reads = []
    now = [0.0]

    def read(device: str) -> float:
        reads.append(now[0])
        return 1980.0

    with ContentionMonitor("cuda", read_gpu_clock=read, clock=lambda: now[0]) as monitor:
        for _ in range(30):
            now[0] += 0.1
            monitor.sample()
    assert len(reads) == 3


def test_a_watch_has_no_answer_before_its_end() -> None:
    """Asking inside the block is a mistake of ours."""
    with ContentionMonitor("cpu") as monitor, pytest.raises(RuntimeError, match="has ended"):
        _ = monitor.contention


def test_a_failure_inside_comes_out_and_is_watched() -> None:
    """The monitor swallows no exception, and has its answer even so."""
    monitor = ContentionMonitor("cpu")
    with pytest.raises(KeyError), monitor:
        raise KeyError("ours")
    assert monitor.contention.wall_s >= 0


def test_a_cpu_measurement_asks_no_gpu(monkeypatch) -> None:
    """For a CPU neither NVML nor nvidia-smi is touched."""
    monkeypatch.setattr(watch_module.torch.cuda, "clock_rate", lambda device: pytest.fail("asked"))
    monkeypatch.setattr(watch_module.subprocess, "run", lambda *args, **options: pytest.fail("asked"))
    assert read_gpu_mhz("cpu") is None


@pytest.mark.parametrize(("answer", "mhz"), [("1980\n", 1980.0), ("[N/A]\n", None), ("", None)])
def test_without_nvml_the_gpu_is_asked_by_nvidia_smi(monkeypatch, answer, mhz) -> None:
    """One query, of the device with that name; a clock that is not told is None."""

    def no_nvml(device):
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    def run(command, **options):
        assert "GPU-abc" in command
        return SimpleNamespace(stdout=answer)

    monkeypatch.setattr(watch_module.torch.cuda, "clock_rate", no_nvml)
    monkeypatch.setattr(
        watch_module.torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="abc")
    )
    monkeypatch.setattr(watch_module.shutil, "which", lambda program: program)
    monkeypatch.setattr(watch_module.subprocess, "run", run)
    assert read_gpu_mhz("cuda:1") == mhz


def test_a_machine_without_gpu_tools_tells_no_clock(monkeypatch) -> None:
    """Without NVML and nvidia-smi, and without a device, the clock is unknown and nothing is raised."""

    def no_device(device):
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(watch_module.torch.cuda, "clock_rate", no_device)
    monkeypatch.setattr(watch_module.torch.cuda, "get_device_properties", no_device)
    assert read_gpu_mhz("cuda") is None
    monkeypatch.setattr(watch_module.shutil, "which", lambda program: program)
    assert read_gpu_mhz("cuda") is None


def test_the_fastest_of_our_cores_tells_the_cpu_clock(tmp_path, monkeypatch) -> None:
    """Cores that doze or are not ours do not count; without the files the clock is unknown."""
    for core, khz in enumerate([5_000_000, 1_200_000, 3_400_000]):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n", encoding="ascii")
    monkeypatch.setattr(watch_module.os, "cpu_count", lambda: 3)
    monkeypatch.setattr(watch_module.os, "sched_getaffinity", lambda pid: {1, 2}, raising=False)
    assert read_cpu_mhz(tmp_path) == 3400.0
    assert read_cpu_mhz(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"other_cpu_share": 0.38}, "other processes used 38 % of the cores"),
        ({"other_cpu_share": 0.10}, ""),
        ({"steal_share": 0.12}, "the hypervisor took 12 % of the CPU time"),
        ({"steal_share": 0.05}, ""),
        ({"gpu_mhz_low": 1410.0}, "the GPU clock moved between 1410 and 1980 MHz"),
        ({"gpu_mhz_low": 1782.0}, ""),
        ({"gpu_mhz_low": None, "gpu_mhz_high": None, "steal_share": None, "other_cpu_share": None}, ""),
        ({"other_cpu_share": 0.9, "steal_share": 0.9, "gpu_mhz_low": 300.0, "wall_s": 0.19}, ""),
        (
            {"other_cpu_share": 0.5, "steal_share": 0.2},
            "other processes used 50 % of the cores and the hypervisor took 20 % of the CPU time",
        ),
    ],
)
def test_what_harms_is_said_in_words(change, reason) -> None:
    """Each cause beyond its threshold is named with its figure; else, or for a short block, nothing is."""
    assert contention_reason(dataclasses.replace(QUIET, **change)) == reason


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a process that keeps to one core")
def test_a_busy_stranger_shows_up() -> None:
    """Another process that keeps a core busy is seen in the share of others."""
    program = subprocess.Popen([sys.executable, "-c", BURN])
    stranger = psutil.Process(program.pid)
    try:
        stranger.cpu_affinity(stranger.cpu_affinity()[-1:])
        with ContentionMonitor("cpu") as monitor:
            before, cores_before = stranger.cpu_times(), read_cpu_times()
            while stranger.cpu_times().user - before.user < 0.5:  # however busy the machine is
                time.sleep(0.05)
            used_s = stranger.cpu_times().user - before.user
            whole_s = read_cpu_times().total - cores_before.total
    finally:
        program.kill()
        program.wait()
    share = monitor.contention.other_cpu_share
    assert share is not None
    # Half, for the ticks that the kernel counts to the one and to the cores at different moments.
    assert share >= 0.5 * used_s / whole_s > 0
