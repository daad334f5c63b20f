"""Runs the commands of README.md in a folder of its own, and writes what they say into it.

usage: python bench/tutorial/make.py [--check]    (about five minutes on two cores; --check writes nothing)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
BLOCK = re.compile(r"```sh\n(?P<command>[^`]*?)```\n\n(?P<output>```\n[^`]*```\n)?")
SHOWN_LINES = 20
"""Of each command: the first ones."""


def run(command: str, folder: Path) -> str:
    """Run a command as in a shell of the user's; return what it said, without progress.

    Raises:
        RuntimeError: If it fails.
    """
    environment = {**os.environ, "PRUNING_BENCH_STORE": str(folder / "store"), "COLUMNS": "80"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command.strip()} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    begins = [number for number, line in enumerate(lines) if "= pruning-bench =" in line]
    lines = lines[begins[-1] if begins else 0 :]
    left_out = ["…"] if len(lines) > SHOWN_LINES else []
    return "\n".join([*lines[:SHOWN_LINES], *left_out]).strip("\n")


def make(page: str, folder: Path) -> str:
    """Return the page with what its commands say in a folder that begins with the files beside it."""
    for file in HERE.glob("*.py"):
        if file.name != Path(__file__).name:
            shutil.copy(file, folder)

    def with_output(block: re.Match[str]) -> str:
        output = run(block["command"], folder)
        end = "" if block["output"] else "\n"
        return f"```sh\n{block['command']}```\n\n```\n{output}\n```\n{end}"

    return BLOCK.sub(with_output, page)


def main() -> None:
    """Make the page."""
    with tempfile.TemporaryDirectory() as folder:
        page = make(PAGE.read_text(), Path(folder))
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
