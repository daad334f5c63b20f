"""The story: train a dense model, prune it, fine-tune it, prune further. Each step: load it, or make it.

    dense ── prune to ratio 1 ── fine-tune ── prune to ratio 2 ── fine-tune ── …      (iterative)
    dense ── prune to ratio k ── fine-tune, for each k                                (one-shot)

A step always starts from its parent *as stored*, so that a chain that was interrupted anywhere gives the
same checkpoints as one that was not.
"""

import time

from pruning_core.chain.checkpoints import exhausted_checkpoint, new_checkpoint
from pruning_core.chain.networks import build_network, evaluate_network, example_of, load_network
from pruning_core.chain.specs import chain_specs, training_label
from pruning_core.chain.training import train_resumably
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, DenseSpec, PrunedSpec
from pruning_core.datasets.batches import Dataset
from pruning_core.pruning import find_method
from pruning_core.pruning.channel_plan import make_plan
from pruning_core.pruning.masks import sparsity_of, zeros_of
from pruning_core.pruning.step import prune, removed_nothing
from pruning_core.store import Checkpoint, NewCheckpoint, ResumeState
from pruning_core.system.hardware import most_threads, set_torch_threads
from pruning_core.training.batch_norm import recalibrate_batch_norms
from pruning_core.training.step import Distillation
from pruning_core.workspace import Workspace


def ensure_variant(variant: Variant, grid: Grid, place: Workspace) -> Checkpoint:
    """Load the checkpoint of a variant, or make it and whatever it starts from."""
    threads = most_threads(grid.threads)
    return make_checkpoint(chain_specs(variant, grid, place), place.dataset(variant.dataset), place, threads)


def make_checkpoint(
    specs: list[CheckpointSpec], dataset: Dataset, place: Workspace, threads: int
) -> Checkpoint:
    """Load the checkpoint of the last spec, or make it from the checkpoint of the one before.

    Args:
        specs: From dense to the one asked for, each the parent of the next.
        dataset: The one of the specs.
        place: Where the work is done.
        threads: CPU threads to make it on; sums on another number of threads round otherwise.
    """
    *earlier, spec = specs
    found = place.find(spec)
    if found is not None:
        return found  # before its parent is looked for: a finished checkpoint needs no parent any more
    set_torch_threads(threads)
    if place.before_first_training is not None:
        forecast, place.before_first_training = place.before_first_training, None
        forecast()
    if isinstance(spec, DenseSpec):
        return place.store.get_or_make(spec, lambda unfinished: train_dense(spec, dataset, place, unfinished))
    parent = make_checkpoint(earlier, dataset, place, threads)
    dense = make_checkpoint(specs[:1], dataset, place, threads) if spec.fine_tune.distill_weight > 0 else None
    return place.store.get_or_make(
        spec, lambda unfinished: prune_and_fine_tune(spec, parent, dense, dataset, place, unfinished)
    )


def train_dense(
    spec: DenseSpec, dataset: Dataset, place: Workspace, unfinished: ResumeState
) -> NewCheckpoint:
    """Train a network from its seed."""
    network = build_network(spec, seed=spec.train.seed)
    what = training_label(spec)
    result = train_resumably(network, spec.train, dataset, place, unfinished, what)
    with place.step(f"evaluate {spec.model.name} on {spec.dataset.name}", unfinished):
        tested = evaluate_network(network, dataset, spec.train)
    return new_checkpoint(make_plan(build_network(spec), network), network, spec, result, tested, tested)


def prune_and_fine_tune(
    spec: PrunedSpec,
    parent: Checkpoint,
    dense: Checkpoint | None,
    dataset: Dataset,
    place: Workspace,
    unfinished: ResumeState,
) -> NewCheckpoint:
    """Prune the parent to the spec's ratio and fine-tune what is left, taught by the dense model if asked."""
    network = load_network(parent)
    name = f"{spec.model.name} on {spec.dataset.name}, {spec.method.name} {spec.ratio:g}"
    before = parent.plan, sparsity_of(network)
    started = time.perf_counter()
    with place.step(f"prune {name}", unfinished):
        plan = prune(
            network, build_network(spec), spec.method, spec.ratio, example_of(spec), spec.fine_tune.seed
        )
    prune_s = time.perf_counter() - started
    if removed_nothing(before, (plan, sparsity_of(network))):
        return exhausted_checkpoint(plan, parent)
    with place.step(f"evaluate {name}, pruned", unfinished):
        recalibrate_batch_norms(network, dataset, spec.fine_tune)
        tested_pruned = evaluate_network(network, dataset, spec.fine_tune)
    what = training_label(spec)
    distillation = None
    if dense is not None:
        weight, temperature = spec.fine_tune.distill_weight, spec.fine_tune.distill_temperature
        distillation = Distillation(load_network(dense), weight, temperature)
    zeros = zeros_of(network) if find_method(spec.method.name).masks else {}
    result = train_resumably(
        network, spec.fine_tune, dataset, place, unfinished, what, distillation=distillation, zeros=zeros
    )
    # Without an epoch it is the network that was just tested.
    tested = tested_pruned
    if spec.fine_tune.epochs:
        with place.step(f"evaluate {name}, fine-tuned", unfinished):
            tested = evaluate_network(network, dataset, spec.fine_tune)
    return new_checkpoint(plan, network, spec, result, tested, tested_pruned, prune_s)
