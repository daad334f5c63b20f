"""The table that a run prints under those of pytest-benchmark."""

import pytest

RECORDS = """
import pytest

CELL = {
    "schema_version": 3, "status": "ok", "failure": "", "model": "net", "dataset": "digits",
    "method": "dense", "ratio": 0.0, "backend": "eager", "precision": "fp32", "device": "cpu", "threads": 1,
}


def test_cost(benchmark):
    benchmark.extra_info.update(
        {k: v for k, v in CELL.items() if k not in ("backend", "precision")}, suite="cost", macs=10**9
    )
    benchmark.pedantic(int, rounds=3)


def test_accuracy(benchmark):
    benchmark.pedantic(int, rounds=1)
    benchmark.extra_info.update(CELL, suite="accuracy", accuracy=0.98, accuracy_drop=0.0)


def test_latency(benchmark):
    benchmark.pedantic(int, rounds=3)
    speedup = {"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.1, "latency_ms": 4.4, "accuracy": 0.98}
    benchmark.extra_info.update(CELL, suite="latency", batch_size=8, contaminated=False, **speedup)
    assert benchmark.extra_info["speedup"] > 3
"""


@pytest.fixture
def summary(pytester, project):
    """Return a function that runs tests that hand over records, and gives what it printed last."""
    pytester.makepyfile(test_records=RECORDS)

    def run(*arguments):
        result = project("test_records.py", "-W", "default", *arguments)
        shown = result.stdout.str()
        return result, shown, shown[shown.index("= pruning-bench =") :]

    return run


def test_our_table_comes_last(summary):
    """One row a cell under pytest-benchmark's tables: what was found, and the failed cell marked."""
    result, shown, last = summary("--benchmark-json=out.json")
    result.assert_outcomes(passed=2, failed=1)
    row = next(line for line in last.splitlines() if line.startswith("dense"))
    assert row.split() == ["dense", "2.00", "[1.90–2.10]", "4.40", "98.00", "0.00", "F"]
    assert "All cells and figures: pruning-bench report out.json" in last
    assert shown.index("Legend:") < shown.index("= pruning-bench =")


def test_what_is_no_time_is_not_shown_as_one(summary):
    """pytest-benchmark's own tables hold no entry of the suites cost and accuracy, and few columns."""
    _, shown, last = summary()
    theirs = shown[: shown.index("= pruning-bench =")]
    assert "benchmark 'latency': 1 tests" in theirs
    assert "'cost'" not in theirs
    assert "'accuracy'" not in theirs
    assert "inf" not in theirs.split("Name (time")[1].split("Legend")[0]
    assert "StdDev" not in theirs
    assert "Give --benchmark-json FILE" in last


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--benchmark-columns=min,max", ["Min", "Max"]),
        ("--benchmark-group-by=name", ["benchmark 'test_latency'"]),
        (
            "--benchmark-autosave --benchmark-compare-fail=min:1000000% --benchmark-compare",
            ["'cost'", "'accuracy'"],
        ),
    ],
)
def test_what_a_user_asks_of_pytest_benchmark_holds(summary, option, expected):
    """Columns and groups that a user named are kept, and a comparison is over all entries."""
    summary("--benchmark-autosave")
    _, shown, _ = summary(*option.split())
    assert all(text in shown for text in expected)


def test_the_table_comes_under_xdist_too(summary):
    """What workers of xdist found is in the table of the main process, and nothing is said of times."""
    result, _, last = summary("-n1", "-k", "not latency")
    result.assert_outcomes(passed=2)
    row = next(line for line in last.splitlines() if line.startswith("dense"))
    assert row.split() == ["dense", "98.00", "0.00"]
    assert "pruning-bench report" not in last


def test_other_tests_get_no_table(pytester, project):
    """A run without a suite of ours prints nothing of ours, and keeps pytest-benchmark's columns."""
    pytester.makepyfile(test_mine="def test_mine(benchmark):\n    benchmark(int)\n")
    result = project("test_mine.py")
    shown = result.stdout.str()
    assert "pruning-bench" not in shown
    assert "StdDev" in shown
