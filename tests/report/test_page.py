"""The page: the same numbers as everywhere, nothing loaded, nothing from outside that acts."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import OptionError, RecordError
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.estimate import Estimate
from pruning_core.report.number_format import number_text
from pruning_core.report.page import page_chunks
from pruning_core.report.page.points import COLUMNS
from pruning_core.report.table import Report, texts_of
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.gate_changes import COST, setting, small_run
from tests.helpers.made_up_records import MACS

EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


class Tables(HTMLParser):
    """Reads the tables of a page: a list of rows of texts for each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[list[list[str]]] = []
        self._text: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell."""
        if tag == "table":
            self.found.append([])
        elif tag == "tr":
            self.found[-1].append([])
        elif tag in ("td", "th"):
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in ("td", "th") and self._text is not None:
            self.found[-1][-1].append("".join(self._text))
            self._text = None

    def handle_data(self, data: str) -> None:
        """Collect the text of a cell."""
        if self._text is not None:
            self._text.append(data)


def report_of(folder: Path, *contents: dict[str, Any]) -> Report:
    """Make the report of some runs."""
    found = contents or (
        factory.make_content(),
        factory.make_content(seed=1, machine="box-b", device="cuda:0"),
    )
    return build_report([factory.as_run(c, folder, f"{i}.json") for i, c in enumerate(found)])


def data_of(page: str) -> dict[str, Any]:
    """Read the JSON that the page draws from."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    content: dict[str, Any] = json.loads(text)
    return content


def items_of(column: Any) -> list[Any]:
    """Return the items of a column, however it is packed."""
    return [column["texts"][at] for at in column["at"]] if isinstance(column, dict) else column


def points_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points of a page, each with its exact values."""
    columns = {name: items_of(column) for name, column in data["values"].items()}
    return [{name: items[i] for name, items in columns.items()} for i in range(data["count"])]


def test_the_tables_are_those_of_every_other_format(tmp_path: Path) -> None:
    """Each table of the page holds the rounded numbers of Markdown and terminal, row by row."""
    report = report_of(tmp_path)
    shown = [table for table in Tables(render(report, "html")).found if table]
    assert len(shown) == len(report.tables) == 7
    markdown = render(report, "markdown")
    for table, (headers, *rows) in zip(report.tables, shown, strict=True):
        assert headers == [column.header for column in table.columns]
        assert len(rows) == len(table.rows)
        for row, texts in zip(table.rows, rows, strict=True):
            for column, text in zip(table.columns, texts, strict=True):
                number, interval = texts_of(row, column)
                assert text == (f"{number} [{interval}]" if interval else number)
                assert text.replace("~", r"\~") in markdown


def test_every_latency_cell_is_a_point(tmp_path: Path) -> None:
    """A point has the exact numbers of its record, and the rounded ones of the tables beside them."""
    report = report_of(tmp_path)
    data = data_of(render(report, "html"))
    cells = [cell for cell in report.cells() if cell["suite"] == "latency"]
    points = points_of(data)
    assert len(points) == len(cells) == 64
    assert set(data["shown"]) == {column.id for column in COLUMNS}
    latencies = [items_of(texts) for texts in data["shown"]["latency"]]
    facts = items_of(data["facts"]["latency_p99_ms"])
    for number, (point, cell) in enumerate(zip(points, cells, strict=True)):
        assert point["latency"] == cell["latency_ms"]
        assert point["score"] == cell["accuracy"]
        assert point["total"] == cell["total_speedup"]
        assert point["speedup"] == (None if cell["is_control"] else cell["speedup"])
        assert point["macs"] == MACS[cell["ratio"]]
        bounds = Estimate(*(cell[name] for name in ("latency_ms", "latency_low_ms", "latency_high_ms")))
        assert tuple(column[number] for column in latencies) == number_text(bounds, "ms")
        assert facts[number] == f"{cell['latency_p99_ms']:.6g}"
    dense = next(i for i, p in enumerate(points) if p["method"] == "dense" and p["backend"] == "eager fp32")
    assert [items_of(texts)[dense] for texts in data["shown"]["speedup"]] == ["–", ""]
    assert {point["target"] for point in points} == {
        "cpu, 0.json, box-a (Xeon, 8 cores)",
        "cuda:0, 1.json, box-b (Xeon, 8 cores)",
    }
    half = next(p for p in points if p["ratio"] == 0.5 and p["backend"] == "eager fp32")
    assert half["lost"] == pytest.approx(2 / 360)
    assert {w["ratio"] for w in data["widths"]} == {0.0, 0.25, 0.5, 0.75}


def test_headings_are_explained(tmp_path: Path) -> None:
    """Each heading of a table has its meaning as title, and stands in the list of words, which is linked."""
    report = report_of(tmp_path)
    page = render(report, "html")
    words = page[page.index('<section id="words">') :]
    for table in report.tables:
        for column in table.columns:
            assert f'title="{html.escape(column.meaning)}"' in page
            assert f"<dt>{html.escape(column.word)}</dt>" in words
            assert html.escape(column.meaning) in words
    assert all(column["meaning"] for column in data_of(page)["columns"])


def test_contaminated_points_are_flagged(tmp_path: Path) -> None:
    """The ratio of a contaminated or failed point has its flag, in the chart and in the table of cells."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",))
    dense, *_, last = factory.records_of(content, "latency")
    dense["contaminated"] = True
    last.update(status="failed", failure="below the floor")
    data = data_of(render(report_of(tmp_path, content), "html"))
    numbers = items_of(data["shown"]["ratio"][0])
    assert (numbers[0], numbers[-1]) == ("dense ~", "0.50 ✗")
    assert points_of(data)[0]["contaminated"] is True
    assert points_of(data)[-1]["status"] == "failed"


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    """No address but data:, and a policy under which a browser refuses all but our script."""
    page = render(report_of(tmp_path), "html")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    outside = re.sub(r"http://www\.w3\.org/2000/svg", "", page)  # the name of SVG, not an address
    assert "http:" not in outside
    assert "https:" not in outside
    assert set(re.findall(r'<[^>]* (?:src|href)="([^"]*)"', outside)) == {"data:,", "#words"}


