"""The gate's rules on times: unlike machines, what disturbed a run, ceilings, damaged rounds.

Not for: running them (`test_gate.py`).
"""

from pruning_core.gate.compare import Policy, Tolerances
from tests.helpers.gate_case import SKIP_TIMES, Case
from tests.helpers.gate_changes import (
    CONTROL,
    COST,
    LAT,
    all_latencies,
    all_of_suite,
    in_turn,
    lacking,
    no_machine,
    noisy,
    other_machine,
    other_threads,
    setting,
    slower,
    without,
)

TIME_CASES = [
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
            contention="other processes used 38 % of the cores",
        ),
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
