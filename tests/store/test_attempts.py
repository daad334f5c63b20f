"""Processes that die natively: told of by the next one, and not followed for ever."""

import faulthandler
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pruning_core.errors import CrashError
from pruning_core.store.attempts import Attempts, is_left_over
from tests.helpers.factories import write_user_model

ROOT = Path(__file__).parents[2]

DIE = """
import ctypes, faulthandler, os, signal, sys
from pathlib import Path
from pruning_core.store.attempts import Attempts

with Attempts(Path(sys.argv[1]), print).begin("thing", "the thing", {"torch": sys.argv[3]}) as attempt:
    attempt.step(sys.argv[4])
    match sys.argv[2]:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            attempt.note_silence("its fifth step")
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise SystemExit("a mistake of Python's")
"""


def run(root: Path, how: str, torch: str = "2.13", step: str = "step 1") -> subprocess.CompletedProcess[str]:
    """Make the thing in a process that ends in some way."""
    root.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", DIE, str(root), how, torch, step],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("how", "cause"),
    [("segfault", "Segmentation fault"), ("abort", "Aborted"), ("hang", "ended after it had hung")],
)
def test_two_deaths_at_one_step_are_enough(tmp_path, how, cause):
    """The next run tells of a death and goes on; after two at one step it is refused in one line."""
    assert run(tmp_path, how).stdout == ""
    second = run(tmp_path, how)
    assert second.stdout.startswith("the thing: the process that made it from ")
    assert f"died ({cause}) at: step 1. Going on from what is stored" in second.stdout
    said = []
    with (
        pytest.raises(CrashError, match=rf"2 processes died while they made it \({cause}\), at: step 1. Not"),
        Attempts(tmp_path, said.append).begin("thing", "the thing", {"torch": "2.13"}),
    ):
        pass
    assert len(said) == 1
    with (
        pytest.raises(CrashError),
        Attempts(tmp_path, said.append).begin("thing", "the thing", {"torch": "2.13"}),
    ):
        pass
    assert len(said) == 1  # a death is told of once


def test_who_was_killed_may_go_on(tmp_path):
    """A process that was killed while all went well is told of, and is no death."""
    for _ in range(5):
        run(tmp_path, "kill")
    said = []
    with Attempts(tmp_path, said.append).begin("thing", "the thing", {"torch": "2.13"}):
        pass
    assert len(said) == 1
    assert "was ended at: step 1" in said[0]
    assert list((tmp_path / "attempts").iterdir()) == []


def test_other_conditions_are_a_new_chance(tmp_path):
    """Deaths under another release of PyTorch do not count."""
    run(tmp_path, "segfault")
    run(tmp_path, "segfault")
    said = []
    with Attempts(tmp_path, said.append).begin("thing", "the thing", {"torch": "2.14"}) as attempt:
        attempt.step("step 1")
    assert len(said) == 1


def test_deaths_at_different_steps(tmp_path):
    """Deaths are counted by step; four anywhere in one thing are too many too."""
    said = []
    for number in range(4):
        run(tmp_path, "segfault", step=f"step {number}")
        if number < 3:
            with Attempts(tmp_path, said.append).begin("other", "another", {}):
                pass
    with (
        pytest.raises(CrashError, match="4 processes died"),
        Attempts(tmp_path, said.append).begin("thing", "the thing", {"torch": "2.13"}),
    ):
        pass


def test_an_exception_is_no_death(tmp_path):
    """What Python itself ends leaves nothing behind."""
    assert run(tmp_path, "raise").returncode == 1
    assert list((tmp_path / "attempts").iterdir()) == []


def test_a_success_forgets_earlier_deaths(tmp_path):
    """Once it was made, what died before does not count any more."""
    run(tmp_path, "segfault")
    with Attempts(tmp_path, lambda _: None).begin("thing", "the thing", {"torch": "2.13"}):
        pass
    assert list((tmp_path / "attempts").iterdir()) == []


def test_a_process_that_lives_is_not_dead(tmp_path):
    """The note of another process at work is left alone, and so it is by gc."""
    with Attempts(tmp_path, print).begin("thing", "the thing", {}) as attempt:
        attempt.step("step 1")
        (note,) = (tmp_path / "attempts").glob("*.json")
        other = note.with_name(f"thing.{os.getppid()}.json")
        about = json.loads(note.read_text())
        note.rename(other)
        said = []
        with Attempts(tmp_path, said.append).begin("thing", "the thing", {}):
            assert not is_left_over(other, made=True)
        assert (said, about["step"]) == ([], "step 1")
        assert other.exists()
        other.write_text(json.dumps({**about, "started": about["started"] - 99}))
        assert is_left_over(other, made=True)
        assert not is_left_over(other, made=False)  # the next run tells of it


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[" * 100_000, b'{"pid": true}', b'{"pid": 1e400}'])
def test_a_damaged_note_says_little_and_harms_nothing(tmp_path, content):
    """A note that cannot be read is taken for one of a process that was ended."""
    (tmp_path / "attempts").mkdir()
    (tmp_path / "attempts" / "thing.17.json").write_bytes(content)
    (tmp_path / "attempts" / "thing.deaths.json").write_bytes(content)
    said = []
    with Attempts(tmp_path, said.append).begin("thing", "the thing", {}):
        pass
    assert len(said) == 1
    assert list((tmp_path / "attempts").iterdir()) == []


def test_faulthandler_is_as_it_was_before(tmp_path):
    """Whether Python traces crashes elsewhere does not change."""
    before = faulthandler.is_enabled()
    with Attempts(tmp_path, print).begin("thing", "the thing", {}):
        assert faulthandler.is_enabled()
    assert faulthandler.is_enabled() == before


CRASHING = """
import os, signal
import my_nets


class Crashing(my_nets.Tiny):
    def forward(self, images):
        if self.training:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().forward(images)


def build(classes, channels):
    return Crashing(classes, channels)
"""


@pytest.mark.slow
def test_a_training_that_crashes_is_given_up(tmp_path):
    """`prepare` dies twice in one step and then says so in one line, exit code 2, naming what to try."""
    write_user_model(tmp_path)
    (tmp_path / "crashing.py").write_text(CRASHING)
    (tmp_path / "my.toml").write_text("model = 'crashing:build'\nratios = [0.5]\n")
    ended = [
        subprocess.run(
            [sys.executable, "-m", "pruning_core", "prepare", "--grid", "my.toml", "--store", "store"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(3)
    ]
    assert [done.returncode for done in ended] == [-signal.SIGSEGV, -signal.SIGSEGV, 2]
    assert "(crashing:build on digits, dense): the process that made it from" in ended[1].stderr
    assert "epoch 1" in ended[1].stderr
    *_, last = ended[2].stderr.splitlines()
    assert last.startswith("error: checkpoint ")
    assert "2 processes died while they made it (Segmentation fault), at: train crashing:build" in last
    assert "Try --threads 1" in last
    assert "Traceback" not in ended[2].stderr
