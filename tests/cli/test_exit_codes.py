"""Exit codes mean one thing, whatever becomes of the output: closed, full, unread, or plain ASCII."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import LAT, noisy, slower, small_run

ROOT = Path(__file__).parents[2]
VERDICTS = {0: "pass", 1: "regressed", 2: "cannot-compare", 3: "inconclusive"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a baseline, and a run for each verdict."""
    folder = tmp_path_factory.mktemp("runs")
    names = ("baseline", *VERDICTS.values())
    contents = {name: small_run(seed=seed, rounds=40) for seed, name in enumerate(names)}
    slower(1.5)(contents["regressed"])
    factory.remove(contents["cannot-compare"], LAT)
    contents["inconclusive"] = small_run(seed=4)
    noisy(contents["inconclusive"])
    return {name: factory.write(content, folder / f"{name}.json") for name, content in contents.items()}


def run(
    *arguments: object,
    code: str = "",
    stdout: int = subprocess.PIPE,
    cwd: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own, or a program that runs it."""
    start = ["-c", code] if code else ["-m", "pruning_core"]
    with contextlib.ExitStack() as after:
        if stdout != subprocess.PIPE:
            after.callback(os.close, stdout)
        return subprocess.run(
            [sys.executable, *start, *map(str, arguments)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": f"{ROOT}", "COLUMNS": "", **environment},
            timeout=60,
            check=False,
        )


def _unread() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


BECOME = "os.execv(sys.executable, [sys.executable, '-m', 'pruning_core', *sys.argv[1:]])"
CLOSED = f"import os, sys\nos.close(1)\n{BECOME}"

OUTPUTS: dict[str, Callable[..., subprocess.CompletedProcess[bytes]]] = {
    "read": lambda *arguments: run(*arguments),
    "unread": lambda *arguments: run(*arguments, stdout=_unread()),
    "full": lambda *arguments: run(*arguments, stdout=_full()),
    "closed": lambda *arguments: run(*arguments, code=CLOSED),
    "ascii": lambda *arguments: run(*arguments, PYTHONIOENCODING="ascii"),
    "C": lambda *arguments: run(*arguments, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0"),
}
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
WAYS = [pytest.param(name, marks=needs_full if name == "full" else ()) for name in OUTPUTS]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", VERDICTS)
def test_the_gate_exits_with_its_verdict(files: dict[str, Path], code: int, way: str, tmp_path: Path) -> None:
    """The verdict's code stands whatever becomes of what is printed, and the files asked for are there."""
    junit = tmp_path / "junit.xml"
    done = OUTPUTS[way]("gate", files["baseline"], files[VERDICTS[code]], "--junit", junit)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == (way in ("full", "closed")), done.stderr
    assert len(list(ElementTree.parse(junit).iter("testcase"))) == 10
    assert junit.read_text(encoding="utf-8").lower().startswith("<?xml version='1.0' encoding='utf-8'?>")
    if done.stdout and way != "closed":
        assert VERDICTS[code].encode() in done.stdout


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["terminal", "json"])
def test_a_report_that_cannot_be_printed_is_one_line(files: dict[str, Path], form: str, way: str) -> None:
    """A reader that goes away gets 141 and no word; a full or closed output is said in one line, with 2."""
    done = OUTPUTS[way]("report", files["baseline"], "--format", form)
    assert done.returncode == {"unread": 141, "full": 2, "closed": 2}.get(way, 0), done.stderr
    assert len(done.stderr.splitlines()) == (way in ("full", "closed")), done.stderr
    assert b"Traceback" not in done.stderr


def test_a_file_that_was_asked_for_needs_no_terminal(files: dict[str, Path], tmp_path: Path) -> None:
    """With its output closed, a report that goes to a file is written, and all is well."""
    done = OUTPUTS["closed"]("report", files["baseline"], "-o", tmp_path / "report.txt")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "report.txt").stat().st_size > 1000


@pytest.mark.parametrize("stream", ["unread", "full", "closed"])
def test_errors_that_nobody_reads_keep_their_code(stream: str) -> None:
    """A mistake exits with 2 also where standard error leads nowhere."""
    code = {
        "unread": "r, w = os.pipe(); os.close(r); os.dup2(w, 2)",
        "full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
        "closed": "os.close(2)",
    }[stream]
    start = f"import os, sys\n{code}\n{BECOME}"
    assert run("report", "x", code=start).returncode == 2


@needs_full
@pytest.mark.parametrize(("verdict", "expected"), [("regressed", 1), ("pass", 2)])
def test_one_lost_file_costs_no_other(
    files: dict[str, Path], tmp_path: Path, verdict: str, expected: int
) -> None:
    """A file that cannot be written is said; the others and the table come, and it is never a silent pass."""
    done = run(
        *("gate", files["baseline"], files[verdict], "--junit", "/dev/full"),
        *("--markdown", tmp_path / "gate.md", "--json", tmp_path / "gate.json"),
        GITHUB_STEP_SUMMARY="/dev/full",
    )
    assert done.returncode == expected
    lines = done.stderr.decode().splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "cannot write GITHUB_STEP_SUMMARY /dev/full"]
    assert verdict.encode() in done.stdout
    assert (tmp_path / "gate.md").exists()
    assert (tmp_path / "gate.json").exists()


