"""A run of several numbers of threads: no table holds one of them for all."""

from pathlib import Path

import pytest

from tests.helpers import record_factory as factory
from tests.helpers.reports import report_on


def test_each_number_of_threads_has_tables_of_its_own(tmp_path: Path) -> None:
    """Cells that differ by their threads alone stand apart, each with its times; the score is of both."""
    shape = {"ratios": (0.5,), "backends": ("eager:fp32",), "batch_sizes": (1,)}
    content, other = (factory.make_content(**shape, seed=seed) for seed in (0, 1))
    expected = {}
    for threads, each in ((8, content), (1, other)):
        for entry in each["benchmarks"]:
            record = entry["extra_info"]
            if record["suite"] == "latency":
                record["threads"] = threads
                record["cell"] = entry["name"] = entry["fullname"] = f"{record['cell']}-t{threads}"
                if "reference" in record:
                    record["reference"] += f"-t{threads}"
                if record["method"] == "magnitude":
                    expected[threads] = record["speedup"]
    content["benchmarks"] += [e for e in other["benchmarks"] if e["extra_info"]["suite"] == "latency"]
    tables = [t for t in report_on(content, tmp_path).tables if t.title.startswith("resnet18 on digits")]
    found = {
        threads: next(t.rows[-1] for t in tables if f"cpu, {words}:" in t.title)
        for threads, words in ((8, "8 threads"), (1, "1 thread"))
    }
    assert expected[8] != expected[1]
    for threads, row in found.items():
        assert row["speedup_b1"].value == pytest.approx(expected[threads])
    assert found[1]["accuracy"] == found[8]["accuracy"]
