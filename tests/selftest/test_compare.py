"""The self-test of `compare`: pairs whose truth is known, counted by verdict."""

import json

import pytest

from pruning_core.errors import OptionError
from pruning_core.pruning.cost import count_cost
from pruning_core.selftest.compare_command import (
    LAYERS,
    MORE_LAYERS,
    SIZES,
    CompareTrial,
    build,
    render_compare_trials,
    run_compare_selftest,
)


def trial(size: str, macs: int, verdict: str, problem: str = "") -> CompareTrial:
    """Return a comparison with a verdict."""
    return CompareTrial(size, macs, verdict, 1.0, 0.9, 1.1, 1.0, 0.9, 1.1, 15, problem, 3.0)


@pytest.mark.parametrize("size", SIZES)
def test_a_tenth_more_work_is_a_tenth_more_macs(size):
    """The slowed candidate has 10 % more multiply-adds, of the same layers; the other one equal weights."""
    (reference, images), (candidate, _) = build(size, LAYERS), build(size, MORE_LAYERS)
    costs = [count_cost(network, images).macs_products for network in (reference, candidate)]
    assert costs[1] == pytest.approx(1.1 * costs[0], rel=1e-12)
    equal, _ = build(size, LAYERS)
    assert all(a.equal(b) for a, b in zip(reference.parameters(), equal.parameters(), strict=True))


def test_false_and_found_verdicts_are_counted():
    """Any verdict on equal networks is false, `slower` on the others is found, `faster` is false."""
    trials = [
        *(trial("tiny", 1000, verdict) for verdict in ("faster", "slower", "no difference shown", "slower")),
        *(trial("larger", 1100, verdict, "it was hot") for verdict in ("slower", "faster")),
    ]
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in render_compare_trials(trials).splitlines()
    ]
    assert [[*line[:3], line[3].split(" (")[0], line[4]] for line in lines[2:]] == [
        ["equal", "tiny", "4", "3 false", "0"],
        ["equal", "both", "4", "3 false", "0"],
        ["10 % more MACs", "larger", "2", "1 found", "2"],
        ["10 % more MACs", "both", "2", "1 found", "2"],
    ]
    assert lines[4][3].endswith(", 1 false")


def test_from_trials_to_a_table_and_a_file(tmp_path):
    """All comparisons are run, sizes and kinds interleaved, and stand in the file with the machine."""
    file = tmp_path / "compare.json"
    table = run_compare_selftest(2, 2, 1, 0.1, file)
    assert len(table.splitlines()) == 8
    content = json.loads(file.read_text())
    found = [(item["size"], item["macs"]) for item in content["trials"]]
    assert found == [("tiny", 1000), ("tiny", 1100), ("larger", 1000), ("larger", 1100)]
    assert content["machine"]["name"]


def test_a_file_that_cannot_be_written_is_told_first(tmp_path):
    """Nothing is compared for a file that cannot be written."""
    with pytest.raises(OptionError):
        run_compare_selftest(2, 2, 1, 0.1, tmp_path / "gone" / "compare.json")
