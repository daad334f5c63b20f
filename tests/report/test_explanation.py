"""The part of the page that shows why a network is not faster."""

import json
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import OptionError, RecordError
from pruning_core.report.command import write_report
from pruning_core.report.page.explanation import read_explanation
from tests.helpers import record_factory as factory

EVIL = "<img src=x onerror=alert(1)>"


def content() -> dict[str, Any]:
    """Return an explanation of one group of two layers."""
    layer = {
        "layer": f"features.{EVIL}",
        "dense": 64,
        "kept": 31,
        "mac_share": 0.25,
        "dense_mac_share": 0.5,
        "time_share": 0.75,
        "dense_time_share": 0.5,
        "saved_quotient": 0.5,
        "reason": "misaligned width",
        "evidence": "rounded up to multiples of 32 it takes 0.70 of the time [0.68–0.72]",
    }
    other = {
        **layer,
        "layer": "back",
        "saved_quotient": None,
        "reason": "",
        "evidence": "no test explains it",
    }
    part = {"what": "framework", "time_share": 0.1, "dense_time_share": 0.05, "reason": "not this layer"}
    return {
        "schema": 1,
        "what": "pruning-bench explain",
        "subject": f"resnet18 {EVIL}",
        "setting": "openvino:int8, batch 128",
        "speedup": 4.7,
        "speedup_low": 4.6,
        "speedup_high": 4.8,
        "macs": 1,
        "dense_macs": 13,
        "covered": {"dense": 0.98, "pruned": 0.97},
        "gaps": {"dense": "", "pruned": ""},
        "groups": [{**layer, "root": "back", "layers": [layer, other]}],
        "not_layers": [part],
        "advice": [{"text": "`--round-to 16`: 4.7× → 8.1× on openvino:int8, batch 128, MACs −17 %"}],
        "without_gain": ["--round-to 8: 1.00 [0.98–1.02]"],
        "contention": "",
    }


def stored(folder: Path, given: object) -> Path:
    """Write a file."""
    path = folder / "why.json"
    path.write_text(json.dumps(given))
    return path


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" * 400])
def test_a_number_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    """No page says nan× faster; a whole number too large for a float is none either."""
    path = stored(tmp_path, content())
    path.write_text(path.read_text().replace('"speedup": 4.7', f'"speedup": {number}'))
    with pytest.raises(RecordError):
        read_explanation(path)


def test_the_page_shows_layers_reasons_and_advice(tmp_path: Path) -> None:
    """What the file says stands on the page, and nothing in it acts."""
    run = factory.write(factory.make_content(), tmp_path / "run.json")
    output = tmp_path / "page.html"
    write_report([run], "html", output, explanations=[stored(tmp_path, content())])
    page = output.read_text()
    assert "Why it is not faster" in page
    assert "4.7× → 8.1× on openvino:int8, batch 128, MACs −17 %" in page
    assert "13× fewer MACs, 4.7× faster [4.6–4.8]; nodes add up to 97 % of the call" in page
    assert "<td>64</td><td>31</td><td>50.0</td><td>25.0</td><td>50.0</td><td>75.0</td><td>0.50</td>" in page
    assert '<td class="text">misaligned width</td>' in page
    assert EVIL not in page
    write_report([run], "html", output)
    assert "Why it is not faster" not in output.read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"benchmarks": []}, "is no explanation"),
        ([1, 2], "is no explanation"),
        ({**content(), "schema": 2}, "of schema 2; this version reads 1"),
        ({**content(), "groups": [{}]}, "not a whole explanation"),
        ({**content(), "macs": "many"}, "not a whole explanation"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, given: object, said: str) -> None:
    """One line, and no page is written."""
    with pytest.raises(RecordError, match=said):
        read_explanation(stored(tmp_path, given))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """As any other that cannot be read."""
    with pytest.raises(RecordError, match="cannot read"):
        read_explanation(tmp_path / "gone.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(RecordError, match="cannot read"):
        read_explanation(broken)


def test_only_a_page_shows_it(tmp_path: Path) -> None:
    """Other formats refuse the option instead of leaving it out."""
    run = factory.write(factory.make_content(), tmp_path / "run.json")
    with pytest.raises(OptionError, match="--explain is for --format html"):
        write_report([run], "markdown", explanations=[stored(tmp_path, content())])
