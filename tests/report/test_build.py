"""The report: the same numbers in every format, readable tables, and nothing that acts on its reader."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pruning_core.errors import OptionError
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.estimate import Estimate
from pruning_core.report.number_format import number_text
from pruning_core.report.writers import render
from tests.helpers import record_factory as factory
from tests.helpers.reports import markdown_tables, report_on, runs


def test_each_format_shows_the_same_numbers(tmp_path: Path) -> None:
    """Every number in Markdown and in the terminal is the rounding of the exact number in JSON."""
    report = build_report(runs(tmp_path))
    exact = json.loads(render(report, "json"))
    shown = markdown_tables(render(report, "markdown"))
    # Wide enough for intervals beside their numbers, and for no table to be split.
    terminal = render(report, "terminal", width=400)
    assert len(shown) == len(exact["tables"]) == 7
    compared = 0
    for table, rows in zip(exact["tables"], shown, strict=True):
        assert len(rows) == len(table["rows"])
        for exact_row, row in zip(table["rows"], rows, strict=True):
            texts = []
            for column in table["columns"]:
                value = exact_row.get(column["id"])
                text = row[column["head"]]
                texts.append(text)
                if isinstance(value, dict):
                    found = [float(number) for number in re.findall(r"[\d.]+", text)]
                    scale = 100 if column["kind"] == "percent" else 1
                    expected = [scale * value[name] for name in ("value", "low", "high")]
                    for a, b in zip(found, expected, strict=True):
                        assert a == pytest.approx(b, rel=0.006), (column, text)
                    compared += 3
            pattern = r"\s+".join(re.escape(text) for text in texts)
            assert re.search(rf"^\s*{pattern}\s*$", terminal, flags=re.MULTILINE), texts
    assert compared > 500


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_tables_fit_the_terminal_and_lose_nothing(tmp_path: Path, width: int) -> None:
    """No line is wider than the terminal, and every column's numbers are there at any width."""
    report = build_report(runs(tmp_path))
    text = render(report, "terminal", width)
    assert max(map(len, text.splitlines())) <= width
    for table in report.tables:
        for row in table.rows:
            for column in table.columns:
                number, interval = number_text(row.get(column.id), column.kind)
                assert number in text
                assert interval in text


def test_a_table_too_wide_to_fit_keeps_its_columns(tmp_path: Path) -> None:
    """On a page narrower than a row can be, lines are longer than the page and no number is lost."""
    report = build_report(runs(tmp_path))
    text = render(report, "terminal", 30)
    assert "…" not in text
    assert text.count("openvino fp32") >= sum(
        row.get("backend") == "openvino fp32" for t in report.tables for row in t.rows
    )


