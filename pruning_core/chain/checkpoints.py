"""What is stored of a network, once it is trained; and of a step that had nothing to remove."""

from datetime import UTC, datetime

import torch
from torch import nn

from pruning_core.chain.networks import build_network, example_of
from pruning_core.config.spec import CheckpointSpec
from pruning_core.errors import TrainingError
from pruning_core.measure.fixed_images import answer, check_answer
from pruning_core.models.finite import infinite_by_design, is_damaged
from pruning_core.pruning.channel_plan import ChannelPlan
from pruning_core.pruning.cost import count_cost, serialised_size_bytes
from pruning_core.pruning.loading import load_pruned, stored_tensors
from pruning_core.pruning.sparsity import sparsity_of
from pruning_core.store.checkpoint import Checkpoint, Metrics, NewCheckpoint
from pruning_core.tasks.base import Evaluation, Task
from pruning_core.training.loop import TrainResult


def new_checkpoint(
    plan: ChannelPlan,
    network: nn.Module,
    spec: CheckpointSpec,
    task: Task,
    result: TrainResult,
    evaluation: Evaluation,
    pruned_evaluation: Evaluation,
    prune_s: float = 0.0,
) -> NewCheckpoint:
    """Put together what is stored of a network that was trained: plan, weights, metrics.

    Args:
        plan: Of the network.
        network: Trained, on the CPU.
        spec: Of the checkpoint.
        task: The one of the spec.
        result: Of the training.
        evaluation: On the test examples, as trained.
        pruned_evaluation: On the test examples, before fine-tuning; the same one for a dense network.
        prune_s: How long pruning took.

    Raises:
        TrainingError: If a weight is no finite number.
        ModelError: If a user's network answers otherwise when its weights are loaded into a new one.
    """
    _check_finite(network, spec)
    example = example_of(spec)
    cost = count_cost(network, example)
    weights = stored_tensors(network)
    answers = answer(network.eval(), example)
    check_answer(  # a user's network may keep more than its weights
        load_pruned(build_network(spec), plan, weights),
        example,
        answers,
        f"model {spec.model.name} answers otherwise when its weights are loaded into a new network: keep "
        "what it computes with in parameters and buffers, persistent ones",
    )
    metrics = Metrics(
        macs=cost.macs,
        macs_products=cost.macs_products,
        macs_torch_pruning=cost.macs_torch_pruning,
        params=cost.params,
        size_bytes=serialised_size_bytes(network),
        **task.metric_fields(evaluation, pruned_evaluation),
        exhausted=False,
        sparsity=sparsity_of(network),
        proof=plan.proof,
        prune_s=prune_s,
        train_s=result.seconds,
        train_overhead_s=result.overhead_s,
        train_losses=result.losses,
        train_precision=result.precision,
        train_device=result.device,
        train_threads=result.threads,
        train_cuda_graph=result.graphed,
        train_memory_format=result.memory_format,
        torch=torch.__version__,
        answers=answers,
        created=_now(),
    )
    return NewCheckpoint(plan, weights, metrics)


def _check_finite(network: nn.Module, spec: CheckpointSpec) -> None:
    by_design = infinite_by_design(network)
    for name, tensor in network.state_dict().items():
        if is_damaged(name, tensor, by_design):
            raise TrainingError(
                f"{spec.model.name}: {name} holds values that are no finite numbers, without any training; "
                "nothing was stored. Look at how the network sets its weights"
            )


def exhausted_checkpoint(plan: ChannelPlan, parent: Checkpoint) -> NewCheckpoint:
    """Make a checkpoint of a step that had nothing to remove: the parent's weights, not trained again."""
    update = {
        "exhausted": True,
        **parent.metrics.as_pruned,
        "proof": plan.proof,
        "prune_s": 0.0,
        "train_s": 0.0,
        "train_overhead_s": 0.0,
        "train_losses": (),
        "created": _now(),
    }
    return NewCheckpoint(plan, parent.weights(), parent.metrics.model_copy(update=update))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
