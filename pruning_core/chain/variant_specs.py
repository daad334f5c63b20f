"""The specs of a variant, of its seed: dense, pruned by a method, or a control."""

from pruning_core.chain.control_specs import control_specs
from pruning_core.chain.specs import method_specs
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec
from pruning_core.records.controls import is_control
from pruning_core.workspace import Workspace


def chain_specs(variant: Variant, grid: Grid, workspace: Workspace) -> list[CheckpointSpec]:
    """Return the specs from dense to `variant`, each the parent of the next.

    Those of a method that needs an allocation are known once the dense model is made (`allocations.py`).
    """
    specs_of = control_specs if is_control(variant.method) else method_specs
    return specs_of(variant, grid.of_seed(variant.seed), workspace)
