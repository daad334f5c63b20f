"""The specs of a method's chain, from dense to the variant asked for; and its steps in words."""

from pruning_core.chain.allocations import allocated_methods
from pruning_core.chain.weights import dense_training, model_with_weights
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, DenseSpec, PrunedSpec, TrainSpec, key_of
from pruning_core.pruning import find_method
from pruning_core.workspace import Workspace


def method_specs(variant: Variant, grid: Grid, workspace: Workspace) -> list[CheckpointSpec]:
    """Return the specs from dense to a variant of a method, each the parent of the next.

    Those of a method that needs an allocation are known once the dense model is made (`allocations.py`).
    """
    task = workspace.task(variant)
    model = model_with_weights(task.model_spec(variant.model), grid, task, workspace)
    train = dense_training(grid, model)
    task.check_training(train)
    dense = DenseSpec(model=model, dataset=task.spec, train=train)
    specs: list[CheckpointSpec] = [dense]
    if variant.is_dense:
        return specs
    method = grid.method_spec(variant.method)
    if find_method(variant.method).uses_data:
        method = method.model_copy(update={"score_examples": grid.score_examples})
    library = find_method(variant.method).library_version()
    grid_ratios = grid.ratios_for(variant.model, variant.dataset, variant.method)
    earlier = [r for r in grid_ratios if 0 < r < variant.ratio] if method.schedule == "iterative" else []
    ratios = [*earlier, variant.ratio]
    methods = allocated_methods(method, ratios, dense, grid, workspace)
    for ratio, its_method in zip(ratios, methods, strict=True):
        task.check_training(grid.fine_tune_at(ratio))
        specs.append(
            PrunedSpec(
                parent=key_of(specs[-1]),
                model=dense.model,
                dataset=task.spec,
                method=its_method,
                ratio=ratio,
                fine_tune=grid.fine_tune_at(ratio),
                library=library,
            )
        )
    return specs


def train_spec_of(spec: CheckpointSpec) -> TrainSpec:
    """Return how the network of a checkpoint is trained, or fine-tuned."""
    return spec.train if isinstance(spec, DenseSpec) else spec.fine_tune


def pruning_label(spec: PrunedSpec) -> str:
    """Name a pruned network in words."""
    return f"{spec.model.name} on {spec.dataset.name}, {spec.method.name} {spec.ratio:g}"


def training_label(spec: CheckpointSpec) -> str:
    """Say in words which training makes a checkpoint."""
    if isinstance(spec, DenseSpec):
        what = f"{spec.model.name} on {spec.dataset.name}"
        return f"train {what}, {spec.train.epochs} epochs" if spec.train.epochs else f"take {what} as it is"
    return f"fine-tune {pruning_label(spec)}, {spec.fine_tune.epochs} epochs"


def training_step_label(label: str, epochs_done: int, epochs: int) -> str:
    """Say in words where a training is: the step that a native death is counted at."""
    return f"{label}: epoch {min(epochs_done + 1, epochs)}"
