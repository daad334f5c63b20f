"""Many cells: what is kept of a file grows with its cells, not with its samples, and is never held twice."""

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pruning_core.errors import RecordError
from pruning_core.gate.command import run_gate
from pruning_core.gate.compare import compare
from pruning_core.gate.policy import Policy
from pruning_core.gate.render import to_json
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.command import write_report
from pruning_core.report.writers import FORMATS, render, report_chunks
from tests.helpers import record_factory as factory

MEGABYTE = 1e6


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that Python had allocated during `work`, beyond what it had before."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return peak - before


def add_samples(path: Path, count: int) -> Path:
    """Give every entry of a file that many more raw samples."""
    content = json.loads(path.read_text())
    for entry in content["benchmarks"]:
        entry["stats"]["data"] += [0.0123456789012345 + i * 1e-9 for i in range(count)]
    other = path.with_name(f"{count}-{path.name}")
    other.write_text(json.dumps(content))
    return other


def numbers_in(value: object) -> Iterator[float]:
    """Walk over every number that a record holds, at any depth."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, float):
        yield value


def test_a_run_holds_no_raw_samples(tmp_path: Path) -> None:
    """None of the samples of an entry is in the records that are read from it."""
    path = factory.write_large(tmp_path / "run.json", 60)
    content = json.loads(path.read_text())
    mark = 0.001234567891234
    for entry in content["benchmarks"]:
        entry["stats"]["data"] = [mark] * 40
    path.write_text(json.dumps(content))
    run = read_run(path)
    assert len(run.records) == 60
    assert mark not in set(numbers_in(list(run.records)))


def test_samples_never_become_objects(tmp_path: Path) -> None:
    """A file with fifty times the samples takes, beyond its own bytes, no more memory to read."""
    few = factory.write_large(tmp_path / "run.json", 150)
    many = add_samples(few, 2000)
    assert many.stat().st_size > 10 * few.stat().st_size
    beyond = [peak_bytes(lambda path=path: read_run(path)) - path.stat().st_size for path in (few, many)]
    assert beyond[1] < beyond[0] + MEGABYTE


def test_memory_is_bounded_by_the_cell(tmp_path: Path) -> None:
    """Records of one network more take what they hold: 6 kB a cell at most, texts that repeat held once."""
    paths = [factory.write_large(tmp_path / f"{cells}.json", cells) for cells in (520, 1040)]
    # One file at a time is in memory, beside the records of all.
    small, large = (peak_bytes(lambda path=path: read_run(path)) - path.stat().st_size for path in paths)
    assert (large - small) / 520 < 6000
    records = read_run(paths[0]).records
    assert len({id(record["model"]) for record in records}) == len({record["model"] for record in records})
    assert len({id(name) for record in records for name in record}) == len(
        {name for record in records for name in record}
    )


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "html"])
def test_a_report_is_written_a_piece_at_a_time(tmp_path: Path, form: str) -> None:
    """Writing a report to a file never holds it as one text, and writes what `render` returns."""
    paths = [factory.write_large(tmp_path / f"{i}.json", 520, seed=1000 * i) for i in range(3)]
    report = build_report([read_run(path) for path in paths])
    pieces = list(map(len, report_chunks(report, form)))
    assert max(pieces) < sum(pieces) / 8
    write_report(paths, form, tmp_path / "out")
    assert (tmp_path / "out").read_text() == render(report, form)


def test_a_page_of_many_cells_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has less than 500 bytes for a further cell, and leaves out tables that no browser could show."""
    monkeypatch.setattr("pruning_core.report.page.MAX_TABLES", 1000)
    paths = [factory.write_large(tmp_path / f"{i}.json", 520, seed=1000 * i) for i in range(3)]
    reports = [build_report([read_run(path) for path in some]) for some in (paths[:2], paths)]
    shorter, page = (render(report, "html") for report in reports)
    assert (len(page) - len(shorter)) / 520 < 500
    report = reports[1]
    left_out = len(report.tables) - page.count("<details open>")
    assert left_out > 0
    assert f"{left_out} of {len(report.tables)} tables are too much for a page" in page


def test_gate_of_many_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs of a thousand cells are judged cell by cell; what people see stays short, JSON has all."""
    paths = [factory.write_large(tmp_path / f"{i}.json", 1040, seed=i) for i in range(2)]
    result = compare(*map(read_run, paths), Policy())
    assert len(result.cells) == 1040 + 3  # and the backends as wholes
    assert result.exit_code in (0, 3)
    assert len(json.loads(to_json(result))["cells"]) == 1040 + 3
    run_gate(*paths)
    assert len(capsys.readouterr().out.splitlines()) < 1000


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path, on: bool) -> None:
    """It is still while files are read and compared, and then as the caller had it, errors or not."""
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        path = factory.write_large(tmp_path / "run.json", 60)
        other = factory.write_large(tmp_path / "other.json", 60, seed=1)
        run_gate(path, other)
        write_report([path], "csv", tmp_path / "out.csv")
        assert gc.isenabled() is on
        path.write_text("{")
        with pytest.raises(RecordError):
            run_gate(path, other)
        assert gc.isenabled() is on
    finally:
        (gc.enable if was_on else gc.disable)()