def test_backends_begin_with_the_reference(tmp_path: Path) -> None:
    """Eager fp32 comes first for each ratio; a dense cell has a total but no gain over dense."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:bf16", "onnxruntime:fp32", "eager:fp32"))
    (table,) = [t for t in report_on(content, tmp_path).tables if t.title.startswith("backends")]
    names = [(row["ratio"], row["backend"]) for row in table.rows]
    assert names[:2] == [(0.0, "eager fp32"), (0.0, "eager bf16")]
    assert names[3] == (0.5, "eager fp32")
    assert [row["speedup_b1"] for row in table.rows[:3]] == [None] * 3
    assert all(isinstance(row["total_speedup_b1"], Estimate) for row in table.rows)


def test_dense_comes_first_and_methods_share_it(tmp_path: Path) -> None:
    """Each method has a main table of its own that begins with the dense model."""
    content = factory.make_content()
    for entry in json.loads(json.dumps(content))["benchmarks"]:
        if entry["extra_info"]["method"] != "dense":
            entry["extra_info"]["method"] = "taylor"
            entry["extra_info"]["cell"] = entry["extra_info"]["cell"].replace("magnitude", "taylor")
            content["benchmarks"].append(entry)
    *tables, methods = report_on(content, tmp_path).tables
    assert [row["method"] for row in methods.rows] == ["magnitude", "taylor"] * 3
    titles = [(t.title, t.rows[0]["ratio"], len(t.rows)) for t in tables]
    assert [title.split(":")[0] for title, _, _ in titles if title.startswith("resnet18")] == [
        "resnet18 on digits, magnitude, cpu",
        "resnet18 on digits, taylor, cpu",
    ]
    assert {ratio for _, ratio, _ in titles} == {0.0}
    main = report_on(content, tmp_path).tables[0]
    assert [row["accuracy_pruned"] is None for row in main.rows] == [True, False, False, False]
    assert [rows for title, _, rows in titles if title.startswith("resnet18")] == [4, 4]


def test_machines_stand_side_by_side(tmp_path: Path) -> None:
    """Two runs give one comparison with a pair of columns each; cells of one run only stay in it."""
    table = build_report(runs(tmp_path)).tables[0]
    assert table.title == "side by side: resnet18 on digits, magnitude: A 0.json · B 1.json"
    names = [column.header for column in table.columns][3:]
    assert names == ["A ms", "A total speed-up", "B ms", "B total speed-up"]
    assert len(table.rows) == 5 * 4 * 2
    assert sum("latency_ms_B" in row for row in table.rows) == 4 * 4 * 2
    assert table.notes[0].startswith("A: cpu, 0.json, box-a")
    assert table.notes[1].startswith("B: cuda:0, 1.json, box-b")


def test_two_files_begin_with_their_comparison(tmp_path: Path) -> None:
    """Of two files the first table compares them, and every title names the file that it is of."""
    contents = [factory.make_content(seed=seed) for seed in range(2)]
    for name, content in zip(("old", "new"), contents, strict=True):
        (tmp_path / name).mkdir()
        factory.write(content, tmp_path / name / "run.json")
    report = build_report([read_run(tmp_path / name / "run.json") for name in ("old", "new")])
    first, *others = [table.title for table in report.tables]
    assert first == "side by side: resnet18 on digits, magnitude: A old/run.json · B new/run.json"
    assert [title.split(": ")[-1].split(",")[0] for title in others] == ["old/run.json"] * 3 + [
        "new/run.json"
    ] * 3
    assert "run.json" not in report_on(contents[0], tmp_path).tables[0].title


def test_a_run_without_eager_shows_what_was_measured(tmp_path: Path) -> None:
    """The first table is of the first backend that was timed, and says which."""
    content = factory.make_content(ratios=(0.5,), backends=("onnxruntime:fp32", "openvino:fp32"))
    table = report_on(content, tmp_path).tables[0]
    dense, pruned = table.rows
    (found,) = [
        r
        for r in factory.records_of(content, "latency")
        if (r["ratio"], r["backend"], r["batch_size"]) == (0.5, "onnxruntime", 1)
    ]
    assert pruned["latency_ms_b1"].value == found["latency_ms"]
    assert pruned["accuracy"].value == found["accuracy"]
    assert dense["latency_ms_b1"] is not None
    assert dense["speedup_b1"] is None  # over dense eager fp32: no gain by pruning
    assert "times and speed-ups: onnxruntime fp32, paired with the dense model." in table.notes


def test_rejected_rounds_have_a_column(tmp_path: Path) -> None:
    """The share of rounds left out stands in the main table, if any was."""
    content = factory.make_content(ratios=(0.5,), backends=("eager:fp32",))
    assert "rejected" not in render(report_on(content, tmp_path), "markdown")
    cell = ("latency", "resnet18-digits-magnitude-0.5-eager-fp32-cpu-b32")
    for record in factory.records_of(content, "latency"):
        record["rounds_rejected"] = 0
    assert "rejected" not in render(report_on(content, tmp_path), "markdown")
    record = factory.find(content, cell)
    record["rounds_rejected"] = 3 * record["rounds"]
    table = report_on(content, tmp_path).tables[0]
    assert [c.header for c in table.columns if "rejected" in c.header] == ["b32 rejected %"]
    assert [row["rejected_share_b32"] for row in table.rows] == [0, 0.75]


@pytest.mark.parametrize("columns", ["all", "tutorial"])
def test_every_heading_is_explained(tmp_path: Path, columns: str) -> None:
    """Below the tables of terminal and Markdown stands what each heading means; in the terminal once."""
    content = factory.make_content()
    report = build_report(
        [factory.as_run(content, tmp_path, "a.json"), factory.as_run(content, tmp_path, "b.json")], columns
    )
    terminal = " ".join(render(report, "terminal", 80).split())
    for table in report.tables:
        for column in table.columns:
            assert column.meaning, column
            assert f"{column.word}: {column.meaning}" in terminal
    assert terminal.count("ratio: fraction of channels removed") == 1
    assert render(report, "markdown").count("- ratio: fraction of channels") == len(report.tables)


def test_one_device_is_not_compared_with_itself(tmp_path: Path) -> None:
    """A single run on a single device has no comparison; two devices in one file have."""
    content = factory.make_content()
    assert not [t for t in report_on(content, tmp_path).tables if t.title.startswith("side")]
    content["benchmarks"] += factory.make_content(device="cuda:0", suites=("latency",))["benchmarks"]
    assert [t for t in report_on(content, tmp_path).tables if t.title.startswith("side")]


def test_every_table_says_where_its_numbers_come_from(tmp_path: Path) -> None:
    """Under each table stand machine, versions, date, threads, rounds, images, coverage and keys."""
    for table in build_report(runs(tmp_path)[:1]).tables:
        notes = " ".join(table.notes)
        for fact in (
            "box-a (Xeon, 8 cores)",
            "torch 2.13.0",
            "2026-01-01",
            "8 threads",
            "10 rounds",
            "360 test",
        ):
            assert fact in notes
        assert "cover 97.9%" in notes
        assert "keys: dense 6d0e862c, 0.25 21ce78b1" in notes
        assert "fork–join" not in notes


def test_every_table_says_which_layers_were_named(tmp_path: Path) -> None:
    """Protected layers and layers with a ratio of their own stand under the tables of such a run alone."""
    content = factory.make_content()
    assert not [table for table in report_on(content, tmp_path).tables if "protect" in " ".join(table.notes)]
    for suite in ("cost", "accuracy", "latency"):
        for record in factory.records_of(content, suite):
            record |= {"protect": "head,layer1.*", "ratio_of": "layer4.*=0.8"}
    for table in report_on(content, tmp_path).tables:
        assert "protect head,layer1.* · ratio_of layer4.*=0.8 · seed 0" in " ".join(table.notes)


def test_tables_say_the_fork_join_latency(tmp_path: Path) -> None:
    """Where records hold a fork–join latency, the reader of times sees its range."""
    content = factory.make_content()
    timed = [e["extra_info"] for e in content["benchmarks"] if e["extra_info"]["suite"] == "latency"]
    for number, record in enumerate(timed):
        record["fork_join_us"] = 4.86 if number else 6.94
    notes = " ".join(report_on(content, tmp_path).tables[0].notes)
    assert "fork–join latency 4.9 to 6.9 µs" in notes


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Markup and control characters in names act in no format."""
    content = factory.make_content()
    for entry in content["benchmarks"]:
        entry["extra_info"]["model"] = "<img src=x>|[red]\x1b[31m*"
    report = report_on(content, tmp_path)
    terminal, markdown = render(report, "terminal", colour=False), render(report, "markdown")
    assert "\x1b" not in terminal
    assert "<img src=x>|[red]" in terminal
    assert "<img" not in markdown
    assert "\\|" in markdown
    assert json.loads(render(report, "json"))["cells"][0]["model"] == "<img src=x>|[red]\ufffd[31m*"


