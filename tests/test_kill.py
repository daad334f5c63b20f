"""Killed at any moment: the next run completes, the store verifies, the weights are the same."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from factories import write_user_model

from pruning_core.store import Store

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
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
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
    return {key: (store.load(key).path / "weights.safetensors").read_bytes() for key in store.walk_keys()}


@pytest.mark.slow
@pytest.mark.timeout(900)
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
    kills, anew = 0, True
    while kills < times:
        started = time.monotonic()
        code = prepare(tmp_path / "killed", kill_after_s=chance.uniform(0.3, 1.0) * lasts_s)
        assert code in (0, -signal.SIGKILL), (tmp_path / "killed" / "log").read_text()[-2000:]
        kills += code == -signal.SIGKILL
        contents(tmp_path / "killed")  # whatever is stored at any moment is sound
        if code == 0:  # it got through: begin again, so that every kill hits a chain at work
            if anew:
                lasts_s = time.monotonic() - started  # the machine was busier before
            for path in sorted((tmp_path / "killed" / "store").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        anew = code == 0
    assert prepare(tmp_path / "killed") == 0, (tmp_path / "killed" / "log").read_text()[-2000:]
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) == 4
    assert contents(tmp_path / "killed") == expected
