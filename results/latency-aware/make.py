"""`latency-aware` against `magnitude` and `lamp` at equal measured latency: train, measure, write the table.

    python results/latency-aware/make.py DATA STORE [--step search,train,score,time] [--settings openvino]

DATA holds train/ and test/ of CIFAR-10 (the JPEG q75 copy). What is done is kept, in the store and in
`found.json` beside this file: the same command goes on from it. `search` and `time` want a machine that does
nothing else; `train` and `score` may run as two processes, each with a setting of its own, on one thread.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock

from pruning_core.chain.allocations import allocated_methods
from pruning_core.chain.networks import example_of, load_network
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import DENSE, Cell, Variant, variants
from pruning_core.config.grid import Grid, make_grid
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.spec import DenseSpec
from pruning_core.files.atomic import write_text_file
from pruning_core.models.copying import copy_network
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning.step import prune
from pruning_core.shapes.timing import Setting, ShapeTime, time_shapes
from pruning_core.store import Store
from pruning_core.suites.model_cache import ModelCache
from pruning_core.workspace import Workspace

HERE = Path(__file__).parent
FILE = HERE / "found.json"
SETTINGS = ("openvino", "openvino:int8")
TARGETS = (2.0, 4.0, 8.0)
METHODS = {"magnitude": "local", "lamp": "global", "latency-aware": "local"}
"""Method → scope."""

STEPS = ("search", "train", "score", "time")
DENSE_EPOCHS, EPOCHS = 5, 2

COARSE = tuple(step / 20 for step in range(1, 19))
FINE = 6
"""Ratios tried between the two coarse ones around a target."""

FINAL = LatencyOptions(min_rounds=20, max_rounds=80, target_error=0.02, budget_s=30.0)

Found = dict[str, Any]


def grid_of(data: str, setting: str, method: str, seed: int, ratios: list[float], threads: int = 1) -> Grid:
    """Return the grid of one method in one setting, each ratio cut from dense."""
    return make_grid(
        {
            "recipe": "fast",
            "model": "resnet18",
            "dataset": f"folder:{data}",
            "method": method,
            "scope": METHODS[method],
            "schedule": "one-shot",
            "round_to": 8,
            "ratios": ratios,
            "backends": setting,
            "batch_sizes": 1,
            "threads": threads,
            "train": {"epochs": DENSE_EPOCHS, "learning_rate": 0.1, "precision": "fp32", "seed": seed},
            "fine_tune": {"epochs": EPOCHS, "distill_weight": 0.0, "precision": "fp32", "seed": seed},
            **({"optimize_for": setting} if method == "latency-aware" else {}),
        }
    )


def setting_named(text: str) -> Setting:
    """Return `openvino:int8`, batch 1, as what is timed."""
    backend, _, precision = text.partition(":")
    return Setting(backend, precision or "fp32", 1, threads=1)


def speedups(grid: Grid, dense: DenseSpec, ratios: list[float], workspace: Workspace) -> dict[float, float]:
    """Time the dense model, pruned to some ratios and not trained again, against itself."""
    checkpoint = workspace.find(dense)
    assert checkpoint is not None
    network, example = load_network(checkpoint), example_of(dense)
    method = grid.method_spec(grid.method[0])
    networks = []
    for ratio in ratios:
        (its_method,) = allocated_methods(method, [ratio], dense, grid, workspace)
        networks.append(copy_network(network))
        prune(networks[-1], network, its_method, ratio, example, grid.fine_tune.seed)
    (times,) = time_shapes(network, networks, example, [setting_named(grid.backends[0])])
    return {
        ratio: time.speedup for ratio, time in zip(ratios, times.networks, strict=True) if time is not None
    }


def ratios_for(grid: Grid, dense: DenseSpec, workspace: Workspace) -> dict[str, float]:
    """Return, for each target, the ratio whose shape comes nearest to it: all coarse ones, then finer."""
    found = speedups(grid, dense, list(COARSE), workspace)
    finer: set[float] = set()
    for target in TARGETS:
        low = max((ratio for ratio, speed in found.items() if speed <= target), default=0.0)
        finer |= {round(low + 0.05 * step / (FINE + 1), 4) for step in range(1, FINE + 1)}
    found |= speedups(grid, dense, sorted(finer), workspace)
    return {f"{target:g}": min(found, key=lambda r: abs(found[r] / target - 1)) for target in TARGETS}


def score(grid: Grid, variant: Variant, workspace: Workspace) -> Found:
    """Return the accuracy of a trained checkpoint: on the backend, or in fp32 as it was stored (eager)."""
    checkpoint = ensure_variant(variant, grid, workspace)
    setting, models = setting_named(grid.backends[0]), ModelCache(grid, workspace)
    cell = Cell(variant, setting.backend, setting.precision, "cpu")
    accuracy = checkpoint.metrics.accuracy
    if setting.precision != "fp32":
        accuracy = models.task(cell).score_fields(models.evaluate(cell))["accuracy"]
    return {
        "key": checkpoint.key,
        "ratio": variant.ratio,
        "macs": checkpoint.metrics.macs,
        "params": checkpoint.metrics.params,
        "accuracy": accuracy,
        "n": checkpoint.metrics.accuracy_n,
    }


def measure(grid: Grid, variant: Variant, workspace: Workspace) -> Found:
    """Return the time of a trained checkpoint against the dense one."""
    pruned, dense = ensure_variant(variant, grid, workspace), ensure_variant(variant.dense, grid, workspace)
    setting = setting_named(grid.backends[0])
    networks = [load_network(checkpoint) for checkpoint in (dense, pruned)]
    (times,) = time_shapes(networks[0], networks[1:], example_of(dense.spec), [setting], FINAL)
    time, control = times.networks[0], times.control
    assert isinstance(time, ShapeTime)
    assert isinstance(control, ShapeTime)
    return {
        "speedup": [time.speedup, time.speedup_low, time.speedup_high],
        "latency_ms": time.latency_ms,
        "control": control.speedup,
        "contention": times.contention,
    }


def read() -> Found:
    """Return what was found so far."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"ratios": {}, "cells": {}}


