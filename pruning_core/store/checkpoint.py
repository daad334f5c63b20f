"""What a checkpoint holds: metrics and weights, before and after it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from pydantic import AliasChoices, Field
from torch import Tensor

from pruning_core.config.spec import CheckpointSpec, PrunedSpec
from pruning_core.config.validation import StrictModel
from pruning_core.pruning.channel_plan import ChannelPlan


class Metrics(StrictModel):
    """What was measured of a checkpoint when it was made; the content of `metrics.json`."""

    macs: int
    macs_products: int | None = Field(
        None,
        description="Of macs, in convolutions and matrix products; earlier versions did not tell.",
    )
    macs_torch_pruning: int | None = Field(
        None,
        description="What torch-pruning's own counter says, where it can; of earlier versions: macs is.",
    )
    params: int
    size_bytes: int
    accuracy: float = Field(description="Top-1 on the whole test split, eager fp32, fraction.")
    accuracy_pruned: float = Field(description="The same before fine-tuning; equal to accuracy for dense.")
    accuracy_n: int
    exhausted: bool = Field(description="Pruning removed nothing that the parent still had.")
    sparsity: float = Field(description="Weights of convolutions and linear layers that are 0, fraction.")
    proof: str = Field(
        "", description="Of the cut: `exact`, or the statistics that change; empty where nothing was cut."
    )
    prune_s: float
    train_s: float
    train_overhead_s: float = Field(
        validation_alias=AliasChoices("train_overhead_s", "train_outside_s"),
        description="Of train_s, outside of the training steps.",
    )
    train_losses: tuple[float, ...]
    train_precision: str
    train_device: str
    train_threads: int
    train_cuda_graph: bool = Field(
        False,
        validation_alias=AliasChoices("train_cuda_graph", "train_graphed"),
        description="Steps were launched as one CUDA graph.",
    )
    train_memory_format: str = Field(
        "channels_last",
        description="How images and weights lay in memory; earlier versions had one way only.",
    )
    torch: str
    answers: tuple[float | None, ...] | None = Field(
        None,
        description="Logits of two fixed images (see measure/fixed_images.py); earlier versions kept none.",
    )
    class_names: tuple[str, ...] | None = Field(
        None, description="Label 0 first, for whoever uses the network; earlier versions kept none."
    )
    created: str = Field(description="UTC, ISO 8601.")


@dataclass(frozen=True)
class NewCheckpoint:
    """A checkpoint before it is stored."""

    plan: ChannelPlan
    weights: Mapping[str, Tensor]
    metrics: Metrics


@dataclass(frozen=True)
class Checkpoint:
    """A stored checkpoint, verified."""

    key: str
    spec: CheckpointSpec
    plan: ChannelPlan
    metrics: Metrics
    path: Path

    def weights(self) -> dict[str, Tensor]:
        """Read the weights: name → tensor, on the CPU."""
        return safetensors.torch.load_file(self.path / "weights.safetensors")


def describe(key: str, spec: CheckpointSpec) -> str:
    """Return in words which checkpoint a key stands for."""
    what = f"{spec.method.name} {spec.ratio:g}" if isinstance(spec, PrunedSpec) else "dense"
    return f"checkpoint {key[:12]} ({spec.model.name} on {spec.dataset.name}, {what})"
