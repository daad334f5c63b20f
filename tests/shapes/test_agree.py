"""The script that compares times of plans with those of trained checkpoints, on made-up numbers."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from tests.helpers.record_factory import make_content

SCRIPT = Path(__file__).parents[2] / "results" / "plan-times" / "agree.py"


@pytest.fixture
def agree():
    """Import the script."""
    spec = importlib.util.spec_from_file_location("agree", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(tmp_path):
    """Write a run, and a plan whose speed-ups are those of the run, times a factor of each cell's number."""

    def write(factor=lambda number: 1.0, mac_factor=1.0):
        content = make_content()
        (tmp_path / "run.json").write_text(json.dumps(content))
        rows = {}
        records = [benchmark["extra_info"] for benchmark in content["benchmarks"]]
        cells = [r for r in records if r["suite"] == "latency" and r["ratio"]]
        for number, r in enumerate(cells):
            row = {"ratio": r["ratio"], "machine_fingerprint": content["machine_info"]["pruning_bench"]}
            row["machine_fingerprint"] = row["machine_fingerprint"]["fingerprint"]
            by = factor(number)
            time = {name: r[name] for name in ("backend", "precision", "batch_size")}
            time |= {"speedup": r["speedup"] * by, "low": r["speedup_low"] * by}
            time |= {"high": r["speedup_high"] * by, "contention": ""}
            time["mac_reduction"] = r["mac_reduction"] * mac_factor
            rows.setdefault(r["ratio"], {**row, "times": []})["times"].append(time)
        (tmp_path / "plan.json").write_text(json.dumps(list(rows.values())))
        return ["--run", str(tmp_path / "run.json"), "--plan", str(tmp_path / "plan.json")], len(cells)

    return write


def test_equal_times_agree(agree, files, capsys):
    """Every cell is in the table, and all of them agree."""
    arguments, cells = files()
    assert agree.main(arguments) == 0
    out = capsys.readouterr().out
    assert f"intervals overlap in {cells} of {cells} cells (100.0%" in out
    assert out.count("| yes |") == cells
    assert "warning" not in out


def test_a_tenth_that_differs_is_too_much(agree, files, capsys):
    """Cells whose intervals lie apart are counted, and the exit code tells."""
    arguments, cells = files(lambda number: 1.5 if number % 10 == 0 else 1.0)
    assert agree.main(arguments) == 1
    assert capsys.readouterr().out.count("| **no** |") == math.ceil(cells / 10)


def test_other_shapes_are_no_comparison(agree, files, capsys):
    """Where the plan saved other MACs, its times are not compared."""
    arguments, _ = files(mac_factor=1.01)
    assert agree.main(arguments) == 1
    assert capsys.readouterr().out.startswith("other shapes at 0.25: ")


def test_the_stricter_count(agree):
    """Intervals that only touch are farther apart than noise explains."""
    first, second = agree.Speed(2.0, 1.9, 2.1, False), agree.Speed(2.19, 2.09, 2.3, False)
    assert agree.overlap(first, second)
    assert not agree.within_noise(first, second)
    assert not agree.overlap(first, agree.Speed(2.3, 2.2, 2.4, False))


def test_the_plan_asks_what_the_run_has_measured(agree, files):
    """Network, method, ratios, backends and batch sizes are read from the records."""
    arguments, _ = files()
    command = agree.plan_command(agree.read_run(Path(arguments[1])))
    options = dict(zip(command[5::2], command[6::2], strict=False))
    assert options["--ratios"] == "0.25,0.5,0.75"
    assert options["--batch-sizes"] == "1,32"
    assert options["--model"] == "resnet18"
    assert options["--round-to"] == "2"
