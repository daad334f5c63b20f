"""The specs of a method's chain, from dense to the variant asked for; and its steps in words."""

from collections.abc import Iterable

from pruning_core.chain.allocations import allocated_methods
from pruning_core.chain.weights import dense_training, model_with_weights
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import (
    CheckpointSpec,
    DenseSpec,
    MethodSpec,
    PrunedSpec,
    RegularizedSpec,
    TrainSpec,
    key_of,
)
from pruning_core.pruning import find_method, find_penalty
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
    if (regularized := _regularized_spec(dense, method, grid, library)) is not None:
        task.check_training(regularized.train)
        specs.append(regularized)
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


def _regularized_spec(
    dense: DenseSpec, method: MethodSpec, grid: Grid, library: str
) -> RegularizedSpec | None:
    """Return the stage before the first cut, one for all ratios and schedules; None: the method has none."""
    penalty = find_penalty(method.name)
    if penalty is None:
        return None
    return RegularizedSpec(
        parent=key_of(dense),
        model=dense.model,
        dataset=dense.dataset,
        # Of the method only what decides which channels are pushed.
        method=MethodSpec(
            name=method.name, round_to=method.round_to, protect=method.protect, ratio_of=method.ratio_of
        ),
        strength=grid.regularize.strength_of(method.name, penalty.default_strength),
        growth=grid.regularize.growth if penalty.grows else 0.0,
        train=grid.regularize.train_spec(grid.train),
        library=library,
    )


def train_spec_of(spec: CheckpointSpec) -> TrainSpec:
    """Return how the network of a checkpoint is trained, or fine-tuned."""
    return spec.fine_tune if isinstance(spec, PrunedSpec) else spec.train


def epochs_of(specs: Iterable[CheckpointSpec]) -> int:
    """Return how many epochs the checkpoints of a chain are trained for, all together."""
    return sum(train_spec_of(spec).epochs for spec in specs)


def pruning_label(spec: PrunedSpec) -> str:
    """Name a pruned network in words."""
    return f"{spec.model.name} on {spec.dataset.name}, {spec.method.name} {spec.ratio:g}"


def training_label(spec: CheckpointSpec) -> str:
    """Say in words which training makes a checkpoint."""
    if isinstance(spec, DenseSpec):
        what = f"{spec.model.name} on {spec.dataset.name}"
        return f"train {what}, {spec.train.epochs} epochs" if spec.train.epochs else f"take {what} as it is"
    if isinstance(spec, RegularizedSpec):
        what = f"{spec.model.name} on {spec.dataset.name} for {spec.method.name}"
        return f"regularize {what}, {spec.train.epochs} epochs"
    return f"fine-tune {pruning_label(spec)}, {spec.fine_tune.epochs} epochs"


def training_step_label(label: str, epochs_done: int, epochs: int) -> str:
    """Say in words where a training is: the step that a native death is counted at."""
    return f"{label}: epoch {min(epochs_done + 1, epochs)}"