def test_colour_only_where_it_is_wanted(tmp_path: Path) -> None:
    """Escape sequences are written when colour is asked for, and only then."""
    report = build_report(runs(tmp_path))
    assert "\x1b[" in render(report, "terminal", colour=True)
    assert "\x1b[" not in render(report, "terminal")


def test_report_is_written_to_a_file_or_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report goes where it is asked to, whole; an unknown format or folder is one line."""
    path = factory.write(factory.make_content(), tmp_path / "run.json")
    write_report([path], "markdown", tmp_path / "report.md")
    write_report([path], "markdown")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == capsys.readouterr().out
    write_report([path], "terminal")
    assert "resnet18 on digits" in capsys.readouterr().out
    with pytest.raises(OptionError, match="no format 'pdf'; allowed: terminal, markdown, csv, json"):
        write_report([path], "pdf")
    with pytest.raises(OptionError, match="there is no folder"):
        write_report([path], "csv", tmp_path / "none" / "report.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.md", "run.json"]


def test_a_terminal_gets_no_more_than_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many rows the terminal says how many tables and rows are left; Markdown has them all."""
    monkeypatch.setattr("pruning_core.report.terminal.MAX_ROWS", 3)
    report = report_on(factory.make_content(), tmp_path)
    rows = sum(len(table.rows) for table in report.tables[1:])
    text = render(report, "terminal")
    assert text.endswith(f"{len(report.tables) - 1} more tables, {rows} rows: the other formats hold them.\n")
    assert report.tables[1].title not in text
    assert report.tables[1].title in render(report, "markdown")


def test_report_starts_without_torch_and_pandas(tmp_path: Path) -> None:
    """Writing a report imports neither torch nor SciPy; pandas for CSV, and for nothing else of one file."""
    path = factory.write(factory.make_content(), tmp_path / "run.json")
    code = (
        "import sys; from pathlib import Path; from pruning_core.report.command import write_report\n"
        f"path = Path({str(path)!r})\n"
        "for format in ('terminal', 'markdown', 'json', 'html'): write_report([path], format)\n"
        "assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)\n"
        "write_report([path], 'csv')\n"
        "assert not {'torch', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
