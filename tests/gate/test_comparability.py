"""Whether times may be compared and trusted: machines, A/A controls, the fork–join state."""

from pathlib import Path
from typing import Any

import pytest

from pruning_core.gate.comparability import SOFTWARE, in_best_state, state_difference
from pruning_core.gate.policy import Policy
from pruning_core.gate.repetitions import merge_repetitions
from pruning_core.system.machine import VERSIONS
from tests.helpers import record_factory as factory
from tests.helpers.backend_runs import OPENVINO, slowed
from tests.helpers.backend_runs import run as run_of_backends
from tests.helpers.gate_changes import (
    CONTROL,
    LAT,
    Content,
    all_latencies,
    cell_of,
    judge,
    no_machine,
    slower,
    small_run,
)

HIDDEN = "since the baseline: small networks gain or lose by that, and a regression may be hidden"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"cpu_model": "other"},
            "Xeon of box-a, this run other. Measure the baseline again on this machine",
        ),
        (
            {"threads": 2},
            "torch_threads differs: baseline 8, this run 2. Measure the baseline again, or set --threads 8",
        ),
        (
            {"threads": 2, "cores": 4},
            "torch_threads differs: baseline 8, this run 2. Measure the baseline again on this",
        ),
        ({"cores": None}, "cores differs: baseline 8, this run none"),
        ({"caches": {"l2": "1 MB"}}, "caches.l2 differs: baseline none, this run 1 MB"),
        (
            {"name": "x", "os": "y", "memory_bytes": 1},
            "the fingerprint of the machine differs. Measure the baseline",
        ),
        (
            {"cpu_model": "a", "cores": 1, "torch": "1", "threads": 1, "gpu": "b"},
            "; and 2 more. Measure the baseline",
        ),
    ],
)
def test_the_difference_of_machines_is_said_in_words(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """What differs between two machines is named, three facts at most, with what to do about it."""
    new = small_run()
    new["machine_info"]["pruning_bench"].update(fingerprint="other", **change)
    assert words in cell_of(judge(tmp_path, new, small_run()), LAT).reason


def test_another_release_of_a_runtime_is_compared_and_named(tmp_path: Path) -> None:
    """Times are compared where only versions differ: a gate is asked about them. Hardware still bars."""
    for fact in SOFTWARE:
        new = small_run()
        new["machine_info"]["pruning_bench"].update({"fingerprint": "other", fact: "9.9"})
        slower(1.5)(new)
        result = judge(tmp_path, new, small_run())
        assert cell_of(result, LAT).verdict == "regressed"
        assert any(note.startswith(f"{fact} differs: baseline ") for note in result.notes)
        new["machine_info"]["pruning_bench"].update(cores=2)
        assert cell_of(judge(tmp_path, new, small_run()), LAT).verdict == "cannot-compare"


def test_versions_are_those_that_a_machine_is_described_by() -> None:
    """What counts as software is what the description of a machine reads from packages, and Python."""
    assert {"python", *VERSIONS} == SOFTWARE


def test_a_machine_without_a_name_is_said_in_either_run(tmp_path: Path) -> None:
    """It is said which of the two runs does not say where it ran."""
    bare = small_run()
    no_machine(bare)
    for pair, which in (((bare, small_run()), "this run"), ((small_run(), bare), "the baseline")):
        assert f"{which} does not say on which machine" in cell_of(judge(tmp_path, *pair), LAT).reason


@pytest.mark.parametrize("where", ["this run", "the baseline"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"contaminated": True}, "marked as contaminated (A/A control "),
        ({"contaminated": True, "contention": "a build"}, "contaminated (a build)"),
        ({"bounds": (0.7, 1.0)}, "contaminated (A/A control 0.700 to "),
        ({"bounds": (1.0, 1.3)}, " to 1.300, not known within 1 ± 0.25)"),
        ({"bounds": (1.06, 1.08)}, "A/A control 1.060 to 1.080, beyond 1 ± 0.05)"),
        ({"bounds": (0.9, 0.95)}, "A/A control 0.900 to 0.950, beyond 1 ± 0.05)"),
    ],
)
def test_an_untrusted_control_makes_its_device_untrusted(
    tmp_path: Path, where: str, fields: dict[str, Any], words: str
) -> None:
    """A control that left its tolerance decides over every time of its device, and says why."""
    untrusted = small_run()
    record = factory.find(untrusted, CONTROL)
    if "bounds" in fields:
        factory.set_bounds(record, *fields["bounds"])
    else:
        record.update(fields)
    pair = (untrusted, small_run()) if where == "this run" else (small_run(), untrusted)
    cell = cell_of(judge(tmp_path, *pair), LAT)
    assert cell.verdict == ("inconclusive" if where == "this run" else "cannot-compare")
    assert words in cell.reason


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.2), (1.04, 1.1), (0.85, 0.96)])
def test_noise_in_a_control_leaves_times_trusted(tmp_path: Path, low: float, high: float) -> None:
    """A control that may well be equal leaves times to be judged: the noise is in their intervals as well."""
    new = small_run()
    factory.set_bounds(factory.find(new, CONTROL), low, high)
    assert cell_of(judge(tmp_path, small_run(), new), LAT).verdict == "pass"


