"""The scripts beside our results can be read by their shell, and say in one line what they miss."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "results").glob("*/make.sh"))


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with some variables, and nothing else of ours."""
    environment = {"PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_a_script_is_one(script) -> None:
    """Its shell can read it, and it may be run."""
    shell = script.read_text().partition("\n")[0].removeprefix("#!")
    assert run(shell, "-n", str(script)).stderr == ""
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--smal"], {}, "usage: results/gpu/make.sh [--small]"),
        ([], {"DATA": "/none.tar.xz"}, "error: no archive /none.tar.xz; set DATA to cifar10-jpeg.tar.xz"),
    ],
)
def test_the_gpu_script_says_what_is_missing(tmp_path, arguments, variables, said) -> None:
    """A wrong option, or no archive of images: one line, exit code 2, and nothing is written."""
    out = tmp_path / "out"
    done = run("bash", str(ROOT / "results/gpu/make.sh"), *arguments, OUT=str(out), **variables)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{said}\n")
    assert not out.exists()