def test_what_comes_from_outside_is_text(tmp_path: Path) -> None:
    """Markup in a name, a failure or a machine is shown, not obeyed."""
    content = factory.make_content(ratios=(0.5,))
    for entry in content["benchmarks"]:
        entry["extra_info"].update(model=EVIL, status="failed", failure=EVIL)
    content["machine_info"]["pruning_bench"]["name"] = EVIL
    page = render(report_of(tmp_path, content), "html")
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert points_of(data_of(page))[0]["model"] == EVIL


def test_verdicts_stand_on_the_page(tmp_path: Path) -> None:
    """With a baseline, the gate's verdict and what changed are there, the worst first."""
    new = factory.make_content(ratios=(0.5,))
    setting(COST, macs=139_400_001)(new)
    runs = [
        factory.as_run(c, tmp_path, f"{n}.json")
        for n, c in enumerate((new, factory.make_content(ratios=(0.5,))))
    ]
    page = "".join(page_chunks(build_report(runs[:1]), compare(runs[1], runs[0], Policy())))
    assert "Against the baseline" in page
    first = Tables(page).found[0][0]
    assert first[0] == "✗ regressed"
    assert "139,400,000 → 139,400,001" in first[2]


def test_the_page_is_written_by_the_command(tmp_path: Path) -> None:
    """`report --format html -o` writes it, with `--baseline` the verdicts too; elsewhere that is refused."""
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.json").write_text(json.dumps(factory.make_content(seed=seed, ratios=(0.5,))))
    a, b, out = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "r.html"
    write_report([a], "html", out)
    assert "Against the baseline" not in out.read_text()
    write_report([a], "html", out, baseline=b)
    assert "Against the baseline" in out.read_text()
    with pytest.raises(OptionError, match="--baseline is for --format html"):
        write_report([a], "csv", out, baseline=b)


def test_a_run_is_not_its_own_baseline(tmp_path: Path) -> None:
    """One run as report and as baseline, under another name too, is refused as the gate refuses it."""
    run, copy = (factory.write(small_run(), tmp_path / f"{name}.json") for name in ("run", "copy"))
    for baseline in (run, copy):
        with pytest.raises(RecordError, match="both are the same run"):
            write_report([run], "html", tmp_path / "report.html", baseline=baseline)
    assert not (tmp_path / "report.html").exists()


def test_files_without_latency_still_give_a_page(tmp_path: Path) -> None:
    """Where nothing was timed there are tables and no points."""
    page = render(report_of(tmp_path, factory.make_content(suites=("cost",))), "html")
    assert data_of(page)["count"] == 0
    assert len([table for table in Tables(page).found if table]) == 1


@pytest.mark.parametrize("format", ["svg", "png"])
def test_a_figure_is_drawn_the_same_each_time(tmp_path: Path, format: str) -> None:
    """The figure for a README depends on the file alone."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(factory.make_content()))
    outputs = [tmp_path / f"{n}.{format}" for n in range(2)]
    for output in outputs:
        write_report([path], format, output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert outputs[0].stat().st_size > 5000
