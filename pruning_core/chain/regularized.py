"""The stage before the first cut: the dense network is trained on with a penalty on its channels."""

from torch import nn

from pruning_core.chain.checkpoints import new_checkpoint
from pruning_core.chain.networks import build_network, evaluate_network, example_of, load_network
from pruning_core.chain.training import train_resumably
from pruning_core.config.spec import RegularizedSpec
from pruning_core.errors import PruningError
from pruning_core.pruning import find_method, find_penalty
from pruning_core.pruning.channel_plan import make_plan
from pruning_core.pruning.channel_weights import find_channel_groups
from pruning_core.pruning.penalty import Regularization
from pruning_core.pruning.plain import make_plain
from pruning_core.pruning.structured import StructuredMethod
from pruning_core.store.checkpoint import Checkpoint, NewCheckpoint
from pruning_core.store.resume import ResumeState
from pruning_core.tasks.base import Task
from pruning_core.workspace import Workspace


def make_regularized(
    spec: RegularizedSpec, parent: Checkpoint, task: Task, workspace: Workspace, resume: ResumeState
) -> NewCheckpoint:
    """Train the dense network on with the penalty of a method; its score is that of the network uncut."""
    network = load_network(parent)
    what = f"{spec.model.name} on {spec.dataset.name}, for {spec.method.name}"
    with workspace.in_progress(f"find the channels of {what}", resume):
        regularization = regularization_of(spec, network)
    result = train_resumably(network, spec, task, workspace, resume, regularization=regularization)
    with workspace.in_progress(f"evaluate {what}, uncut", resume):
        evaluation = evaluate_network(network, task, spec.train)
    plan = make_plan(dense=build_network(spec), pruned=network)  # nothing is cut yet
    return new_checkpoint(plan, network, spec, task, result, evaluation, pruned_evaluation=evaluation)


def regularization_of(spec: RegularizedSpec, network: nn.Module) -> Regularization:
    """Return what pushes the channels of a network that the spec's method can cut.

    Args:
        spec: Of the stage.
        network: Dense, on the CPU. Weights that it computes become plain ones, in place: what is pushed is
            what is cut later.

    Raises:
        PruningError: If nothing in it can be cut, or the penalty finds nothing to push.
        OptionError: If a pattern of layers matches none.
    """
    method, penalty = find_method(spec.method.name), find_penalty(spec.method.name)
    if penalty is None or not isinstance(method, StructuredMethod):
        raise PruningError(f"{spec.method.name} cuts the dense network as it is: nothing prepares it")
    make_plain(network)
    penalty.check(network)
    groups = find_channel_groups(network, spec.method, example_of(spec), method.importance())
    return Regularization(penalty, groups, spec.strength, spec.growth)
