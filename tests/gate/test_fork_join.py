"""The gate where the cores of the machine handed work over otherwise than in the run before."""

from pathlib import Path

import pytest

from pruning_core.gate.compare import Policy
from pruning_core.gate.fork_join import alike, state_difference
from pruning_core.gate.repetitions import merge_repetitions
from tests.helpers import record_factory as factory
from tests.helpers.backend_runs import OPENVINO, planted
from tests.helpers.backend_runs import run as run_of_backends
from tests.helpers.gate_changes import LAT, Content, all_latencies, cell_of, judge, slower, small

HIDDEN = "as in the baseline: small networks gain or lose by that, and a regression may hide"


def with_handovers(content: Content, fork_join_us: float | None) -> Content:
    """Let all timed cells of a run say how long a hand-over took; None: they do not say."""
    if fork_join_us is not None:
        all_latencies(fork_join_us=fork_join_us)(content)
    return content


@pytest.mark.parametrize(
    ("before_us", "now_us", "verdict"),
    [
        (5.0, 7.0, "inconclusive"),
        (5.0, 6.2, "regressed"),  # alike
        (7.0, 5.0, "inconclusive"),  # its reference may have gained
        (5.0, None, "regressed"),  # a file of before
        (None, 7.0, "regressed"),
    ],
)
def test_other_handovers_cast_doubt_on_a_slow_down(
    tmp_path: Path, before_us: float | None, now_us: float | None, verdict: str
) -> None:
    """A cell that became slower while the cores handed work over otherwise has not certainly regressed."""
    new = with_handovers(small(), now_us)
    slower(1.3)(new)
    found = cell_of(judge(tmp_path, new, with_handovers(small(), before_us)), LAT)
    assert found.verdict == verdict
    word = "slowly (5.0 → 7.0" if before_us == 5.0 else "fast (7.0 → 5.0"
    said = f"the cores of this machine handed work over 1.4 times as {word} µs): another run would tell"
    assert (said in found.reason) == (verdict == "inconclusive")


@pytest.mark.parametrize(("before_us", "now_us"), [(5.0, 7.0), (7.0, 5.0), (5.0, 6.0)])
def test_cells_within_the_tolerance_pass_all_the_same(
    tmp_path: Path, before_us: float, now_us: float
) -> None:
    """Other hand-overs are no verdict by themselves, as large networks do not mind; but they are said."""
    result = judge(tmp_path, with_handovers(small(), now_us), with_handovers(small(), before_us))
    assert (result.verdict, result.exit_code) == ("pass", 0)
    assert sum(HIDDEN in note for note in result.notes) == (now_us != 6.0)


def test_a_backend_is_not_blamed_for_slow_handovers(tmp_path: Path) -> None:
    """What makes small networks of one backend slow may make all of its cells slow."""
    for now_us, verdict in ((5.0, "regressed"), (7.0, "inconclusive")):
        new = with_handovers(run_of_backends(100, spread=0.01), now_us)
        planted(1.2)(new)
        baseline = with_handovers(run_of_backends(0, spread=0.01), 5.0)
        found = cell_of(judge(tmp_path, new, baseline), OPENVINO)
        assert found.verdict == verdict
        assert ("1.4 times as slowly" in found.reason) == (verdict == "inconclusive")


def test_runs_taken_together_are_those_of_the_best_mood(tmp_path: Path) -> None:
    """Of several runs, those count in which the cores handed work over as fast as in the best."""
    contents = [with_handovers(small(seed=seed), us) for seed, us in enumerate((7.0, 5.0, 5.5))]
    for content in contents[:1]:
        slower(2.0)(content)
    runs = [factory.as_run(content, tmp_path, f"{i}.json") for i, content in enumerate(contents)]
    (record,) = [r for r in merge_repetitions(runs, Policy()).records if (r["suite"], r["cell"]) == LAT]
    assert record["rounds"] == 20
    expected = [factory.find(content, LAT)["log_ratios"] for content in contents[1:]]
    assert record["log_ratios"] == expected[0] + expected[1]


def test_records_that_do_not_say_are_neither_slow_nor_left_out() -> None:
    """Records of before, and of GPUs."""
    silent, slow, fast = {"cell": "a"}, {"fork_join_us": 7.0}, {"fork_join_us": 5.0}
    assert alike([silent, slow, fast]) == [silent, fast]
    assert alike([silent]) == [silent]
    assert (
        state_difference([silent], [slow])
        == state_difference([fast], [silent])
        == state_difference([], [])
        == ""
    )
    assert state_difference([silent, fast, fast], [slow, slow, fast]) != "", "medians of those that do say"
