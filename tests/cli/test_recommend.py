"""`pruning-bench recommend`: its exit codes, its outputs, and each mistake in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import record_factory as factory
from tests.helpers.command_line import Ended, command_line
from tests.helpers.made_up_choices import Choice, content_of

HALF, FAST = Choice(0.5, "openvino:fp32", 5.0), Choice(0.75, "openvino:fp32", 3.0, lost=40)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    """Run the command line in a folder with a run of three cells."""
    monkeypatch.chdir(tmp_path)
    factory.write(content_of(HALF, FAST), tmp_path / "run.json")
    return command_line(monkeypatch, capsys)


def test_the_exit_code_says_whether_anything_fits(run: Callable[..., Ended]) -> None:
    """Exit code 0 with the cell to ship; exit code 1 with the one that comes closest, and on which limit."""
    code, out, _ = run("recommend", "run.json", "--max-drop", "0.005", "--device=cpu", "--batch-size=1")
    assert code == 0
    assert "\nShip magnitude 0.50, openvino fp32\n" in out
    assert "1 lost more than 0.50 points: magnitude 0.75, openvino fp32 (2.00 points)" in out
    code, out, _ = run("recommend", "run.json", "--max-drop=0.005", "--max-latency-ms=2")
    assert code == 1
    assert "closest: magnitude 0.50, openvino fp32, but for: latency" in out
    assert "latency 5.00 [4.95–5.05] ms: above 2.00 ms" in out
    assert "Export" not in out


def test_json_holds_every_cell(run: Callable[..., Ended], tmp_path: Path) -> None:
    """JSON says the choice, its bounds, and a reason for each other cell; to a file it is the same text."""
    code, out, _ = run("recommend", "run.json", "--max-drop", "0.005", "--format", "json")
    answer: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (answer["recommended"]["title"], answer["sure"]) == ("magnitude 0.50, openvino fp32", True)
    assert answer["limits"] == {
        "max_drop": 0.005,
        "min_score": None,
        "max_latency_ms": None,
        "max_size_bytes": None,
    }
    assert [(cell["method"], cell["ratio"], cell["reason"]) for cell in answer["cells"]] == [
        ("dense", 0.0, "slower"),
        ("magnitude", 0.5, None),
        ("magnitude", 0.75, "drop"),
    ]
    assert answer["cells"][2]["drop"]["value"] == pytest.approx(0.02)
    assert answer["export"].startswith("pruning-bench export run.json::resnet18-digits-magnitude-0.5-")
    code, nothing, _ = run(
        "recommend", "run.json", "--max-drop", "0.005", "--format", "json", "-o", "answer.json"
    )
    assert (code, nothing) == (0, "")
    assert (tmp_path / "answer.json").read_text() == out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-drop", "nan"), "'nan' is not a number that limits anything"),
        (("--max-drop", "inf"), "'inf' is not a number"),
        (("--max-drop", ""), "is not a valid number"),
        (("--min-accuracy", "95"), "95.0 is not in the range 0<=x<=1"),
        (("--max-latency-ms", "0"), "0.0 is not in the range x>0"),
        (("--max-size-mb", "-1"), "-1.0 is not in the range x>0"),
        (("--min-score", "0.5"), "--min-score does not fit the score here"),
        (("--device", "cuda:0"), "--device 'cuda:0': no such cell here; there are cpu"),
        (("--batch-size", "8"), "--batch-size 8: no such cell here; there are 1"),
        (("--machine", "elsewhere"), "--machine 'elsewhere': no such cell here; there are "),
        (("--format", "html"), "'html' is not one of"),
        (("-o", "no/answer.md"), "no/answer.md"),
        (("none.json",), "cannot read none.json"),
    ],
)
def test_a_mistake_is_one_line(run: Callable[..., Ended], arguments: tuple[str, ...], said: str) -> None:
    """Each is told with what is allowed, exit code 2, and nothing on standard output."""
    code, out, err = run("recommend", "run.json", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
