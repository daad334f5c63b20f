"""What every record says of its cell: the network, its checkpoint, where it runs, how well it predicts."""

from typing import Any

from pruning_core.backends.base import options_text
from pruning_core.chain.allocations import setting_of
from pruning_core.chain.specs import epochs_of, train_spec_of
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.allocation import LATENCY_AWARE
from pruning_core.config.cells import Cell, Variant, is_folder
from pruning_core.config.grid import Grid
from pruning_core.config.patterns import patterns_text, ratios_text
from pruning_core.config.recipe_hash import recipe_sha256
from pruning_core.config.spec import CheckpointSpec, PrunedSpec
from pruning_core.config.thresholds import Threshold, min_agreement
from pruning_core.console.shown import shortened
from pruning_core.models.weights import weights_name
from pruning_core.pruning.base import reasons_of
from pruning_core.records.controls import has_new_weights
from pruning_core.records.cuts import recorded
from pruning_core.store.checkpoint import Checkpoint, Metrics
from pruning_core.suites.model_cache import ModelCache

MAX_CLASS_NAMES = 20
"""In a record: ImageNet has a thousand."""


def variant_fields(variant: Variant, spec: CheckpointSpec, grid: Grid) -> dict[str, Any]:
    """Return which network it is and how it is pruned; `status` is that of a cell that has not failed."""
    return {
        "status": "ok",
        "failure": "",
        "model": variant.model,
        "dataset": variant.dataset_name,
        "dataset_fingerprint": spec.dataset.fingerprint,
        "method": variant.method,
        "ratio": variant.ratio,
        "schedule": grid.schedule,
        "scope": grid.scope,
        "round_to": grid.round_to,
        **({"protect": patterns_text(grid.protect)} if grid.protect else {}),
        **({"ratio_of": ratios_text(grid.ratio_of)} if grid.ratio_of else {}),
        **({"max_ratio": grid.max_ratio} if grid.max_ratio < 1 else {}),
        **({"optimize_for": setting_of(grid).label} if variant.method == LATENCY_AWARE else {}),
        **_weights_fields(variant, spec, grid),
        "recipe_sha256": recipe_sha256(grid),
        "seed": spec.fine_tune.seed
        if isinstance(spec, PrunedSpec)
        else grid.of_seed(variant.seed).train.seed,
    }


def _weights_fields(variant: Variant, spec: CheckpointSpec, grid: Grid) -> dict[str, Any]:
    """Return where the weights of the dense model are from; nothing where it was trained from its seed."""
    choice = grid.weights_of(variant.model)
    if choice is None:
        return {}
    name = f"{weights_name(choice, variant.model)}{', new head' if choice.new_head else ''}"
    return {"weights": name, "weights_sha256": spec.model.weights_sha256}


def checkpoint_fields(models: ModelCache, variant: Variant) -> dict[str, Any]:
    """Return the fields of a variant (see `variant_fields`), and those of its checkpoint."""
    checkpoint = models.checkpoint(variant)
    return {
        **variant_fields(variant, checkpoint.spec, models.grid),
        **_picture_fields(models, variant),
        "key": checkpoint.key,
        "exhausted": checkpoint.metrics.exhausted,
        **_cut_fields(checkpoint),
    }


def _picture_fields(models: ModelCache, variant: Variant) -> dict[str, str]:
    """Return what the pictures of a folder are: only its reader knows, as everybody knows `digits`."""
    if not is_folder(variant.dataset):
        return {}
    dataset = models.workspace.dataset(variant.dataset)
    names = [shortened(name, 40) for name in dataset.class_names[:MAX_CLASS_NAMES]]
    more = ", …" if len(dataset.class_names) > MAX_CLASS_NAMES else ""
    size = f"{dataset.spec.height}×{dataset.spec.width}"
    return {"pictures": f"{size}, {dataset.spec.classes} classes: {', '.join(names)}{more}"}


def _cut_fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the proof of the cut found, and which groups kept their width; nothing where none did."""
    plan, proof = checkpoint.plan, checkpoint.metrics.proof
    found: dict[str, Any] = {"proof": proof} if proof else {}
    if plan.kept_whole:
        found |= {
            "kept_whole": recorded(reasons_of(plan.kept_whole)),
            "groups_kept_whole": len(plan.kept_whole),
        }
        found |= {} if plan.groups is None else {"groups": plan.groups}
    return found


def epoch_fields(models: ModelCache, variant: Variant) -> dict[str, int]:
    """Return the epochs of a variant's last training, and those of its chain; an exhausted step has none."""
    specs = chain_specs(variant, models.grid, models.workspace)
    if has_new_weights(variant.method):
        specs = specs[-1:]  # new weights: those before gave it its shape alone
    found = [(spec, models.workspace.find(spec)) for spec in specs]
    trained = [spec for spec, made in found if made is None or not made.metrics.exhausted]
    return {"epochs": train_spec_of(specs[-1]).epochs, "epochs_spent": epochs_of(trained)}


def mac_fields(metrics: Metrics) -> dict[str, int]:
    """Return the multiply-adds of a checkpoint, in each way in which they were counted."""
    counts = {name: getattr(metrics, name) for name in ("macs", "macs_products", "macs_torch_pruning")}
    return {name: count for name, count in counts.items() if count is not None}


def device_fields(models: ModelCache, cell: Cell) -> dict[str, Any]:
    """Return where and in which precision a cell runs."""
    return {
        "backend": cell.backend,
        "precision": cell.precision,
        "device": cell.device,
        "threads": models.threads_of(cell),
    }


def prediction_fields(models: ModelCache, cell: Cell, threshold: Threshold | None) -> dict[str, Any]:
    """Return how well a cell predicts, and how far that is from eager fp32: wrong speed is no speed.

    Args:
        models: Evaluates.
        cell: On the whole test split.
        threshold: Says how many predictions must be those of eager fp32; None: the default.
    """
    evaluation = models.evaluate(cell)
    reference = models.evaluate(cell.on_reference_backend)
    executable = models.get(cell).executable
    task = models.task(cell)
    agreement, difference = task.agreement(evaluation, reference), task.difference(evaluation, reference)
    agreed = {"agreement": agreement, "min_agreement": min_agreement(threshold, cell.precision)}
    return {
        **task.score_fields(evaluation),
        **({} if agreement is None else agreed),
        **({} if difference is None else {"logit_difference": difference}),
        "memory_format": executable.memory_format,
        "backend_options": options_text(executable.options(cell.batch_size)),
    }
