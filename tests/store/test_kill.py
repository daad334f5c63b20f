"""Killed at any moment: the next run completes, the store verifies, the weights are the same."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pruning_core.store import Store
from tests.helpers.factories import write_user_model
from tests.helpers.record_factory import make_content, write

GRID = """
ratios = [0.25, 0.5, 0.75]
model = "{model}"
[train]
epochs = 3
batch_size = 64
[fine_tune]
epochs = 2
batch_size = 64
"""


def prepare(folder: Path, kill_after_s: float | None = None) -> int:
    """Run `prepare` in a process of its own, killed with SIGKILL if it lasts longer than asked."""
    command = [sys.executable, "-m", "pruning_core", "prepare", "--grid", "my.toml", "--store", "store"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            return process.wait(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    """Return key → bytes of the weights, of all checkpoints, each verified."""
    store = Store(folder / "store")
    return {key: (store.load(key).path / "weights.safetensors").read_bytes() for key in store.stored_keys()}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_random_moments(tmp_path):
    """After twenty SIGKILLs at random moments the final weights are those of an undisturbed run."""
    times = int(os.environ.get("PRUNING_BENCH_KILLS", "3"))
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my.toml").write_text(
            GRID.format(model=write_user_model(tmp_path / name, "killed_nets"))
        )
    started = time.monotonic()
    assert prepare(tmp_path / "undisturbed") == 0
    lasts_s = time.monotonic() - started
    chance = random.Random(0)
    kills, restart = 0, True
    while kills < times:
        started = time.monotonic()
        code = prepare(tmp_path / "killed", kill_after_s=chance.uniform(0.3, 1.0) * lasts_s)
        assert code in (0, -signal.SIGKILL), (tmp_path / "killed" / "log").read_text()[-2000:]
        kills += code == -signal.SIGKILL
        contents(tmp_path / "killed")  # whatever is stored at any moment is sound
        if code == 0:  # it got through: begin again, so that every kill hits a chain at work
            if restart:
                lasts_s = time.monotonic() - started  # the machine was busier before
            for path in sorted((tmp_path / "killed" / "store").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        restart = code == 0
    assert prepare(tmp_path / "killed") == 0, (tmp_path / "killed" / "log").read_text()[-2000:]
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) == 4
    assert contents(tmp_path / "killed") == expected


COMMANDS = {
    "prepare": ["-m", "pruning_core", "prepare", "--grid", "my.toml", "--store", "store"],
    "suites": [
        *("-m", "pytest", "bench", "-q", "-k", "cost", "--grid", "my.toml", "--store", "store"),
        *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", "--benchmark-json", "out.json"),
    ],
    "gc": ["-m", "pruning_core", "store", "gc", "--store", "store"],
    "accept a": ["-m", "pruning_core", "baseline", "accept", "a.json", "--baseline", "base.json"],
    "accept b": ["-m", "pruning_core", "baseline", "accept", "b.json", "--baseline", "base.json"],
}


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *COMMANDS[name]], cwd=folder, env=environment, stdout=log, stderr=log
        )


def lay_out(folder: Path) -> None:
    """Make a small project: a network, a suite, a grid, two runs to accept."""
    folder.mkdir()
    model = write_user_model(folder, "killed_project_nets")
    (folder / "my.toml").write_text(GRID.format(model=model))
    (folder / "conftest.py").write_text('pytest_plugins = ["pruning_core.pytest_plugin"]\n')
    shutil.copytree(Path(__file__).parents[2] / "bench", folder / "bench")
    for seed, name in enumerate(("a.json", "b.json")):
        write(make_content(seed=seed), folder / name)


def accepted_files_are_whole(folder: Path) -> bool:
    """Tell whether the baseline, and all that stands in its history, is one of the two runs, whole."""
    runs = {(folder / name).read_bytes() for name in ("a.json", "b.json")}
    found = [*folder.glob("base.json"), *folder.glob("base.history/*.json")]
    return all(path.read_bytes() in runs for path in found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_is_killed_nothing_is_lost(tmp_path):
    """Commands are killed at random, every other one beside a second that does the same: all stays whole."""
    times = int(os.environ.get("PRUNING_BENCH_KILLS", "3"))
    undisturbed, killed = tmp_path / "quiet", tmp_path / "loud"
    for folder in (undisturbed, killed):
        lay_out(folder)
    lasts_s = {}
    for name in ("prepare", "suites", "gc", "accept a", "accept b"):
        began = time.monotonic()
        assert start(undisturbed, name).wait() == 0, (undisturbed / "log").read_text()[-2000:]
        lasts_s[name] = time.monotonic() - began
    expected = contents(undisturbed)
    chance = random.Random(1)
    names = [*(["prepare"] * 4), *(["suites"] * 2), "gc", "accept a", "accept b"]
    kills = 0
    while kills < times:
        name = chance.choice(names)
        if (
            name in ("prepare", "suites")
            and (killed / "store").exists()
            and len(contents(killed)) == len(expected)
        ):
            shutil.rmtree(killed / "store")  # begin again, so that kills hit a chain at work
        processes = [start(killed, name) for _ in range(1 + kills % 2)]
        time.sleep(
            chance.uniform(0.05, 1.0) * max(lasts_s[name], lasts_s["prepare"] if name == "suites" else 0)
        )
        processes[0].send_signal(signal.SIGKILL)
        ended = [process.wait() for process in processes]
        kills += ended[0] == -signal.SIGKILL
        assert ended[0] in (0, -signal.SIGKILL), (killed / "log").read_text()[-2000:]
        assert all(code in (0, 2) for code in ended[1:]), (killed / "log").read_text()[-2000:]
        if (killed / "store").exists():
            contents(killed)  # whatever is stored at any moment is sound
        assert accepted_files_are_whole(killed)
    for name in ("prepare", "suites", "gc", "accept a", "accept b"):
        assert start(killed, name).wait() == 0, (killed / "log").read_text()[-2000:]
    assert contents(killed) == expected
    assert accepted_files_are_whole(killed)
    assert (killed / "base.json").read_bytes() == (killed / "b.json").read_bytes()
    assert "Traceback" not in (killed / "log").read_text()
