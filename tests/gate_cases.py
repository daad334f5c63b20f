"""The table of the gate's rules: a change, and what the gate must say of it.

Not for: running them (`test_gate.py`).
"""

from dataclasses import dataclass

import record_factory as factory
from gate_changes import (
    ACC,
    CONTROL,
    COST,
    DENSE_LAT,
    LAT,
    Change,
    all_latencies,
    all_of_suite,
    in_turn,
    lacking,
    no_machine,
    noisy,
    nothing,
    other_machine,
    other_threads,
    remade,
    right,
    setting,
    slower,
    without,
)

from pruning_core.gate import Policy, Tolerances

DEFAULT = Policy()
TWO_POINTS = Policy(Tolerances(accuracy_drop=0.02))
NINE_IMAGES = Policy(Tolerances(accuracy_drop=0.025))
SKIP_TIMES = Policy(times_on_other_machine="skip")
INT8_LOOSE = Policy(overrides=(("latency/*-onnxruntime-*", {"slowdown": 0.5}),))


@dataclass(frozen=True)
class Case:
    """A change to one run or both, and what the gate must say of a cell and of the run."""

    name: str
    cell: tuple[str, str]
    verdict: str
    exit_code: int
    words: str = ""
    new: Change = nothing
    baseline: Change = nothing
    policy: Policy = DEFAULT


