"""The export command of a recommended cell is one that `export` takes."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401  # before torchvision's schemas

from pruning_core.backends import BACKENDS
from pruning_core.cli.export import export
from pruning_core.export import EXPORTS
from pruning_core.export.subject import find_subject
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.recommendation.exported import (
    ENDINGS,
    FORMATS,
    PRECISIONS,
    expected_bytes,
    export_command,
)
from pruning_core.store import Store
from tests.helpers import record_factory as factory
from tests.helpers.factories import dense_spec, made
from tests.helpers.made_up_choices import Choice, content_of
from tests.helpers.made_up_scores import ERROR

CELLS = [(name, precision) for name, backend in BACKENDS.items() for precision in backend.precisions]


def test_its_tables_are_those_of_export() -> None:
    """Each backend has a format, with the precisions and the ending that `export` gives it."""
    assert FORMATS.keys() == BACKENDS.keys()
    assert set(FORMATS.values()) == PRECISIONS.keys() == ENDINGS.keys()
    for name, precisions in PRECISIONS.items():
        assert precisions == EXPORTS[name].precisions
        assert ENDINGS[name] == EXPORTS[name].ending


@pytest.mark.parametrize(("backend", "precision"), CELLS)
def test_export_takes_the_command(tmp_path: Path, backend: str, precision: str) -> None:
    """It names a checkpoint that is found, options that there are, and a precision that the format has."""
    store = Store(tmp_path / "store")
    key = store.get_or_make(dense_spec(), lambda _: made()).key
    content = content_of(Choice(0.5, "openvino:fp32", 5.0))
    for entry in content["benchmarks"]:
        record = entry["extra_info"]
        record["key"] = key
        if record["suite"] != "cost" and record["ratio"] == 0.5:
            record.update(backend=backend, precision=precision)
    path = factory.write(content, tmp_path / "a run's.json")
    index = build_report([read_run(path)]).indexes[0]
    record = next(r for r in index.run.records if r["suite"] == "latency" and r["ratio"] == 0.5)
    command, note = export_command(index, record)
    program, name, *arguments = shlex.split(command)
    assert (program, name) == ("pruning-bench", "export")
    given: dict[str, Any] = export.make_context("export", list(arguments)).params
    subject = find_subject(given["what"], given["cell"], given["ratio"], tmp_path / "store")
    assert subject.checkpoint.key == key
    assert subject.precision in (None, given["precision"])
    assert given["precision"] in EXPORTS[given["to"]].precisions
    assert given["output"].suffix == EXPORTS[given["to"]].ending
    assert bool(note) == (given["precision"] != precision)
    bits = {"fp32": 32, "int8": 8}.get(given["precision"], 16)
    assert expected_bytes(record, 3200) == 100 * bits


def test_where_nothing_can_be_exported_it_says_so(tmp_path: Path) -> None:
    """Of another task, another backend, or without a key, there is a note in place of a command."""
    half = Choice(0.5, "openvino:fp32", 5.0)
    index = build_report([factory.as_run(content_of(half, task=ERROR), tmp_path)]).indexes[0]
    record = index.run.records[-1]
    assert export_command(index, record)[0] == ""
    assert f"pruning_core.api.load('{record['key']}')" in export_command(index, record)[1]
    index = build_report([factory.as_run(content_of(half), tmp_path)]).indexes[0]
    record = index.run.records[-1]
    assert "has no format of `export`" in export_command(index, {**record, "backend": "mine"})[1]
    without = {name: value for name, value in record.items() if name != "key"}
    assert export_command(index, without) == (
        "",
        "its record names no checkpoint, so that nothing can be exported",
    )
