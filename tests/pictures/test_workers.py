"""Processes that decode: the same pixels whatever their number, and none that is left."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pruning_core.errors import DatasetError
from pruning_core.pictures import workers as workers_module
from pruning_core.pictures.decode import Fit, read_picture
from pruning_core.pictures.workers import Decoders
from tests.helpers.decoders import decoding_processes
from tests.helpers.photographs import make_photograph, save_as

FIT = Fit("squeeze", 12, 16)


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, bytes]]:
    """Write nine pictures, one under a name that is no UTF-8; return path and hash of each."""
    written = [save_as(make_photograph(n, 40, 30 + n, 20), "RGB", tmp_path / f"{n}") for n in range(9)]
    written[4] = written[4].rename(tmp_path / os.fsdecode(b"caf\xe9 \xff.jpg"))
    return [(str(file), hashlib.sha256(file.read_bytes()).digest()) for file in written]


@pytest.fixture
def make_decoders():
    """Return what makes decoders; they are closed at the end."""
    made: list[Decoders] = []

    def make(count: int) -> Decoders:
        made.append(Decoders(FIT, FIT.height, FIT.width, count))
        return made[-1]

    yield make
    for decoders in made:
        decoders.close()


@pytest.mark.parametrize("count", [1, 3])
def test_pixels_do_not_depend_on_the_number(files, make_decoders, count: int) -> None:
    """Each task gets its own pictures, in its own order, whoever decodes them."""
    decoders = make_decoders(count)
    tasks = [files[:4], files[4:5], files[5:][::-1]]
    answers = [decoders.submit(task) for task in tasks]
    for task, answer in zip(tasks, answers, strict=True):
        expected = [read_picture(path, sha256, FIT).pixels.transpose(2, 0, 1) for path, sha256 in task]
        assert np.array_equal(answer.result(timeout=60), np.stack(expected))
    assert 1 <= len(decoding_processes()) <= count


def test_none_is_left_after_closing(files, make_decoders) -> None:
    """Closed, all processes have ended, also those in the midst of work; then it can be used again."""
    decoders = make_decoders(2)
    decoders.submit(files[:1]).result(timeout=60)
    for child in decoding_processes():
        child.send_signal(signal.SIGSTOP)  # so that work is left
    late = [decoders.submit(files) for _ in range(20)]
    decoders.close()
    assert decoding_processes() == []
    assert any(answer.cancelled() for answer in late)
    assert decoders.submit(files[:2]).result(timeout=60).shape == (2, 3, 12, 16)


def test_they_end_when_there_is_nothing_to_do(files, make_decoders, monkeypatch) -> None:
    """Who forgets to close them has them for a moment only."""
    monkeypatch.setattr(workers_module, "IDLE_S", 0.2)
    make_decoders(1).submit(files).result(timeout=60)
    end = time.monotonic() + 30
    while decoding_processes() and time.monotonic() < end:
        time.sleep(0.05)
    assert decoding_processes() == []


def test_a_changed_and_a_lost_file_are_named(files, make_decoders) -> None:
    """Pictures that were read before and cannot be any more are an error, not other pixels."""
    decoders = make_decoders(1)
    path = Path(files[0][0])
    save_as(make_photograph(99, 40, 30, 20), "RGB", path.with_suffix(""))
    with pytest.raises(DatasetError, match=r"0\.jpg was read before, .*its bytes are others; run again"):
        decoders.submit(files[:1]).result(timeout=60)
    path.unlink()
    with pytest.raises(DatasetError, match=r"0\.jpg was read before, .*No such file"):
        decoders.submit(files[:1]).result(timeout=60)
    broken = path.with_name("broken.jpg")
    broken.write_text("x")
    with pytest.raises(DatasetError, match=r"broken\.jpg .*it is no image"):
        decoders.submit([(str(broken), hashlib.sha256(b"x").digest())]).result(timeout=60)
    assert decoders.submit(files[1:2]).result(timeout=60).shape[0] == 1


def test_a_process_that_dies_is_said_with_its_picture(files, make_decoders) -> None:
    """A crash in native code is an error that names the file; the next task gets another process."""
    decoders = make_decoders(1)
    decoders.submit(files[:1]).result(timeout=60)
    (child,) = decoding_processes()
    child.send_signal(signal.SIGSTOP)  # so that it dies while it is asked
    answer = decoders.submit(files[1:2])
    while not answer.running():
        time.sleep(0.01)
    time.sleep(1.0)
    child.send_signal(signal.SIGKILL)
    with pytest.raises(DatasetError, match=r"decoding .*1\.jpg ended its process with signal 9"):
        answer.result(timeout=60)
    assert decoders.submit(files[:1]).result(timeout=60).shape[0] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_none_outlives_a_program_that_is_killed(files) -> None:
    """Killed without a chance to clean up, a program leaves no process behind."""
    program = f"""
import sys, time
from pruning_core.pictures.decode import Fit
from pruning_core.pictures.workers import Decoders
decoders = Decoders(Fit("squeeze", 12, 16), 12, 16, 2)
files = {files[:2]!r}
for answer in [decoders.submit(files) for _ in range(4)]:
    answer.result()
print(*[process.pid for process in decoders._processes], flush=True)
time.sleep(60)
"""
    root = str(Path(workers_module.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        ids = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert ids
    end = time.monotonic() + 30
    while any(map(psutil.pid_exists, ids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(number) and psutil.Process(number).is_running() for number in ids)
