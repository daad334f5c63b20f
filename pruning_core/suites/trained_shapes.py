"""The shapes of a method that ranks over layers: they depend on weights, so the dense model is made first."""

from pruning_core.chain.networks import example_of, load_network
from pruning_core.chain.ranking import ranking_losses
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import MethodSpec
from pruning_core.pipeline import ensure_variant
from pruning_core.pruning import find_method
from pruning_core.shapes.pruned import PrunedShapes
from pruning_core.workspace import Workspace


def trained_shapes(
    dense: Variant, method: MethodSpec, grid: Grid, workspace: Workspace
) -> tuple[PrunedShapes, str]:
    """Return what the trained dense model can be pruned to at once, and the key of that checkpoint.

    A chain of several steps ranks again at each: then what is made is near a target, and is judged by itself.

    Args:
        dense: The dense model, of the first seed.
        method: With its scope.
        grid: Of the run.
        workspace: Where it is made, or found.
    """
    checkpoint = ensure_variant(dense, grid, workspace)
    if find_method(method.name).uses_data:
        method = method.model_copy(update={"score_examples": grid.score_examples})
    seed = grid.of_seed(dense.seed).fine_tune.seed
    losses = ranking_losses(workspace.task(dense), method, seed)
    shapes = PrunedShapes(load_network(checkpoint), method, example_of(checkpoint.spec), losses)
    return shapes, checkpoint.key