def keep(section: str, name: str, fields: Found) -> None:
    """Add to what was found; another process may have done so meanwhile."""
    with FileLock(HERE.parent / ".latency-aware.lock"):
        found = read()
        found[section].setdefault(name, {}).update(fields)
        write_text_file(FILE, json.dumps(found, indent=1) + "\n")


def table(found: Found) -> str:
    """Return the figures as a Markdown table, a row a cell."""
    lines = [
        "| setting | target | seed | method | ratio | speed-up | ms | MACs (M) | params (M) | accuracy (%) |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for name, cell in sorted(found["cells"].items()):
        setting, target, seed, method = name.split(", ")
        if "speedup" not in cell:
            lines.append(
                f"| {setting} | {target} | {seed} | `{method}` | | 1 | | {cell['macs'] / 1e6:.1f} | "
                f"{cell['params'] / 1e6:.2f} | {100 * cell['accuracy']:.2f} |"
            )
            continue
        speed, low, high = cell["speedup"]
        lines.append(
            f"| {setting} | {target} | {seed} | `{method}` | {cell['ratio']:g} | {speed:.3g} [{low:.3g}, "
            f"{high:.3g}] | {cell['latency_ms']:.3f} | {cell['macs'] / 1e6:.1f} | "
            f"{cell['params'] / 1e6:.2f} | {100 * cell['accuracy']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main(options: argparse.Namespace) -> None:
    """Make what is not there yet, and write the table."""
    display = ProgressDisplay()
    for step in options.step.split(","):
        for seed, setting, method in product(options.seeds.split(","), options.settings.split(","), METHODS):
            question = f"{setting}, {seed}, {method}"
            arguments = (options.data, setting, method, int(seed))
            grid = grid_of(*arguments, list(COARSE))
            workspace = Workspace(Store(Path(options.store), notify=display.say), display, pictures=grid)
            if step == "search" and question not in read()["ratios"]:
                dense = next(iter(variants(grid)))
                assert dense.method == DENSE
                ensure_variant(dense, grid_of(*arguments, list(COARSE), threads=0), workspace)
                (spec,) = chain_specs(dense, grid, workspace)
                assert isinstance(spec, DenseSpec)
                keep("ratios", question, ratios_for(grid, spec, workspace))
            for target, ratio in {**read()["ratios"][question], DENSE: 0.0}.items():
                name = f"{setting}, {target}×, {seed}, {method}"
                its_grid = grid_of(*arguments, [ratio or COARSE[0]])
                dense, pruned = variants(its_grid)
                if target == DENSE:
                    name, pruned = f"{setting}, {DENSE}, {seed}, {DENSE}", dense
                known = read()["cells"].get(name, {})
                if step == "train":
                    ensure_variant(pruned, its_grid, workspace)
                elif step == "score" and "accuracy" not in known:
                    keep("cells", name, score(its_grid, pruned, workspace))
                elif step == "time" and target != DENSE and "speedup" not in known:
                    keep("cells", name, measure(its_grid, pruned, workspace))
    write_text_file(HERE / "table.md", table(read()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("store")
    parser.add_argument("--step", default=",".join(STEPS))
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--seeds", default="0")
    main(parser.parse_args())
