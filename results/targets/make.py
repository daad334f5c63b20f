"""Are targets met? Find ratios for 2x, 4x, 8x in many settings, and measure their shapes in a new process.

    python results/targets/make.py [--int8] [--minutes 20] [--only openvino]

Writes `found.json` after every step and goes on from it; at the end `targets.csv` and `table.md`. Start it
on a machine that does nothing else. Nothing is trained: a time depends on shapes.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent.parent))

import torch  # noqa: E402

from pruning_core.config.latency_options import LatencyOptions  # noqa: E402
from pruning_core.config.spec import MethodSpec  # noqa: E402
from pruning_core.config.target_kinds import Target  # noqa: E402
from pruning_core.errors import PruningBenchError  # noqa: E402
from pruning_core.files.atomic import write_text_file  # noqa: E402
from pruning_core.models import build_model  # noqa: E402
from pruning_core.progress import ProgressDisplay  # noqa: E402
from pruning_core.records.targets import INCONCLUSIVE, MET, judge_target  # noqa: E402
from pruning_core.shapes.pruned import PrunedShapes  # noqa: E402
from pruning_core.shapes.targets import find_for_times  # noqa: E402
from pruning_core.shapes.timing import Setting, time_shapes  # noqa: E402
from pruning_core.system.machine import describe_machine  # noqa: E402

NETWORKS = (
    ("resnet18", (3, 32, 32)),
    ("torchvision:mobilenet_v2", (3, 224, 224)),
)
BACKENDS = (("openvino", "fp32"), ("onnxruntime", "fp32"), ("eager", "fp32"))
BATCH_SIZES = (1, 32)
TARGETS = tuple(Target("target_speedup", amount) for amount in (2.0, 4.0, 8.0))
FULL = LatencyOptions(budget_s=30.0)
"""Rounds of a grid that says nothing else; no cell may take longer than this."""

MEASURING = 0.25
"""Share of all minutes that is left for measuring what was found."""

MACHINE = ("fingerprint", "name", "threads", "torch", "torch_pruning", "onnxruntime", "openvino", "python")
COLUMNS = (
    *("network", "image", "backend", "batch_size", "target", "ratio", "found", "found_low", "found_high"),
    *("measured", "measured_low", "measured_high", "rounds", "verdict", "search_s", "contention"),
)


def main() -> None:
    """Find what is missing, measure what was found, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--int8", action="store_true", help="also openvino:int8")
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="begin nothing after so long (default: 20)"
    )
    parser.add_argument("--only", default="", help="keys that hold this text, such as openvino or 'batch 1'")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    step_ends = ends if options.measure else ends - 60 * options.minutes * MEASURING
    backends = (*BACKENDS, *([("openvino", "int8")] if options.int8 else []))
    settings = [
        (network, image, Setting(backend, precision, batch_size))
        for (backend, precision), (network, image), batch_size in product(backends, NETWORKS, BATCH_SIZES)
        if options.only in key_of(network, image, Setting(backend, precision, batch_size))
    ]
    settings.sort(key=lambda item: item[2].batch_size)
    step = measure if options.measure else find
    for number, (network, image, setting) in enumerate(settings, 1):
        if time.monotonic() > step_ends:
            print(f"no time to {step.__name__} more: the same command goes on", file=sys.stderr)
            break
        print(
            f"{step.__name__} {number} of {len(settings)}: {key_of(network, image, setting)}", file=sys.stderr
        )
        step(network, image, setting)
    if not options.measure:
        left = max((ends - time.monotonic()) / 60, 1.0)
        again = [sys.executable, __file__, "--measure", f"--minutes={left}", f"--only={options.only}"]
        subprocess.run([*again, *(["--int8"] if options.int8 else [])], check=True)
        write_tables()


def key_of(network: str, image: tuple[int, int, int], setting: Setting) -> str:
    """Name a network in a setting."""
    return f"{network} {'x'.join(map(str, image))} on {setting.label}"


def read() -> dict:
    """Return what was found and measured so far; refuse that of another machine."""
    machine = describe_machine(0)
    here = {name: machine[name] for name in MACHINE}
    path = FOLDER / "found.json"
    content = json.loads(path.read_text()) if path.exists() else {"machine": here, "cells": {}}
    if content["machine"]["fingerprint"] != here["fingerprint"]:
        sys.exit(f"error: {path} is of another machine, {content['machine']['name']}; move it away")
    return content


def keep(key: str, fields: dict) -> None:
    """Add to what is known of a network in a setting."""
    content = read()
    content["cells"].setdefault(key, {}).update(fields)
    write_text_file(FOLDER / "found.json", json.dumps(content, indent=1) + "\n")


