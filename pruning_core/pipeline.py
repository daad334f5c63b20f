"""The story: train a dense model, prune it, fine-tune it, prune further. Each step: load it, or make it.

    dense ── prune to ratio 1 ── fine-tune ── prune to ratio 2 ── fine-tune ── …      (iterative)
    dense ── prune to ratio k ── fine-tune, for each k                                (one-shot)

Some methods prepare it: dense ── train on with a penalty ── prune …  (`chain/regularized.py`)

A checkpoint is always made from its parent *as stored*, so that a chain that was interrupted anywhere gives
the same checkpoints as one that was not.
"""

from pruning_core.chain.checkpoints import exhausted_checkpoint, new_checkpoint
from pruning_core.chain.cutting import cut_network
from pruning_core.chain.networks import build_network, evaluate_network
from pruning_core.chain.regularized import make_regularized
from pruning_core.chain.specs import pruning_label
from pruning_core.chain.training import fine_tune, train_resumably
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.chain.weights import load_weights
from pruning_core.config.allocation import LATENCY_AWARE
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, DenseSpec, PrunedSpec, RegularizedSpec
from pruning_core.pruning.channel_plan import make_plan
from pruning_core.records.controls import architecture_of
from pruning_core.store.checkpoint import Checkpoint, NewCheckpoint
from pruning_core.store.resume import ResumeState
from pruning_core.system.hardware import max_threads, set_torch_threads
from pruning_core.tasks.base import Task
from pruning_core.training.batch_norm import recalibrate_batch_norms
from pruning_core.workspace import Workspace


def ensure_variant(variant: Variant, grid: Grid, workspace: Workspace) -> Checkpoint:
    """Load the checkpoint of a variant, or make it and whatever it starts from."""
    task, threads = workspace.task(variant), max_threads(grid.threads)
    if LATENCY_AWARE in (variant.method, architecture_of(variant.method)):  # allocated on the dense model
        ensure_checkpoint(chain_specs(variant.dense, grid, workspace), task, workspace, threads)
    return ensure_checkpoint(chain_specs(variant, grid, workspace), task, workspace, threads)


def ensure_checkpoint(
    specs: list[CheckpointSpec], task: Task, workspace: Workspace, threads: int
) -> Checkpoint:
    """Load the checkpoint of the last spec, or make it from the checkpoint of the one before.

    Args:
        specs: From dense to the one asked for, each the parent of the next.
        task: The one of the specs.
        workspace: Where the work is done.
        threads: CPU threads to make it on; sums on another number of threads round otherwise.
    """
    *earlier, spec = specs
    found = workspace.find(spec)
    if found is not None:
        return found  # before its parent is looked for: a finished checkpoint needs no parent any more
    set_torch_threads(threads)
    workspace.announce_training()
    if isinstance(spec, DenseSpec):
        return workspace.store.get_or_make(spec, lambda resume: make_dense(spec, task, workspace, resume))
    parent = ensure_checkpoint(earlier, task, workspace, threads)
    if isinstance(spec, RegularizedSpec):
        return workspace.store.get_or_make(
            spec, lambda resume: make_regularized(spec, parent, task, workspace, resume)
        )
    teacher = None
    if spec.fine_tune.distill_weight > 0:
        teacher = ensure_checkpoint(specs[:1], task, workspace, threads)
    return workspace.store.get_or_make(
        spec, lambda resume: prune_and_fine_tune(spec, parent, teacher, task, workspace, resume)
    )


def make_dense(spec: DenseSpec, task: Task, workspace: Workspace, resume: ResumeState) -> NewCheckpoint:
    """Train a network, from its seed or from the weights that it comes with; without an epoch, take it."""
    network = build_network(spec, seed=spec.train.seed)
    load_weights(network, spec, task, workspace)
    result = train_resumably(network, spec, task, workspace, resume)
    with workspace.in_progress(f"evaluate {spec.model.name} on {spec.dataset.name}", resume):
        evaluation = evaluate_network(network, task, spec.train)
    plan = make_plan(dense=build_network(spec), pruned=network)  # nothing is pruned yet
    return new_checkpoint(plan, network, spec, task, result, evaluation, pruned_evaluation=evaluation)


def prune_and_fine_tune(
    spec: PrunedSpec,
    parent: Checkpoint,
    teacher: Checkpoint | None,
    task: Task,
    workspace: Workspace,
    resume: ResumeState,
) -> NewCheckpoint:
    """Prune the parent to the spec's ratio and fine-tune what is left, taught by the dense model if asked."""
    label = pruning_label(spec)
    with workspace.in_progress(f"prune {label}", resume):
        cut = cut_network(spec, parent, task)
    network, plan = cut.network, cut.plan
    if cut.exhausted:
        return exhausted_checkpoint(plan, parent)
    with workspace.in_progress(f"evaluate {label}, pruned", resume):
        recalibrate_batch_norms(network, task, spec.fine_tune)
        pruned_evaluation = evaluate_network(network, task, spec.fine_tune)
    result = fine_tune(network, spec, teacher, task, workspace, resume)
    evaluation = pruned_evaluation
    if spec.fine_tune.epochs:  # without an epoch it is still the network that was just evaluated
        with workspace.in_progress(f"evaluate {label}, fine-tuned", resume):
            evaluation = evaluate_network(network, task, spec.fine_tune)
    return new_checkpoint(plan, network, spec, task, result, evaluation, pruned_evaluation, cut.seconds)
