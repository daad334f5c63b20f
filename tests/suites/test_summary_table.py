"""The table that a run ends with: one row a cell, what it found, never wider than 80 columns."""

import json

import pytest
from rich.cells import cell_len

from pruning_core.suites.summary_table import MAX_ROWS, WIDTH, summary_fields, summary_table

CELL = {
    "status": "ok",
    "model": "resnet18",
    "dataset": "digits",
    "backend": "eager",
    "precision": "fp32",
    "device": "cpu",
    "threads": 2,
}
DENSE = {"method": "dense", "ratio": 0.0}
PRUNED = {"method": "magnitude", "ratio": 0.5}


def latency(variant=PRUNED, batch_size=1, **fields):
    """Return the summary of a latency cell that is twice as fast as its reference."""
    found = {"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.125, "latency_ms": 4.4444}
    found |= {"accuracy": 0.98, "batch_size": batch_size, "is_control": False, "contaminated": False}
    return {**CELL, "suite": "latency", **variant, **found, **fields}


def accuracy(variant=PRUNED, **fields):
    """Return the summary of an accuracy cell that lost a point."""
    return {**CELL, "suite": "accuracy", **variant, "accuracy": 0.98, "accuracy_drop": 0.01, **fields}


def cost(variant=PRUNED, **fields):
    """Return the summary of a cost record, which names no backend."""
    shared = {name: CELL[name] for name in ("status", "model", "dataset")}
    return {**shared, "suite": "cost", **variant, "macs": 139e6, "params": 2.8e6, **fields}


def row_of(lines, start):
    """Return the one line that starts with a label, split at white space."""
    (line,) = [line for line in lines if line.startswith(start)]
    return line.split()


def test_a_latency_cell_is_one_row_with_its_drop():
    """Speed-up with interval, milliseconds, accuracy, and the drop that the accuracy suite found."""
    lines = summary_table([cost(), accuracy(), latency(), latency(batch_size=32)])
    assert lines[0] == "resnet18, digits, magnitude, eager:fp32, cpu, threads 2"
    assert row_of(lines, "0.5 b1 ") == ["0.5", "b1", "2.00", "[1.90–2.12]", "4.44", "98.00", "1.00"]
    assert len([line for line in lines if line.startswith("0.5 ")]) == 2


def test_cost_alone_shows_no_time():
    """A run of the suite `cost` shows MACs and parameters, and no column for times."""
    lines = summary_table([cost(DENSE, macs=556e6), cost()])
    assert row_of(lines, "cell") == ["cell", "MACs", "params"]
    assert row_of(lines, "0.5") == ["0.5", "139.00", "M", "2.800", "M"]


def test_macs_that_torch_pruning_counts_otherwise_stand_in_brackets():
    """Both counts are shown where they differ, and what the second one is; where they agree, one."""
    other = {"macs_products": 135e6, "macs_torch_pruning": 3e6}
    lines = summary_table([summary_fields(found) for found in (cost(DENSE, macs=556e6), cost(**other))])
    assert row_of(lines, "0.5") == ["0.5", "139.00", "M", "(3.00)", "2.800", "M"]
    assert row_of(lines, "dense") == ["dense", "556.00", "M", "2.800", "M"]
    assert "MACs in brackets: by torch-pruning's own counter" in " ".join(lines)
    assert not any("brackets" in line for line in summary_table([cost(macs_torch_pruning=139e6)]))


def test_accuracy_alone_shows_no_time():
    """Under xdist nothing is timed: accuracy and drop stand alone."""
    lines = summary_table([cost(), accuracy(DENSE, accuracy_drop=0.0), accuracy()])
    assert row_of(lines, "cell") == ["cell", "accuracy", "%", "drop"]
    assert row_of(lines, "0.5") == ["0.5", "98.00", "1.00"]


def test_flags_say_what_is_wrong():
    """Failed cells come first; failed, contaminated and A/A control are told apart by a letter."""
    control = latency(DENSE, is_control=True, contaminated=True)
    lines = summary_table(
        [control, latency(), accuracy(status="failed"), latency(batch_size=32, status="failed")]
    )
    assert lines[2].startswith("0.5 b32") or lines[2].startswith("0.5 accuracy")
    assert row_of(lines, "dense b1")[-1] == "CA"
    assert row_of(lines, "0.5 accuracy")[-1] == "F"
    assert "F failed; C contaminated times; A A/A control" in " ".join(lines)


def test_proofs_and_groups_kept_whole_are_flags():
    """Where statistics change or groups kept their width a letter says so, and one line more at most."""
    norm = {"proof": "statistics change: layer norm"}
    kept = {"proof": "exact", "groups_kept_whole": 3}
    plain = summary_table([cost(), accuracy(), latency(proof="exact"), latency(batch_size=32)])
    lines = summary_table(
        [summary_fields(cell) for cell in (cost(), accuracy(), latency(**kept | norm))]
        + [summary_fields(cell) for cell in (latency(batch_size=32, **kept), latency(batch_size=64))]
    )
    assert row_of(lines, "0.5 b1 ")[-1] == "SW"
    assert row_of(lines, "0.5 b32")[-1] == "W"
    assert row_of(lines, "0.5 b64")[-1] == "1.00"
    assert "S proved but for statistics over channels; W groups kept whole" in " ".join(lines)
    assert len(lines) <= len(plain) + 1 + 1  # a cell more, a line more
    assert max(map(cell_len, lines)) <= WIDTH
    assert not any("whole" in line or "proved" in line for line in plain)


def test_many_cells_are_cut():
    """Of many cells the first are shown, and how many more there are."""
    lines = summary_table([latency(batch_size=size) for size in range(1, MAX_ROWS + 6)])
    assert lines[-1] == "… and 5 more cells."
    assert len(lines) == 1 + 1 + MAX_ROWS + 1


@pytest.mark.parametrize("name", ["my_nets.very:" + "x" * 200, "網路" * 60, "a\x1b[31mb\n" * 40])
def test_no_line_is_wider_than_a_terminal(name):
    """However long names are and whatever they hold, each line fits, and the ends that differ are kept."""
    rows = [latency(batch_size=size, model=name, speedup_high=1234.5) for size in (1, 32)]
    lines = summary_table([*rows, latency(model="other", contaminated=True), accuracy(DENSE)])
    assert all(cell_len(line) <= WIDTH and line.isprintable() for line in lines)
    assert any("b1 " in line for line in lines)
    assert any("b32 " in line for line in lines)


def test_training_is_a_row_with_the_time_of_a_step():
    """The suite `training` shows the time of a step, and is told apart from latency."""
    step = latency(DENSE, batch_size=128, suite="training", step_ms=143.2)
    del step["latency_ms"], step["accuracy"]
    assert row_of(summary_table([latency(DENSE), step]), "dense b128 training")[-4:-2] == [
        "2.00",
        "[1.90–2.12]",
    ]


def test_nothing_is_no_table():
    """A run without a record of ours gets no table."""
    assert summary_table([]) == []


def test_what_travels_is_plain():
    """What goes to another process holds plain values only, whatever kind of number a record has."""

    class Numpyish(float):
        pass

    sent = summary_fields({**latency(speedup=Numpyish(2.0)), "log_ratios": [0.1] * 1000, "failure": ""})
    assert type(sent["speedup"]) is float
    assert type(sent["contaminated"]) is bool
    assert "log_ratios" not in sent
    assert json.loads(json.dumps(sent)) == sent


def scored(record, name, better, score, drop=None):
    """Return a summary with a score of another task in place of its accuracy."""
    found = {key: value for key, value in record.items() if not key.startswith("accuracy")}
    found |= {"score": score, "score_name": name, "score_better": better}
    return found if drop is None else {**found, "score_drop": drop}


def test_the_score_of_another_task_stands_under_its_name():
    """A table of one task says in its first line what is scored; values and drops are plain numbers."""
    error = ("mean absolute error", "lower")
    rows = [scored(latency(), *error, 3.25), scored(accuracy(), *error, 3.25, 0.125)]
    lines = summary_table([summary_fields(row) for row in rows])
    assert "mean absolute error ↓" in lines[0]
    assert lines[2].split() == ["cell", "speed-up", "[interval]", "ms", "score", "drop"]
    assert lines[3].split()[-2:] == ["3.250", "0.125"]
    assert lines[4] == "drop: by how much worse than dense."
    assert not any("%" in line or "accuracy" in line for line in lines)


def test_tasks_side_by_side_say_what_is_scored_in_each_row():
    """Where there are several tasks each row names its score, and an accuracy is said to be in percent."""
    unet = {"model": "unet", "dataset": "shapes"}
    rows = [latency(), accuracy()]
    rows += [scored({**row, **unet}, "mean IoU", "higher", 0.71234, 0.0312) for row in rows]
    lines = summary_table([summary_fields(row) for row in rows])
    assert lines[2].split()[:2] + lines[2].split()[-2:] == ["resnet18", "digits", "98.00%", "1.00"]
    assert "accuracy" in lines[2]
    assert "mean IoU ↑" in lines[3]
    assert lines[3].split()[-2:] == ["0.7123", "0.0312"]
    assert max(map(cell_len, lines)) <= WIDTH
