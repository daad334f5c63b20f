"""The specs of controls: what is trained from new weights has all epochs that the chain beside it spends."""

from dataclasses import replace

from pruning_core.chain.specs import method_specs, train_spec_of
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, FineTuneSpec, MethodSpec, PrunedSpec, key_of
from pruning_core.errors import OptionError
from pruning_core.pruning import find_method
from pruning_core.records.controls import DENSE_PLUS, architecture_of
from pruning_core.workspace import Workspace


def control_specs(variant: Variant, grid: Grid, workspace: Workspace) -> list[CheckpointSpec]:
    """Return the specs from dense to a control, each the parent of the next.

    `scratch:METHOD` follows the method's own checkpoint, whose shape it takes; `thin` the dense one alone;
    `dense+` is a chain of its own, in which nothing is cut.

    Args:
        variant: Of a control.
        grid: Whose seed is that of the variant.
        workspace: Where the work is done.

    Raises:
        OptionError: If there is no epoch to train with.
    """
    if variant.method == DENSE_PLUS:
        return _dense_plus(variant, grid, workspace)
    of = architecture_of(variant.method)
    parents = method_specs(variant.dense if of is None else replace(variant, method=of), grid, workspace)
    epochs = sum(train_spec_of(spec).epochs for spec in parents)
    if of is None:
        epochs += sum(grid.fine_tune_at(ratio).epochs for ratio in _ratios(variant, grid))
    if not epochs:
        raise OptionError(f"{variant.method} is trained for all epochs of a chain, and this one has none")
    train = grid.train.model_dump()
    spec = PrunedSpec(
        parent=key_of(parents[-1]),
        model=parents[-1].model,
        dataset=parents[-1].dataset,
        method=_method_spec(variant.method, grid),
        ratio=variant.ratio,
        fine_tune=FineTuneSpec.model_validate({**train, "epochs": epochs}),
        library=find_method(variant.method).library_version(),
    )
    workspace.task(variant).check_training(spec.fine_tune)
    return [*parents, spec]


def _dense_plus(variant: Variant, grid: Grid, workspace: Workspace) -> list[CheckpointSpec]:
    """Return a step of fine-tuning for each ratio; a one-shot schedule has the same one for all."""
    specs = method_specs(variant.dense, grid, workspace)
    for ratio in _ratios(variant, grid):
        fine_tune = grid.fine_tune_at(ratio)
        workspace.task(variant).check_training(fine_tune)
        specs.append(
            PrunedSpec(
                parent=key_of(specs[-1]),
                model=specs[0].model,
                dataset=specs[0].dataset,
                method=MethodSpec(name=DENSE_PLUS),
                ratio=0.0,  # nothing is removed, so that no ratio makes another checkpoint
                fine_tune=fine_tune,
                library=find_method(DENSE_PLUS).library_version(),
            )
        )
    return specs


def _ratios(variant: Variant, grid: Grid) -> list[float]:
    """Return the ratios of the steps up to a variant."""
    if grid.schedule == "one-shot":
        return [variant.ratio]
    known = grid.ratios_for(variant.model, variant.dataset, variant.method)
    return [*(ratio for ratio in known if 0 < ratio < variant.ratio), variant.ratio]


def _method_spec(name: str, grid: Grid) -> MethodSpec:
    """Return the method of a control: `thin` is cut once, each layer alike."""
    if architecture_of(name) is not None:
        return MethodSpec(name=name)  # the parent's key holds all that decides its shape
    return grid.method_spec(name).model_copy(update={"schedule": "one-shot", "scope": "local"})