def test_the_worst_of_several_controls_is_named(tmp_path: Path) -> None:
    """Of two controls that left their tolerance, the one that is further off gives the reason."""
    for worse in (0, 1):
        new = small_run(batch_sizes=(1, 32))
        for number, batch in enumerate((1, 32)):
            control = factory.find(new, ("latency", f"resnet18-digits-dense-eager-fp32-cpu-b{batch}"))
            factory.set_bounds(control, 1.0, 1.5 if number == worse else 1.3)
        cell = cell_of(judge(tmp_path, new, small_run(batch_sizes=(1, 32))), LAT)
        assert "to 1.500" in cell.reason


def test_a_control_speaks_for_its_own_device(tmp_path: Path) -> None:
    """An untrusted control of one device leaves the times of another to be judged; a time is no control."""
    new, baseline = small_run(), small_run()
    for content in (new, baseline):
        content["benchmarks"] += small_run(device="cuda:0")["benchmarks"]
    factory.find(new, ("latency", "resnet18-digits-dense-eager-fp32-cuda0-b32"))["contaminated"] = True
    result = judge(tmp_path, new, baseline)
    assert cell_of(result, LAT).verdict == "pass"
    assert cell_of(result, ("latency", LAT[1].replace("cpu", "cuda0"))).verdict == "inconclusive"


def with_fork_join(content: Content, fork_join_us: float | None) -> Content:
    """Let all timed cells of a run say their fork–join latency; None: they do not say."""
    if fork_join_us is not None:
        all_latencies(fork_join_us=fork_join_us)(content)
    return content


@pytest.mark.parametrize(
    ("before_us", "now_us", "verdict"),
    [
        (5.0, 7.0, "inconclusive"),
        (5.0, 6.2, "regressed"),  # the same state
        (7.0, 5.0, "inconclusive"),  # its reference may have gained
        (5.0, None, "regressed"),  # a file of before
        (None, 7.0, "regressed"),
    ],
)
def test_another_fork_join_state_is_counter_evidence(
    tmp_path: Path, before_us: float | None, now_us: float | None, verdict: str
) -> None:
    """A cell that became slower while the fork–join latency changed has not certainly regressed."""
    new = with_fork_join(small_run(), now_us)
    slower(1.3)(new)
    found = cell_of(judge(tmp_path, new, with_fork_join(small_run(), before_us)), LAT)
    assert found.verdict == verdict
    word, values = ("rose", "5.0 → 7.0") if before_us == 5.0 else ("fell", "7.0 → 5.0")
    said = f"the fork–join latency {word} by a factor of 1.4 ({values} µs): another run would tell"
    assert (said in found.reason) == (verdict == "inconclusive")


@pytest.mark.parametrize(("before_us", "now_us"), [(5.0, 7.0), (7.0, 5.0), (5.0, 6.0)])
def test_cells_within_the_tolerance_pass_all_the_same(
    tmp_path: Path, before_us: float, now_us: float
) -> None:
    """Another fork–join state is no verdict by itself, as large networks do not mind; but it is said."""
    result = judge(tmp_path, with_fork_join(small_run(), now_us), with_fork_join(small_run(), before_us))
    assert (result.verdict, result.exit_code) == ("pass", 0)
    assert sum(HIDDEN in note for note in result.notes) == (now_us != 6.0)


def test_a_backend_is_not_blamed_for_a_slow_fork_join_state(tmp_path: Path) -> None:
    """What makes small networks of one backend slow may make all of its cells slow."""
    for now_us, verdict in ((5.0, "regressed"), (7.0, "inconclusive")):
        new = with_fork_join(run_of_backends(100, spread=0.01), now_us)
        slowed(1.2)(new)
        baseline = with_fork_join(run_of_backends(0, spread=0.01), 5.0)
        found = cell_of(judge(tmp_path, new, baseline), OPENVINO)
        assert found.verdict == verdict
        assert ("rose by a factor of 1.4" in found.reason) == (verdict == "inconclusive")


def test_merged_runs_are_those_of_the_best_state(tmp_path: Path) -> None:
    """Of several runs, those count whose fork–join latency is about the lowest of them."""
    contents = [with_fork_join(small_run(seed=seed), us) for seed, us in enumerate((7.0, 5.0, 5.5))]
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
    assert in_best_state([silent, slow, fast], 1.25) == [silent, fast]
    assert in_best_state([silent, slow, fast], 1.5) == [silent, slow, fast]
    assert in_best_state([silent], 1.25) == [silent]
    for pair in (([silent], [slow]), ([fast], [silent]), ([], [])):
        assert state_difference(*pair, 1.25) is None
    medians = [silent, fast, fast], [slow, slow, fast]
    assert state_difference(*medians, 1.25) is not None, "medians of those that do say"
    assert state_difference(*medians, 1.5) is None, "the policy says how far apart"


def test_how_far_apart_two_states_are_is_the_policys(tmp_path: Path) -> None:
    """With a wider `fork_join_same_within` the same latencies are one state, in cells, backends and notes."""
    new, baseline = with_fork_join(run_of_backends(100, spread=0.01), 7.0), run_of_backends(0, spread=0.01)
    slowed(1.2)(new)
    with_fork_join(baseline, 5.0)
    for same_within, verdict in ((1.25, "inconclusive"), (1.5, "regressed")):
        result = judge(tmp_path, new, baseline, Policy(fork_join_same_within=same_within))
        assert cell_of(result, OPENVINO).verdict == verdict
        assert any(HIDDEN in note for note in result.notes) == (same_within == 1.25)
    new, baseline = with_fork_join(small_run(), 7.0), with_fork_join(small_run(), 5.0)
    slower(1.3)(new)
    assert (
        cell_of(judge(tmp_path, new, baseline, Policy(fork_join_same_within=1.5)), LAT).verdict == "regressed"
    )
