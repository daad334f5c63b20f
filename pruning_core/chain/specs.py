"""The specs of a chain, from dense to the variant asked for; and what its trainings are called."""

from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, DatasetSpec, DenseSpec, PrunedSpec, key_of
from pruning_core.models import model_spec
from pruning_core.pruning import find_method
from pruning_core.workspace import Workspace


def chain_specs(variant: Variant, grid: Grid, place: Workspace) -> list[CheckpointSpec]:
    """Return the specs from dense to `variant`, each the parent of the next."""
    dataset = place.dataset(variant.dataset)
    model = model_spec(variant.model, dataset.spec.classes, image_of(dataset.spec))
    specs: list[CheckpointSpec] = [DenseSpec(model=model, dataset=dataset.spec, train=grid.train)]
    if variant.is_dense:
        return specs
    method = grid.method_spec(variant.method)
    library = find_method(variant.method).library()
    earlier = [r for r in grid.ratios if 0 < r < variant.ratio] if method.schedule == "iterative" else []
    for ratio in [*earlier, variant.ratio]:
        specs.append(
            PrunedSpec(
                parent=key_of(specs[-1]),
                model=specs[0].model,
                dataset=dataset.spec,
                method=method,
                ratio=ratio,
                fine_tune=grid.fine_tune_at(ratio),
                library=library,
            )
        )
    return specs


def training_label(spec: CheckpointSpec) -> str:
    """Say in words which training makes a checkpoint."""
    where = f"{spec.model.name} on {spec.dataset.name}"
    if isinstance(spec, DenseSpec):
        return f"train {where}, {spec.train.epochs} epochs"
    return f"fine-tune {where}, {spec.method.name} {spec.ratio:g}, {spec.fine_tune.epochs} epochs"


def training_step_label(what: str, epochs_done: int, epochs: int) -> str:
    """Say in words where a training is: the step that a native death is counted at."""
    return f"{what}: epoch {min(epochs_done + 1, epochs)}"


def image_of(spec: DatasetSpec) -> tuple[int, int, int]:
    """Return channels, height and width."""
    return spec.channels, spec.height, spec.width