def test_a_summary_that_cannot_be_written_changes_no_verdict(files: dict[str, Path], tmp_path: Path) -> None:
    """GitHub's step summary was not asked for by the user: it is said, and the verdict's code stands."""
    done = run("gate", files["baseline"], files["pass"], GITHUB_STEP_SUMMARY=str(tmp_path / "none" / "x"))
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1


FAILING = """
import sys
import pruning_core.report.command
from pruning_core.__main__ import run
def fail(*_): raise ERROR
pruning_core.report.command.write_report = fail
sys.argv = ["pruning-bench", "report", "x.json"]
run()
"""
FAULT = FAILING.replace("ERROR", r'RuntimeError("injected\x1b[31m\nmore")')


def test_a_fault_of_the_program_has_a_code_of_its_own(tmp_path: Path) -> None:
    """Any unexpected exception is exit code 70 and one line that names the file with its traceback."""
    done = run(code=FAULT, TMPDIR=str(tmp_path), A_SECRET="swordfish")
    assert done.returncode == 70
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: this is a fault of pruning-bench")
    assert "\x1b" not in line
    (kept,) = tmp_path.iterdir()
    assert str(kept) in line
    assert kept.stat().st_mode & 0o077 == 0
    text = kept.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "swordfish" not in text


def test_a_fault_can_be_shown(tmp_path: Path) -> None:
    """With PRUNING_BENCH_TRACEBACK=1 the traceback is on the terminal too, for who mends the program."""
    done = run(code=FAULT, TMPDIR=str(tmp_path), PRUNING_BENCH_TRACEBACK="1")
    assert done.returncode == 70
    assert b"Traceback" in done.stderr
    assert b"\x1b" not in done.stderr


def test_a_broken_pipe_inside_is_no_regression(tmp_path: Path) -> None:
    """The exit code of a regression is the gate's alone, also where a library's pipe breaks."""
    code = FAILING.replace("ERROR", 'BrokenPipeError(32, "Broken pipe")')
    assert run(code=code, TMPDIR=str(tmp_path)).returncode == 70


def test_a_full_disk_is_no_fault_of_the_program(tmp_path: Path) -> None:
    """What the system refuses for a reason that its user can mend is one line and exit code 2."""
    code = FAILING.replace("ERROR", r'OSError(28, "No space left on device", "/a\x1b")')
    done = run(code=code, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr.decode()) == (2, "error: No space left on device: /a\\x1b\n")


@pytest.mark.parametrize(("columns", "widest"), [("200", 200), ("60", 60), ("", 100), ("0", 100), ("x", 100)])
@pytest.mark.parametrize("command", ["report", "gate"])
def test_a_table_is_as_wide_as_columns_says(
    files: dict[str, Path], command: str, columns: str, widest: int
) -> None:
    """Without a terminal `COLUMNS` decides how wide a table is; without it, 100."""
    arguments = ["report", files["baseline"]] if command == "report" else ["gate", *list(files.values())[:2]]
    lines = run(*arguments, COLUMNS=columns).stdout.decode().splitlines()
    assert widest - 25 < max(map(len, lines)) <= widest


def test_programs_get_utf8(files: dict[str, Path], tmp_path: Path) -> None:
    """What is printed for programs is what a file would hold, whatever the terminal's encoding."""
    for form in ("csv", "json", "markdown", "html"):
        printed = run("report", files["baseline"], "--format", form, PYTHONIOENCODING="latin-1").stdout
        run("report", files["baseline"], "--format", form, "-o", tmp_path / form)
        assert printed == (tmp_path / form).read_bytes()


def test_it_works_where_there_is_no_proc(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `/proc` memory is still known or 0, others' work is unknown, and a finished run is not lost."""
    import psutil

    from pruning_core.system.contention import ContentionMonitor
    from pruning_core.system.machine import describe_machine
    from pruning_core.system.memory import available_memory_bytes

    monkeypatch.setattr(psutil, "PROCFS_PATH", "/nonexistent")
    assert describe_machine()["memory_bytes"] >= 0
    assert available_memory_bytes() >= 0
    with ContentionMonitor("cpu") as watch:
        pass
    assert watch.contention.other_cpu_share is None


def test_a_child_inherits_streams_that_lead_somewhere() -> None:
    """With all three closed, no file that is opened later becomes standard output."""
    code = (
        "import os, sys\n"
        "for n in (0, 1, 2): os.close(n)\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'import os\\n"
        "from pruning_core.console.streams import guard_streams\\nguard_streams()\\n"
        "os._exit(os.open(os.devnull, 0))'])"
    )
    assert run(code=code).returncode >= 3
