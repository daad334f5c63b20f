"""What a checkpoint holds: metrics and weights, before and after it is stored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import safetensors.torch
from pydantic import (
    AliasChoices,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from torch import Tensor

from pruning_core.config.spec import CheckpointSpec
from pruning_core.config.stages import stage_words
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
    accuracy: float | None = Field(
        None, description="Top-1 on the whole test split, eager fp32, fraction; None of another task."
    )
    accuracy_pruned: float | None = Field(
        None, description="The same before fine-tuning; equal to accuracy for dense."
    )
    accuracy_n: int | None = None
    score: float | None = Field(
        None, description="Of a task that is no classification: on all test examples, eager fp32."
    )
    score_pruned: float | None = Field(
        None, description="The same before fine-tuning; equal to score for dense."
    )
    score_n: int | None = None
    score_name: str = ""
    score_better: Literal["", "higher", "lower"] = ""
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

    @model_validator(mode="after")
    def _has_one_score(self) -> Self:
        """Refuse metrics without a score, or with two."""
        kinds = [(self.accuracy, self.accuracy_pruned, self.accuracy_n)]
        kinds.append((self.score, self.score_pruned, self.score_n))
        if sorted(sum(value is None for value in kind) for kind in kinds) != [0, 3]:
            raise ValueError("either accuracy, accuracy_pruned and accuracy_n, or the same of a score")
        return self

    @model_serializer(mode="wrap")
    def _with_one_score(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what another kind of task has: metrics of a classification stay what they were."""
        fields: dict[str, Any] = serialise(self)
        other = "accuracy" if self.accuracy is None else "score"
        return {n: value for n, value in fields.items() if not re.match(rf"{other}(_|$)", n)}

    @property
    def as_pruned(self) -> dict[str, float | None]:
        """The score before fine-tuning, of a network that is this one and is not trained again."""
        return {"score_pruned": self.score} if self.accuracy is None else {"accuracy_pruned": self.accuracy}

    @property
    def score_text(self) -> str:
        """The score in a few characters, for lists."""
        return f"{self.score:.4g}" if self.accuracy is None else f"{self.accuracy:.2%}"

    @property
    def pruned_fields(self) -> dict[str, float | None]:
        """The score before fine-tuning, as records have it."""
        if self.accuracy is None:
            return {"score_pruned": self.score_pruned}
        return {"accuracy_pruned": self.accuracy_pruned}


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
    return f"checkpoint {key[:12]} ({spec.model.name} on {spec.dataset.name}, {stage_words(spec)})"