def shapes_of(network: str, image: tuple[int, int, int]) -> PrunedShapes:
    """Return the shapes of a network, of ten classes where it is one of ours, of a thousand elsewhere."""
    dense = build_model(network, 10 if image[1] == 32 else 1000, image)
    return PrunedShapes(dense, MethodSpec(), torch.zeros(1, *image))


def find(network: str, image: tuple[int, int, int], setting: Setting) -> None:
    """Find the ratios of all targets in one setting, and keep them."""
    key = key_of(network, image, setting)
    if "found" in read()["cells"].get(key, {}):
        return
    started = time.monotonic()
    try:
        found = find_for_times(shapes_of(network, image), TARGETS, setting, ProgressDisplay(), network)
    except PruningBenchError as error:
        keep(key, {"found": [], "error": str(error)})
        return
    rows = [
        {
            "target": item.target.amount,
            "reached": item.reached,
            "ratio": item.ratio,
            "speedup": [item.value, item.low, item.high],
            "contention": item.contention,
        }
        for item in found
    ]
    names = {"network": network, "image": "x".join(map(str, image))}
    where = {"backend": f"{setting.backend}:{setting.precision}", "batch_size": setting.batch_size}
    keep(key, {**names, **where, "found": rows, "search_s": time.monotonic() - started})


def measure(network: str, image: tuple[int, int, int], setting: Setting) -> None:
    """Measure the shapes that were found in one setting, with all rounds, and keep what they give."""
    key = key_of(network, image, setting)
    known = read()["cells"].get(key, {})
    if not known.get("found") or "measured" in known:
        return
    shapes = shapes_of(network, image)
    ratios = sorted({row["ratio"] for row in known["found"] if row["ratio"]})
    networks = [shapes.network(ratio)[0] for ratio in ratios]
    with ProgressDisplay().work(f"measure {len(networks)} shapes", quiet=True) as advance:
        (timed,) = time_shapes(shapes.dense, networks, shapes.example, [setting], FULL, advance=advance)
    rows = {
        str(ratio): [item.speedup, item.speedup_low, item.speedup_high, item.rounds]
        for ratio, item in zip(ratios, timed.networks, strict=True)
        if item is not None
    }
    control = timed.control
    bounds = None if control is None else [control.speedup_low, control.speedup_high]
    keep(key, {"measured": rows, "control": bounds, "contention": timed.contention})


def rows_of(cell: dict) -> list[dict]:
    """Return a row for each target of a network in a setting."""
    rows = []
    for item in cell["found"]:
        measured, low, high, rounds = cell.get("measured", {}).get(str(item["ratio"]), [None] * 4)
        target = item["target"]
        verdict = "not measured"
        if measured is not None:
            verdict = INCONCLUSIVE if cell.get("contention") else judge_target(low / target, high / target)
            if not item["reached"]:
                verdict = "out of reach" if verdict != MET else "met, and said to be out of reach"
        row = {name: cell[name] for name in ("network", "image", "backend", "batch_size", "search_s")}
        row |= {"target": target, "ratio": item["ratio"], "verdict": verdict, "rounds": rounds}
        row |= dict(zip(("found", "found_low", "found_high"), item["speedup"], strict=True))
        row |= {"measured": measured, "measured_low": low, "measured_high": high}
        rows.append(row | {"contention": cell.get("contention", item["contention"])})
    return rows


def write_tables() -> None:
    """Write the CSV with all digits, and the table for people with a count of the verdicts."""
    content = read()
    rows = [row for cell in content["cells"].values() for row in (rows_of(cell) if cell["found"] else [])]
    with (FOLDER / "targets.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"{content['machine']['name']}, fingerprint `{content['machine']['fingerprint']}`.", ""]
    lines += [
        "| network | backend | batch | target | ratio | found | measured again | verdict |",
        "|" + "---|" * 8,
    ]
    for row in rows:
        found = f"{row['found']:.2f} [{row['found_low']:.2f}, {row['found_high']:.2f}]"
        measured = "–"
        if row["measured"] is not None:
            measured = f"{row['measured']:.2f} [{row['measured_low']:.2f}, {row['measured_high']:.2f}]"
        mark = " (contaminated)" if row["contention"] else ""
        where = f"{row['network']}, {row['image']} | {row['backend']} | {row['batch_size']}"
        what = f"{row['target']:g}x | {row['ratio']:g} | {found} | {measured}{mark} | {row['verdict']}"
        lines.append(f"| {where} | {what} |")
    verdicts = [row["verdict"] for row in rows]
    counts = ", ".join(f"{verdict}: {verdicts.count(verdict)}" for verdict in dict.fromkeys(verdicts))
    failed = [f"- {key}: {cell['error']}" for key, cell in content["cells"].items() if "error" in cell]
    lines += ["", f"Of {len(rows)} targets: {counts}.", *failed]
    write_text_file(FOLDER / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
