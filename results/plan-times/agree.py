"""Do the times of `pruning-bench plan --measure`, untrained, agree with those of trained checkpoints?

python results/plan-times/agree.py                      # measures the plan, then compares it with run.json
python results/plan-times/agree.py --plan other.json    # compares with a plan that was measured before
"""

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruning_core.errors import PruningBenchError
from pruning_core.records.run import Run, read_run

HERE = Path(__file__).parent
IMAGE, CLASSES = "3x32x32", "10"  # of digits, which the grid `quick` trains on
MIN_SHARE, MAX_MINUTES = 0.95, 3.0
Cell = tuple[float, str, int]  # ratio, backend:precision, batch size


@dataclass(frozen=True)
class Speed:
    """A speed-up over the dense network, with its interval."""

    value: float
    low: float
    high: float
    contaminated: bool

    @property
    def half_width(self) -> float:
        """Of the interval of its logarithm."""
        return math.log(self.high / self.low) / 2


def trained_cells(run: Run) -> dict[Cell, Speed]:
    """Return the pruned latency cells of a run."""
    cells = {}
    for r in run.records:
        if r["suite"] == "latency" and r["ratio"] and "speedup" in r and not r.get("exhausted"):
            cell = (r["ratio"], f"{r['backend']}:{r['precision']}", r["batch_size"])
            cells[cell] = Speed(
                r["speedup"], r["speedup_low"], r["speedup_high"], bool(r.get("contaminated"))
            )
    return cells


def planned_cells(rows: list[dict[str, Any]]) -> dict[Cell, Speed]:
    """Return the cells of a plan that were timed."""
    cells = {}
    for row in rows:
        for t in row["times"]:
            if t["speedup"] is not None:
                cell = (row["ratio"], f"{t['backend']}:{t['precision']}", t["batch_size"])
                cells[cell] = Speed(t["speedup"], t["low"], t["high"], bool(t["contention"]))
    return cells


def reductions(run: Run, rows: list[dict[str, Any]]) -> list[tuple[float, float, float]]:
    """Return the ratios at which both do not say the same reduction of MACs: other shapes were timed."""
    trained = {r["ratio"]: r["mac_reduction"] for r in run.records if r.get("mac_reduction") and r["ratio"]}
    planned = {row["ratio"]: row["times"][0]["mac_reduction"] for row in rows if row["times"]}
    both = trained.keys() & planned.keys()
    return [(x, trained[x], planned[x]) for x in sorted(both) if not math.isclose(trained[x], planned[x])]


def plan_command(run: Run) -> list[str]:
    """Return the command that plans what a run has measured."""
    (record, *_) = [r for r in run.records if r["suite"] == "latency" and r["ratio"]]
    cells = trained_cells(run)
    lists = {
        "ratios": [f"{ratio:g}" for ratio in sorted({cell[0] for cell in cells})],
        "backends": list(dict.fromkeys(cell[1] for cell in cells)),
        "batch-sizes": [str(size) for size in sorted({cell[2] for cell in cells})],
        "model": [record["model"]],
        "method": [record["method"]],
        "schedule": [record["schedule"]],
        "scope": [record["scope"]],
        "round-to": [str(record["round_to"])],
        "image": [IMAGE],
        "classes": [CLASSES],
    }
    options = [text for name, values in lists.items() for text in (f"--{name}", ",".join(values))]
    return [sys.executable, "-m", "pruning_core", "plan", "--measure", *options, "--format", "json"]


def overlap(a: Speed, b: Speed) -> bool:
    """Tell whether two intervals have a point in common."""
    return a.low <= b.high and b.low <= a.high


def within_noise(a: Speed, b: Speed) -> bool:
    """Tell whether two speed-ups differ by no more than both half-widths, added in quadrature, in logs."""
    return abs(math.log(a.value / b.value)) <= math.hypot(a.half_width, b.half_width)


def compare(run: Run, rows: list[dict[str, Any]]) -> bool:
    """Print both sides of each cell, and the share that agrees; return whether it is large enough."""
    if other := reductions(run, rows):
        for ratio, there, here in other:
            print(f"other shapes at {ratio:g}: {there:.3f}× fewer MACs trained, {here:.3f}× planned")
        return False
    trained, planned = trained_cells(run), planned_cells(rows)
    shared = [cell for cell in trained if cell in planned]
    print("| ratio | backend | batch | trained | planned | planned ÷ trained | agree |")
    print(f"|{7 * '---|'}")
    for cell in shared:
        a, b = trained[cell], planned[cell]
        agree = ("yes" if within_noise(a, b) else "overlap") if overlap(a, b) else "**no**"
        sides = " | ".join(f"{s.value:.3g} [{s.low:.3g}, {s.high:.3g}]" for s in (a, b))
        print(f"| {cell[0]:g} | {cell[1]} | {cell[2]} | {sides} | {b.value / a.value:.3f} | {agree} |")
    pairs = [(trained[cell], planned[cell]) for cell in shared]
    if not pairs:
        print("no cell is in both")
        return False
    logs = sorted(math.log(b.value / a.value) for a, b in pairs)
    count = sum(overlap(a, b) for a, b in pairs)
    strict = sum(within_noise(a, b) for a, b in pairs)
    n, busy = len(pairs), [sum(pair[side].contaminated for pair in pairs) for side in (0, 1)]
    print(f"\nintervals overlap in {count} of {n} cells ({count / n:.1%}; wanted: {MIN_SHARE:.0%})")
    print(f"logs differ by at most both half-widths in quadrature in {strict} ({strict / n:.1%})")
    print(f"planned ÷ trained: {', '.join(f'{math.exp(x):.3f}' for x in (logs[0], logs[n // 2], logs[-1]))}")
    print("  (smallest, median, largest)")
    widths = [sorted(pair[side].half_width for pair in pairs)[n // 2] for side in (0, 1)]
    print(f"median half-width of an interval: trained ± {widths[0]:.1%}, planned ± {widths[1]:.1%}")
    print(f"cells under contention: trained {busy[0]}, planned {busy[1]}")
    print(f"cells of one side alone: {len(trained) + len(planned) - 2 * n}")
    return count >= MIN_SHARE * len(pairs)


def main(arguments: list[str]) -> int:
    """Measure a plan if none is given, compare, and return the exit code: 0 where both agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=HERE / "run.json", help="of pytest bench/test_latency.py")
    parser.add_argument("--plan", type=Path, help="JSON of plan --measure; else it is measured and kept here")
    given = parser.parse_args(arguments)
    try:
        run = read_run(given.run)
    except PruningBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    in_time = True
    if given.plan is None:
        started = time.monotonic()
        ended = subprocess.run(plan_command(run), stdout=subprocess.PIPE, check=False)
        if ended.returncode:
            return 2  # it has said why
        minutes = (time.monotonic() - started) / 60
        in_time = minutes <= MAX_MINUTES
        (HERE / "plan.json").write_bytes(ended.stdout)
        print(f"plan --measure took {minutes:.2f} min (wanted: {MAX_MINUTES:g})\n")
    rows = json.loads((given.plan or HERE / "plan.json").read_text(encoding="utf-8"))
    if {row["machine_fingerprint"] for row in rows} != {run.machine.get("fingerprint")}:
        print("warning: plan and run are of unlike machines or versions")
    return 0 if compare(run, rows) and in_time else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
