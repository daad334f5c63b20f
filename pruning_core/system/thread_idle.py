"""Waiting until no thread of this process is busy: thread pools of runtimes spin after their last call.

Spinning threads hold cores that the next model needs. For how long depends on runtime and CPU: ONNX Runtime
(as it comes) 12 ms on an AMD EPYC, 45 ms on an Intel Xeon, where a network on PyTorch took 11 ms a call
meanwhile, and 3.8 ms afterwards. So we look, and do not wait a fixed time.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

TASKS = Path("/proc/self/task")
"""Where Linux tells the state of each thread. Elsewhere the CPU time of the process has to do."""

POLL_EVERY_S = 0.0005
"""How long after a look the next one follows. A look takes 40 to 110 µs (AMD EPYC, some 20 threads)."""

IDLE_POLLS = 2
"""At rest no other thread runs in so many looks in a row: one may fall between two tasks of a pool."""

CPU_STEP_S = 0.010
"""CPU time is looked at over so long: it is counted in ticks, of 4 ms on many kernels."""

CPU_SHARE = 0.25
"""At rest a process uses less than this part of one core. One thread that spins uses all of it."""

MAX_WAIT_S = 0.5
"""A process that never comes to rest, because a thread of its own works on, is measured all the same."""


def wait_until_idle(
    *,
    wait: Callable[[float], object] = time.sleep,
    tasks: Path = TASKS,
    cpu_clock: Callable[[], float] = time.process_time,
) -> None:
    """Wait until no other thread of this process is busy, about half a second at most.

    Args:
        wait: Lets seconds pass in which nothing is called.
        tasks: Folder with a folder for each thread, in it the file `stat` of proc(5).
        cpu_clock: CPU seconds of this process, all threads together; looked at where `tasks` is missing.
    """
    if not tasks.is_dir():
        _wait_by_cpu_time(wait, cpu_clock)
        return
    quiet = 0
    for _ in range(round(MAX_WAIT_S / POLL_EVERY_S)):
        quiet = 0 if other_threads_running(tasks) else quiet + 1
        if quiet == IDLE_POLLS:
            return
        wait(POLL_EVERY_S)


def other_threads_running(tasks: Path = TASKS) -> bool:
    """Return whether a thread of this process, other than the one that asks, runs or waits for a core.

    Args:
        tasks: Folder with a folder for each thread, in it the file `stat` of proc(5).
    """
    mine = str(threading.get_native_id())
    return any(_runs(f"{tasks}/{task}/stat") for task in os.listdir(tasks) if task != mine)


def _runs(stat_file: str) -> bool:
    try:
        with open(stat_file, "rb") as file:
            stat = file.read()
    except OSError:
        return False  # it ended after the folder was listed
    # "id (name) state …"; a name may itself hold ") ". (psutil says the same, in more than twice the time.)
    return stat[stat.rindex(b")") + 2 :].startswith(b"R")


def _wait_by_cpu_time(wait: Callable[[float], object], cpu_clock: Callable[[], float]) -> None:
    for _ in range(round(MAX_WAIT_S / CPU_STEP_S)):
        used_s = cpu_clock()
        wait(CPU_STEP_S)
        if cpu_clock() - used_s < CPU_SHARE * CPU_STEP_S:
            return
