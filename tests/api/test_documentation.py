"""The examples of the API run, its page reads as a page, and its interface is typed."""

import doctest
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import pruning_core.api
from pruning_core.api import compare, load, prune

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "pruning_core" / "api" / "README.md"
NAMES = {"torch": torch, "nn": nn, "compare": compare, "load": load, "prune": prune}


MEASURED = re.compile(r"faster|slower|no difference shown|True|False|None")
"""What examples show that were measured: on a busy machine they find less, and no test asserts a time."""


class AnyMeasured(doctest.OutputChecker):
    """Takes any answer to a question of time for another; all else is what is shown."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Compare what is shown with what came."""
        found = [MEASURED.sub("…", text) if MEASURED.search(want) else text for text in (want, got)]
        return super().check_output(*found, optionflags)


def run_examples(text: str, name: str) -> int:
    """Run the examples of a text, and return how many there were."""
    test = doctest.DocTestParser().get_doctest(text, dict(NAMES), name, None, 0)
    said: list[str] = []
    doctest.DocTestRunner(AnyMeasured(), verbose=False).run(test, out=said.append)
    assert said == [], "".join(said)
    return len(test.examples)


@pytest.mark.parametrize(("function", "number"), [(prune, 8), (compare, 5), (load, 2)])
def test_the_examples_of_a_function_run(function, number):
    """Each function's docstring leads with examples, whose results are those shown."""
    assert run_examples(function.__doc__.partition("Args:")[0], function.__name__) >= number


def test_the_examples_of_the_page_run():
    """What the page shows is what it gives."""
    assert run_examples(PAGE.read_text(), "README.md") >= 8


def test_a_wrong_example_is_found():
    """A result that is not the one shown is told."""
    with pytest.raises(AssertionError, match="Expected"):
        run_examples(">>> 1 + 1\n3\n", "wrong")


def test_help_reads_as_a_page():
    """Help shows the story, the three functions with examples, and what they return."""
    text = pydoc.render_doc(pruning_core.api, renderer=pydoc.plaintext)
    parts = ("prune(network, images, 0.5)", "compare(reference: ", "load(store_or_folder: ", "Pruned(")
    assert [part for part in parts if part not in text] == []
    assert len(text.splitlines()) < 310
    assert all(getattr(pruning_core.api, name).__doc__ for name in pruning_core.api.__all__)


SAMPLE = """
import torch
from torch import nn
from pruning_core.api import Comparison, Pruned, compare, load, prune
from pruning_core.paired_fixture import Paired

network: nn.Module = load("store", "3f6a")
pruned: Pruned = prune(network, torch.zeros(1, 3, 8, 8), 0.5, protect=["head"], ratio_of={"a": 0.2})
found: Comparison = compare(network, pruned.network, torch.zeros(1, 3, 8, 8), threads=2)
low: float = found.speedup.low
enough: bool | None = found.is_at_least(1.5)
macs: int = pruned.after.macs
widths: dict[str, int] = pruned.plan.widths
reasons: list[str] = [group.reason for group in pruned.kept_whole]


def test_faster(paired: Paired) -> None:
    paired(network, pruned.network).assert_faster(at_least=1.5)
"""


@pytest.mark.slow
def test_the_interface_is_typed(tmp_path):
    """A user's file passes mypy --strict, and a wrong call in it is found."""
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(SAMPLE)
    bad.write_text(
        'from pruning_core.api import compare\nlow: str = compare(len, len, tolerance="5 %").speedup\n'
    )
    cache = ROOT / ".mypy_cache"
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--python-version=3.11"]
    done = subprocess.run(
        [*command, f"--cache-dir={cache}", "good.py", "bad.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(lines) == 2, done.stdout + done.stderr
    assert all(line.startswith("bad.py:2: ") for line in lines)