CASES = [
    Case("same", LAT, "pass", 0, ""),
    Case(
        "one more multiply-add",
        COST,
        "regressed",
        1,
        "139,400,000 → 139,400,001",
        new=setting(COST, macs=139400001),
    ),
    Case("one more parameter", COST, "regressed", 1, "parameters", new=setting(COST, params=2797611)),
    Case("one more byte", COST, "regressed", 1, "bytes", new=setting(COST, size_bytes=11210441)),
    Case("fewer multiply-adds", COST, "pass", 0, "improved", new=setting(COST, macs=1000)),
    Case(
        "no multiply-adds in the record",
        COST,
        "cannot-compare",
        2,
        "this run has no macs",
        new=lacking(COST, "macs"),
    ),
    Case("accuracy three points lower", ACC, "regressed", 1, "drop 3.06 points", new=right(337)),
    Case("accuracy one image lower", ACC, "pass", 0, "drop 0.28 points", new=right(347)),
    Case("accuracy just inside", ACC, "pass", 0, "drop 1.94 points", new=right(341), policy=TWO_POINTS),
    Case("accuracy just outside", ACC, "regressed", 1, "drop 2.22 points", new=right(340), policy=TWO_POINTS),
    Case("accuracy at the tolerance", ACC, "pass", 0, "drop 2.50 points", new=right(339), policy=NINE_IMAGES),
    Case(
        "accuracy of a new checkpoint three points lower",
        ACC,
        "regressed",
        1,
        "drop 3.06 points [",
        new=in_turn(right(337), remade),
    ),
    Case(
        "accuracy of a new checkpoint one image lower",
        ACC,
        "inconclusive",
        3,
        "more test images",
        new=in_turn(right(347), remade),
    ),
    Case(
        "accuracy of a new checkpoint just inside",
        ACC,
        "pass",
        0,
        "drop 0.28 points [",
        new=in_turn(right(347), remade),
        policy=TWO_POINTS,
    ),
    Case(
        "accuracy of a new checkpoint just outside",
        ACC,
        "inconclusive",
        3,
        "drop 2.22 points [",
        new=in_turn(right(340), remade),
        policy=TWO_POINTS,
    ),
    Case("accuracy higher", ACC, "pass", 0, "gain 1.94 points", new=right(355)),
    Case(
        "accuracy below a floor",
        ACC,
        "regressed",
        1,
        "floor 99.50%",
        policy=Policy(Tolerances(accuracy_floor=0.995)),
    ),
    Case("accuracy above a floor", ACC, "pass", 0, "", policy=Policy(Tolerances(accuracy_floor=0.5))),
    Case(
        "accuracy around a floor",
        ACC,
        "inconclusive",
        3,
        "floor 96.50%",
        policy=Policy(Tolerances(accuracy_floor=0.965)),
    ),
    Case(
        "answers that are not those of the accuracy",
        ACC,
        "cannot-compare",
        2,
        "damaged",
        new=setting(ACC, right_answers="f" * 90),
    ),
    Case(
        "other number of test images",
        ACC,
        "cannot-compare",
        2,
        "accuracy_n differs: baseline 360, this run 400",
        new=setting(ACC, accuracy_n=400),
    ),
    Case("ten percent slower", LAT, "regressed", 1, "slower", new=slower(1.1)),
    Case(
        "a dense backend cell ten percent slower",
        DENSE_LAT,
        "regressed",
        1,
        "slower",
        new=slower(1.1, DENSE_LAT),
    ),
    Case("just outside, within noise", LAT, "inconclusive", 3, "more rounds", new=slower(1.053)),
    Case("just inside", LAT, "pass", 0, "", new=slower(1.03)),
    Case("faster", LAT, "pass", 0, "faster", new=slower(0.7)),
    Case("noisy", LAT, "inconclusive", 3, "more rounds", new=noisy),
    Case(
        "noisy, reported only",
        LAT,
        "inconclusive",
        0,
        "",
        new=noisy,
        policy=Policy(Tolerances(inconclusive="report")),
    ),
    Case(
        "noisy, passed by the policy",
        LAT,
        "pass",
        0,
        "passed by the policy",
        new=noisy,
        policy=Policy(Tolerances(inconclusive="pass")),
    ),
    Case("slower than the rest may be, by a pattern", LAT, "pass", 0, "", new=slower(1.1), policy=INT8_LOOSE),
    Case("missing cost cell", COST, "cannot-compare", 2, "missing", new=without(COST)),
    Case("missing latency cell", LAT, "cannot-compare", 2, "missing", new=without(LAT)),
    Case(
        "renamed cell", LAT, "cannot-compare", 2, "Renamed to 'new-name'?", new=setting(LAT, cell="new-name")
    ),
    Case("added cell", LAT, "pass", 0, "", baseline=without(COST)),
    Case(
        "cell twice",
        COST,
        "cannot-compare",
        2,
        "stands 2 times in this run",
        new=lambda c: factory.repeat(c, COST),
    ),
    Case(
        "failed now",
        ACC,
        "regressed",
        1,
        "failed: floor 0.9",
        new=setting(ACC, status="failed", failure="floor 0.9"),
    ),
    Case(
        "failed before too",
        ACC,
        "regressed",
        1,
        "as in the baseline",
        new=setting(ACC, status="failed", failure="x"),
        baseline=setting(ACC, status="failed", failure="x"),
    ),
    Case(
        "failed before, holds now",
        ACC,
        "pass",
        0,
        "failed in the baseline, holds now",
        baseline=setting(ACC, status="failed", failure="x"),
    ),
    Case(
        "other seed",
        COST,
        "cannot-compare",
        2,
        "seed differs: baseline 0, this run 1",
        new=setting(COST, seed=1),
    ),
    Case("other round_to", COST, "cannot-compare", 2, "round_to differs", new=setting(COST, round_to=8)),
    Case(
        "other schedule",
        COST,
        "cannot-compare",
        2,
        "schedule differs",
        new=setting(COST, schedule="one-shot"),
    ),
    Case(
        "other images",
        ACC,
        "cannot-compare",
        2,
        "dataset_fingerprint differs",
        new=setting(ACC, dataset_fingerprint="0"),
    ),
    Case(
        "other reference",
        LAT,
        "cannot-compare",
        2,
        "reference differs",
        new=setting(LAT, reference="elsewhere"),
    ),
    Case(
        "other machine",
        LAT,
        "cannot-compare",
        2,
        "cpu_model differs: baseline Xeon of box-a, this run Xeon of box-b",
        new=other_machine,
    ),
    Case("other machine, the rest is judged", COST, "pass", 2, "", new=other_machine),
    Case("other machine, times skipped", LAT, "pass", 0, "", new=other_machine, policy=SKIP_TIMES),
    Case(
        "other machine, slower", LAT, "pass", 0, "", new=in_turn(other_machine, slower(2)), policy=SKIP_TIMES
    ),
    Case(
        "machine not named",
        LAT,
        "cannot-compare",
        2,
        "this run does not say on which machine",
        new=no_machine,
    ),
    Case(
        "other threads of the machine",
        LAT,
        "cannot-compare",
        2,
        "torch_threads differs: baseline 8, this run 2. Measure the baseline again, or set --threads 8",
        new=other_threads,
    ),
    Case(
        "other threads of the cell",
        LAT,
        "cannot-compare",
        2,
        "torch_threads differs: baseline 8, this run 2",
        new=setting(LAT, threads=2),
    ),
    Case(
        "contaminated now",
        LAT,
        "inconclusive",
        3,
        "this run is marked as contaminated",
        new=all_latencies(contaminated=True),
    ),
    Case(
        "contaminated before",
        LAT,
        "cannot-compare",
        2,
        "baseline is marked as contaminated",
        baseline=all_latencies(contaminated=True),
    ),
    Case(
        "one cell contaminated", LAT, "inconclusive", 3, "contaminated", new=setting(LAT, contaminated=True)
    ),
    Case("control out of tolerance now", LAT, "inconclusive", 3, "A/A control", new=slower(1.2, CONTROL)),
    Case(
        "control out of tolerance before",
        LAT,
        "cannot-compare",
        2,
        "A/A control",
        baseline=slower(1.2, CONTROL),
    ),
    Case(
        "every model 30 % slower",
        CONTROL,
        "regressed",
        1,
        "dense model 30.0% slower",
        new=setting(CONTROL, roofline_fraction=0.4 / 1.3),
    ),
    Case(
        "every model 7 % slower", CONTROL, "pass", 0, "", new=setting(CONTROL, roofline_fraction=0.4 / 1.07)
    ),
    Case(
        "every model about 15 % slower",
        CONTROL,
        "inconclusive",
        3,
        "another run would tell",
        new=setting(CONTROL, roofline_fraction=0.4 / 1.15),
    ),
    Case(
        "every model 30 % faster", CONTROL, "pass", 0, "faster", new=setting(CONTROL, roofline_fraction=0.52)
    ),
    Case(
        "every model 30 % slower, tolerated",
        CONTROL,
        "pass",
        0,
        "dense model 30.0% slower",
        new=setting(CONTROL, roofline_fraction=0.4 / 1.3),
        policy=Policy(Tolerances(dense_slowdown=0.5)),
    ),
    Case(
        "every model slower, no ceiling before",
        CONTROL,
        "pass",
        0,
        "",
        new=setting(CONTROL, roofline_fraction=0.1),
        baseline=lacking(CONTROL, "roofline_fraction"),
    ),
    Case(
        "every model slower, machine disturbed",
        CONTROL,
        "inconclusive",
        3,
        "this run is contaminated (other processes used 38 % of the cores)",
        new=setting(
            CONTROL,
            roofline_fraction=0.1,
            contaminated=True,
            disturbance="other processes used 38 % of the cores",
        ),
    ),
    Case(
        "rounds lost",
        LAT,
        "cannot-compare",
        2,
        "9 log_ratios for 10 rounds",
        new=lambda c: factory.find(c, LAT)["log_ratios"].pop(),
    ),
    Case("speed-up of other rounds", LAT, "cannot-compare", 2, "damaged", new=setting(LAT, speedup=9.0)),
    Case("no log-ratios", LAT, "cannot-compare", 2, "no log_ratios", new=lacking(LAT, "log_ratios")),
    Case(
        "contamination not said",
        LAT,
        "cannot-compare",
        2,
        "no contaminated",
        new=lacking(LAT, "contaminated"),
    ),
    Case(
        "unknown suite",
        ("cosu", COST[1]),
        "cannot-compare",
        2,
        "nothing that this gate knows",
        new=all_of_suite("cosu"),
        baseline=all_of_suite("cosu", 2),
    ),
    Case(
        "regressed and missing",
        COST,
        "regressed",
        1,
        "",
        new=in_turn(setting(COST, macs=10**9), without(LAT)),
    ),
    Case("missing and inconclusive", LAT, "inconclusive", 2, "", new=in_turn(noisy, without(COST))),
]
