"""What decides the content of a checkpoint, and the key made of it.

Every spec is frozen and validated when it is built. A key hashes all fields, defaults included, so that
changing a default never reuses an old checkpoint; fields that came later count only where they are used.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pruning_core.config.allocation import LATENCY_AWARE, Allocation
from pruning_core.config.augment import AugmentSpec
from pruning_core.config.max_ratio import MaxRatio
from pruning_core.config.parse import MAX_EPOCHS, MAX_SEED
from pruning_core.config.patterns import Patterns, RatiosByPattern
from pruning_core.config.scopes import Scope
from pruning_core.config.validation import StrictModel

RECIPE_VERSION = 2
"""Raised whenever the same spec would no longer give the same weights (a change of training code, say)."""

MAX_IMAGES = 1_000_000

TrainPrecision = Literal["auto", "fp32", "bf16"]
TrainDevice = Literal["auto", "cpu", "cuda"]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]


class ModelSpec(StrictModel):
    """Which network, before any training."""

    name: str = Field(description="A name in MODELS, torchvision:NAME, timm:NAME, or module:function.")
    source_sha256: str = Field(
        "", description="Hash of the file of module:function and of the user's files that it imports."
    )
    state_sha256: str = Field(
        "", description="Hash of what module:function builds from seed 0: tensors and layers."
    )
    library: str = Field("", description="Name and version of what builds torchvision:NAME or timm:NAME.")
    weights_sha256: str = Field(
        "", description="Hash of the tensors that it begins with, by its own names; empty: from the seed."
    )
    new_head: bool = Field(False, description="The last layer is not of those tensors, but from the seed.")

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is empty: the keys of built-in models do not change."""
        fields: dict[str, Any] = serialise(self)
        for name in ("state_sha256", "library", "weights_sha256", "new_head"):
            if not fields.get(name):
                fields.pop(name, None)
        return fields


