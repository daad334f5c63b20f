"""Names and texts that are not ours act in no output of the command line, whatever its format."""

import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.helpers import record_factory as factory
from tests.helpers.command_line import command_line

NAME = "=cmd|'`<b>*x*</script><!--\x1b[31m\n\r\t\x9b2J\u202e\u2066\u200b\u2028\x00\ufffe\ud800$\\frac$@you]]>"
FILE = NAME.replace("/", "").replace("\x00", "").replace("\ud800", "\udcff")
FORMATS = ("terminal", "markdown", "csv", "json", "html", "svg")


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    """Write a baseline and a run in which every text and the file's name are hostile."""
    contents = [factory.make_content(seed=seed, rounds=40) for seed in range(2)]
    for content in contents:
        for entry in content["benchmarks"]:
            record = entry["extra_info"]
            for field in ("model", "dataset", "method", "device", "backend", "precision"):
                if field in record and record[field] != "dense":
                    record[field] = NAME
            for field in ("cell", "reference"):
                if field in record:
                    record[field] += NAME
        machine = content["machine_info"]["pruning_bench"]
        machine |= {"name": NAME, "cpu_model": NAME, "torch": NAME}
        content["commit_info"]["id"] = NAME
        content["datetime"] = NAME
    failed = next(factory.records_of(contents[1], "accuracy"))
    failed.update(status="failed", failure=NAME)
    factory.slow_down(list(factory.records_of(contents[1], "latency"))[-1], 1.5)
    folder = tmp_path / FILE[:60]
    folder.mkdir()
    paths = folder / FILE, folder / f"b{FILE}"
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    return paths


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command line; give its exit code, output and errors."""
    return command_line(monkeypatch, capfd)


def acting(text: str) -> set[str]:
    """Return the characters that act on a terminal or turn the direction of writing, line ends apart."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"}


class _Texts(HTMLParser):
    """Collects the elements of a page, and what its script elements hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.scripts: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data


@pytest.mark.parametrize("format", FORMATS)
def test_a_report_of_hostile_names(
    hostile: tuple[Path, Path], run: Any, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No format of a report holds a character that acts, markup, a formula, or an end of its own element."""
    baseline, new = hostile
    path = tmp_path / f"report.{format}"
    extra = ("--baseline", baseline) if format == "html" else ()
    code, _, err = run("report", new, *(() if extra else (baseline,)), "--format", format, "-o", path, *extra)
    assert code == 0, err
    text = path.read_text(encoding="utf-8")
    assert not acting(text)
    if format == "csv":
        for row in csv.reader(io.StringIO(text)):
            for cell in row:
                assert not re.match(r"\s*[=+@]|\s*-[^\d]", cell), cell
    if format == "json":
        read = json.loads(text)
        assert read["runs"][0]["file"].startswith("b=cmd|")
    if format == "markdown":
        assert "<b>" not in text
        assert "`<" not in text
        assert "@you" not in text
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert rows
        assert all(re.sub(r"\\.", "", row).endswith("|") for row in rows)
    if format == "html":
        page = _Texts()
        page.feed(text)
        assert "b" not in page.tags
        assert len(page.scripts) == 2
        data = json.loads(page.scripts[0])
        assert data["count"] > 0
        assert not acting("".join(_strings(data)))
    if format == "svg":
        ElementTree.fromstring(text)


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _strings(item)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def test_a_gate_of_hostile_names(hostile: tuple[Path, Path], run: Any, tmp_path: Path) -> None:
    """The gate's table, JUnit, Markdown and JSON hold no character that acts; JUnit is well-formed."""
    paths = {name: tmp_path / f"gate.{name}" for name in ("junit", "markdown", "json")}
    code, out, err = run("gate", *hostile, *(f"--{name}={path}" for name, path in paths.items()))
    assert code in (1, 2), err
    texts = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    assert not acting(out + err + "".join(texts.values()))
    cases = list(ElementTree.fromstring(texts["junit"]).iter("testcase"))
    assert len(cases) == len(json.loads(texts["json"])["cells"])
    assert "<b>" not in texts["markdown"]
    assert "@you" not in texts["markdown"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", FILE),
        ("gate", FILE, FILE),
        ("plan", "--model", FILE),
        ("plan", "--method", FILE),
        ("plan", f"--{FILE}"),
        (FILE,),
        ("store", "ls", "--store", FILE),
        ("prepare", "--grid", FILE),
        ("prepare", "--dataset", f"folder:{FILE}"),
        ("report", __file__, "-o", f"{FILE}/x"),
        ("baseline", "accept", FILE),
    ],
    ids=[
        "report",
        "gate",
        "model",
        "method",
        "option",
        "command",
        "store",
        "grid",
        "dataset",
        "output",
        "accept",
    ],
)
def test_an_error_shows_hostile_names(
    arguments: tuple[str, ...], run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake that repeats a name is one line, above our own list of what is known, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert not acting(out + err)
    first, *others = err.splitlines()
    assert first.startswith("error: ")
    assert all(line.startswith("  ") for line in others)
