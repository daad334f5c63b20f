"""The command `pruning-bench prepare`: make every checkpoint that a grid needs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pruning_core.cli.options import (
    FOLDER,
    download_option,
    layer_options,
    picture_options,
    store_option,
    weights_options,
)
from pruning_core.cli.target_options import asked_targets, search_again, target_options
from pruning_core.config.scopes import SCOPES
from pruning_core.console.escaping import for_terminal

if TYPE_CHECKING:
    from pruning_core.pruning.channel_plan import ChannelPlan


def _axis(name: str, text: str) -> Callable[..., Any]:
    return click.option(f"--{name}", name.replace("-", "_"), metavar="LIST", help=text)


@click.command()
@click.option("--grid", metavar="NAME|FILE", help="Grid file, or its name in bench/grids (default: quick).")
@_axis("model", "Networks, separated by commas.")
@_axis("dataset", "Datasets, separated by commas.")
@click.option(
    "--task", metavar="MODULE:CLASS", help="What is learnt and scored, where it is no classification."
)
@_axis("method", "Pruning methods, separated by commas.")
@_axis("ratios", "0.25,0.5, start:stop:step (the stop included), linear:0.9:6 or exponential:0.9:6.")
@target_options
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    help="Rank channels within each layer, over all together, or over layers of one structure "
    "(default: what the grid says).",
)
@click.option(
    "--optimize-for", metavar="BACKEND", help="Where method latency-aware is to be fast: openvino:int8, say."
)
@click.option(
    "--optimize-batch-size",
    type=click.IntRange(1),
    metavar="N",
    help="On how many images at once (default: 1).",
)
@weights_options
@layer_options
@picture_options
@_axis("threads", "Numbers of CPU threads; training takes the most. 0: all usable.")
@click.option("--seed", type=int, help="Of training and fine-tuning (default: what the grid says).")
@_axis("seeds", "Several: everything is made with each.")
@store_option
@click.option("--data-root", type=FOLDER, help="Where torchvision's datasets lie.")
@download_option
def prepare(
    grid: str | None,
    model: str | None,
    dataset: str | None,
    task: str | None,
    method: str | None,
    ratios: str | None,
    scope: str | None,
    optimize_for: str | None,
    optimize_batch_size: int | None,
    weights: str | None,
    strip_prefix: str | None,
    new_head: bool,
    protect: str | None,
    ratio_of: str | None,
    max_ratio: float | None,
    image_size: str | None,
    normalize: str | None,
    test_share: float | None,
    skip_broken: int | None,
    threads: str | None,
    seed: int | None,
    seeds: str | None,
    root: Path | None,
    data_root: Path | None,
    download: bool,
) -> None:
    """Make every checkpoint that a grid needs: train, prune, fine-tune. Resumes what was interrupted."""
    from pruning_core.config.cells import variants
    from pruning_core.config.grid_files import find_grid
    from pruning_core.pipeline import ensure_variant
    from pruning_core.progress import ProgressDisplay
    from pruning_core.records.mac_counts import counts_of
    from pruning_core.suites.cell_fields import mac_fields
    from pruning_core.suites.opening import load_grid, new_workspace, open_workspace
    from pruning_core.suites.target_search import Search, search_grid

    options: dict[str, Any] = {"model": model, "dataset": dataset, "method": method, "ratios": ratios}
    options |= {"scope": scope, "protect": protect, "ratio_of": ratio_of, "max_ratio": max_ratio}
    options |= {"threads": threads}
    options |= {"image_size": image_size, "normalize": normalize, "test_share": test_share}
    options |= {"skip_broken": skip_broken, "task": task}
    options |= {"optimize_for": optimize_for, "optimize_batch_size": optimize_batch_size, "seeds": seeds}
    options |= {"weights": weights, "strip_prefix": strip_prefix, "new_head": new_head or None}
    path = find_grid(grid, Path.cwd())
    wanted, display = load_grid(path, {**options, **asked_targets(), "seed": seed}), ProgressDisplay()
    opened = new_workspace(wanted, root, data_root, download, display)
    wanted = search_grid(wanted, opened, Search(opened.store.root, display, search_again()))
    workspace = open_workspace(
        wanted,
        path,
        variants=list(variants(wanted)),
        own_ratios=ratios is not None,
        root=root,
        data_root=data_root,
        download=download,
        display=display,
        opened=opened,
    )
    for variant in variants(wanted):
        checkpoint = ensure_variant(variant, wanted, workspace)
        metrics = checkpoint.metrics
        note = "  exhausted: removed nothing more" if metrics.exhausted else ""
        counts = counts_of(mac_fields(metrics))
        if counts.differ and counts.by_torch_pruning is not None:
            note += f"  (torch-pruning counts {counts.by_torch_pruning / 1e6:.2f} M MACs)"
        print(
            f"{for_terminal(variant.id):45} {metrics.macs / 1e6:9.2f} M MACs "
            f"{metrics.params / 1e6:7.3f} M parameters {metrics.score_text:>7}  {checkpoint.key[:12]}{note}",
            flush=True,
        )
        if checkpoint.plan.kept_whole:
            print(f"  {for_terminal(_whole_line(checkpoint.plan))}", flush=True)


def _whole_line(plan: "ChannelPlan") -> str:
    from pruning_core.pruning.base import reasons_of
    from pruning_core.records.cuts import count_words, explain_whole_in_line

    count = count_words(len(plan.kept_whole), plan.groups)
    return f"kept whole: {count}: {explain_whole_in_line(reasons_of(plan.kept_whole))}"