class DatasetSpec(StrictModel):
    """Which images, by content: the same on two machines that keep them in different folders."""

    name: str = Field(description="A name in DATASETS, 'folder', or module:function. Never a path.")
    fingerprint: str = Field(description="Hash of all decoded pixels and labels.")
    classes: int = Field(ge=2)
    channels: int = Field(ge=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    mean: tuple[float, ...] = Field(description="Per channel, of pixels scaled to [0, 1].")
    std: tuple[float, ...] = Field(description="Per channel, of pixels scaled to [0, 1].")
    augment: AugmentSpec


class TaskSpec(StrictModel):
    """Which task of a user's own: what is learnt, from which data, and how it is scored."""

    name: str = Field(description="module:Class.")
    source_sha256: str = Field(
        description="Hash of the file of module:Class and of the user's files that it imports."
    )
    fingerprint: str = Field(
        description="Of its data: what its fingerprint() says, else a hash of examples and first batches."
    )


class TrainSpec(StrictModel):
    """How a network is trained or fine-tuned."""

    epochs: int = Field(10, ge=0, le=MAX_EPOCHS)
    batch_size: int = Field(128, ge=1, le=MAX_IMAGES)
    learning_rate: float = Field(0.1, gt=0, description="Peak of the schedule.")
    lr_schedule: Literal["onecycle", "cosine", "constant"] = "onecycle"
    warmup: float = Field(0.25, gt=0, lt=1, description="Fraction of all steps in which onecycle rises.")
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(5e-4, ge=0, description="On weights of two or more dimensions only.")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    augment: bool = Field(True, description="Apply the dataset's augmentation.")
    cut_out: int = Field(
        0, ge=0, le=4096, description="Side of a square of each training image that is set to the mean."
    )
    precision: TrainPrecision = Field(
        "auto", description="As asked for; what it resolved to is in the metrics."
    )
    device: TrainDevice = Field("auto", description="As asked for; what it resolved to is in the metrics.")
    seed: int = Field(0, ge=0, le=MAX_SEED)
    optimizer: Literal["sgd", "muon"] = Field(
        "sgd", description="muon: for convolutions, but those on the image itself; sgd for all else."
    )
    muon_rate: float = Field(
        0.15,
        gt=0,
        le=1000,
        description="Peak of muon's schedule: how far a step moves weights, relative to their norm.",
    )

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not used: keys older than these choices do not change."""
        fields: dict[str, Any] = serialise(self)
        if not fields.get("cut_out"):
            fields.pop("cut_out", None)
        if self.optimizer == "sgd":
            for name in ("optimizer", "muon_rate"):
                fields.pop(name, None)
        return fields


class FineTuneSpec(TrainSpec):
    """How a network is fine-tuned after it was pruned."""

    norm_images: int = Field(
        0,
        ge=0,
        le=2**53,
        description="Training images for recalibrating batch-norm statistics after pruning; 0: none.",
    )
    distill_weight: float = Field(
        0.0, ge=0, le=1, description="Share of the loss that is the distance from the dense model's logits."
    )
    distill_temperature: float = Field(
        4.0, gt=0, le=1e6, description="Softens both predictions before they are compared."
    )


class MethodSpec(StrictModel):
    """How channels are chosen and removed."""

    name: str = Field("magnitude", description="A name in METHODS.")
    schedule: Literal["iterative", "one-shot"] = "iterative"
    scope: Scope = "local"
    round_to: int = Field(2, ge=1, le=4096, description="Kept widths are multiples of this.")
    protect: Patterns = Field((), description="Patterns of layers whose outputs stay, sorted.")
    ratio_of: RatiosByPattern = Field(
        (), description="(pattern, ratio), sorted: layers with a ratio of their own, the same at every step."
    )
    max_ratio: MaxRatio = 1.0
    score_examples: int = Field(
        0, ge=0, le=MAX_IMAGES, description="Training examples that it ranks by; 0: it needs none."
    )
    allocation: Allocation = Field(
        (), description="(layer, kept width), sorted: what latency-aware keeps at this step."
    )

    @model_validator(mode="after")
    def _allocation_is_used(self) -> Self:
        """Refuse an allocation that would change a key, and no channel."""
        if self.allocation and self.name != LATENCY_AWARE:
            raise ValueError(f"only {LATENCY_AWARE} takes an allocation; got one for {self.name}")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not used: keys older than these fields do not change."""
        fields: dict[str, Any] = serialise(self)
        for name in ("protect", "ratio_of", "allocation", "score_examples"):
            if not fields.get(name):
                fields.pop(name, None)
        if self.max_ratio == 1:
            fields.pop("max_ratio", None)
        return fields


class DenseSpec(StrictModel):
    """A trained, unpruned network.

    One that comes with its weights is not trained: `train` then says on which device it is evaluated, and all
    else in it is at its default, so that the key does not hold what has no effect. With a new head it is
    trained, from those weights on.
    """

    stage: Literal["dense"] = "dense"
    model: ModelSpec
    dataset: DatasetSpec | TaskSpec
    train: TrainSpec


class RegularizedSpec(StrictModel):
    """A dense network trained on with a penalty on channels: what methods that prepare it cut afterwards.

    One serves all ratios, schedules and scopes, so the method's schedule and scope are at their defaults.
    """

    stage: Literal["regularized"] = "regularized"
    parent: str = Field(description="Key of the dense checkpoint that it starts from.")
    model: ModelSpec
    dataset: DatasetSpec | TaskSpec
    method: MethodSpec
    strength: float = Field(ge=0, description="Of the penalty; 0: a training like any other.")
    growth: float = Field(ge=0, description="Strengths that an epoch adds at most; 0 where none is added.")
    train: TrainSpec
    library: str = Field(description="Name and version of what finds the groups of channels.")


class PrunedSpec(StrictModel):
    """A network pruned from its parent to `ratio` and fine-tuned."""

    stage: Literal["pruned"] = "pruned"
    parent: str = Field(description="Key of the checkpoint this step starts from.")
    model: ModelSpec
    dataset: DatasetSpec | TaskSpec
    method: MethodSpec
    ratio: Ratio
    fine_tune: FineTuneSpec
    library: str = Field(description="Name and version of what did the pruning.")


CheckpointSpec = DenseSpec | RegularizedSpec | PrunedSpec


def canonical_json(spec: BaseModel) -> str:
    """Return the one JSON text of a spec: its fields, sorted, no white space."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def key_of(spec: CheckpointSpec, recipe_version: int = RECIPE_VERSION) -> str:
    """Return the key of the checkpoint that `spec` describes: 32 hexadecimal digits."""
    text = f"pruning-bench/{recipe_version}/{canonical_json(spec)}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
