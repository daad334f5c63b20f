"""Wait until no thread of this process is busy: thread pools of runtimes spin after their last call.

Spinning threads hold cores that the next model needs, for a time that depends on runtime and CPU. So thread
states are polled, instead of waiting a fixed time. Evidence: `measure/README.md`.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

TASKS = Path("/proc/self/task")
"""Where Linux tells the state of each thread. Elsewhere the CPU time of the process has to do."""

POLL_EVERY_S = 0.0005
"""Pause between two polls, well above what a poll takes."""

IDLE_POLLS = 2
"""Polls in a row in which no other thread runs: a single one may fall between two tasks of a pool."""

CPU_STEP_S = 0.010
"""CPU time is compared over this long, as it is counted in ticks."""

MAX_IDLE_CPU_SHARE = 0.25
"""An idle process uses less than this fraction of one core; one thread that spins uses all of it."""

MAX_WAIT_S = 0.5
"""A process that is never idle, because a thread of its own works on, is measured all the same."""


def wait_until_idle(
    *,
    wait: Callable[[float], object] = time.sleep,
    tasks: Path = TASKS,
    cpu_clock: Callable[[], float] = time.process_time,
) -> None:
    """Wait until no other thread of this process is busy, for `MAX_WAIT_S` at most.

    Args:
        wait: Lets seconds pass in which nothing is called.
        tasks: Folder with a folder for each thread, in it the file `stat` of proc(5).
        cpu_clock: CPU seconds of this process, all threads together; read where `tasks` is missing.
    """
    if not tasks.is_dir():
        _wait_by_cpu_time(wait, cpu_clock)
        return
    idle_polls = 0
    for _ in range(round(MAX_WAIT_S / POLL_EVERY_S)):
        idle_polls = 0 if other_threads_running(tasks) else idle_polls + 1
        if idle_polls == IDLE_POLLS:
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
        if cpu_clock() - used_s < MAX_IDLE_CPU_SHARE * CPU_STEP_S:
            return
