"""The way from your own network to a file, as `bench/tutorial` tells it, runs."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent.parent / "bench" / "tutorial"
PAGE = (FOLDER / "README.md").read_text()

QUICK = {
    "train.py 4": "train.py 1",
    "--ratios 0.3,0.5,0.7": "--ratios 0.5",
    "--benchmark-json": "--batch-sizes 1 --target-error 0.5 --benchmark-json",
}
"""What the page says, and what is quicker."""


def script() -> ModuleType:
    """Load the script that makes the page."""
    spec = importlib.util.spec_from_file_location("make_tutorial", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_five_commands_run(tmp_path):
    """Weights trained elsewhere become a file that answers as the checkpoint, by the commands of the page."""
    page = PAGE
    for said, quick in QUICK.items():
        assert said in page
        page = page.replace(said, quick)
    made = script()
    outputs = [block["output"] for block in made.BLOCK.finditer(made.make(page, tmp_path))]
    trained, _, plan, measured, _, exported, answers = outputs
    assert "proved: exact" in plan
    accuracy = trained.split("epoch 1: ")[1].split("%")[0]
    assert re.search(rf"^dense .* {accuracy} +0\.00", measured, re.MULTILINE)  # as its own loop says
    assert "360 test images: 100.00% are predicted as by eager fp32" in exported
    assert len(answers.strip("`\n").splitlines()) == 5


def test_the_page_shows_what_each_command_says():
    """No command of the page is without its output."""
    blocks = list(script().BLOCK.finditer(PAGE))
    assert len(blocks) == 7
    assert all(block["output"] for block in blocks)


def test_a_command_that_fails_is_told(tmp_path):
    """What a command said on standard error is in the error."""
    with pytest.raises(RuntimeError, match="ended with 2:\nerror: no pruning method 'magnitud'"):
        script().run("pruning-bench plan --method magnitud", tmp_path)
