"""A grid file and the options over it → a grid, which says what to measure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from pruning_core.config.allocation import OptimizeFor
from pruning_core.config.latency_options import LatencyOptions
from pruning_core.config.max_ratio import MaxRatio, check_ratios
from pruning_core.config.option_lines import option_line
from pruning_core.config.parse import (
    MAX_IMAGES,
    parse_backend,
    parse_batch_sizes,
    parse_epochs_by_ratio,
    parse_names,
    parse_ratios,
    parse_seeds,
    parse_threads,
)
from pruning_core.config.patterns import Patterns, RatiosByPattern
from pruning_core.config.recipes import find_recipe
from pruning_core.config.regularize import RegularizeOptions
from pruning_core.config.scopes import Scope
from pruning_core.config.spec import FineTuneSpec, MethodSpec, TrainSpec
from pruning_core.config.target_keys import TargetKeys, without_replaced
from pruning_core.config.validation import lines_of, option_error
from pruning_core.config.weights import WeightsByModel, WeightsChoice, check_weights_keys, choose_weights
from pruning_core.console.shown import shown
from pruning_core.errors import OptionError
from pruning_core.files.toml import TomlFile, read_toml

CLASSIFICATION = "classification"
"""The task of a grid that names no other."""


class Grid(TargetKeys):
    """The keys of a grid file; each list is one axis of the grid."""

    model: tuple[str, ...] = ("resnet18",)
    weights: WeightsByModel = Field((), description="Network → where its trained weights are.")
    strip_prefix: str = Field("", max_length=200, description="Before the names that count in that file.")
    new_head: bool = Field(False, description="Make a new last layer, and train from those weights.")
    dataset: tuple[str, ...] = ("digits",)
    task: str = Field(
        CLASSIFICATION,
        max_length=200,
        description="module:Class of your own, which brings its data: `dataset` does not count then.",
    )
    method: tuple[str, ...] = ("magnitude",)
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    schedule: Literal["iterative", "one-shot"] = "iterative"
    scope: Scope = "local"
    round_to: int = Field(2, ge=1, le=4096)
    protect: Patterns = Field((), description="Patterns of layers whose outputs stay.")
    ratio_of: RatiosByPattern = Field((), description="Pattern → ratio of its layers, at every step.")
    max_ratio: MaxRatio = 1.0
    score_examples: int = Field(
        128, ge=1, le=100_000, description="Training examples that data-driven methods rank by."
    )
    optimize_for: OptimizeFor = Field(
        "", max_length=200, description="Backend on which latency-aware is to be fast: openvino:int8, say."
    )
    optimize_batch_size: int = Field(1, ge=1, le=MAX_IMAGES)
    backends: tuple[str, ...] = ("eager",)
    devices: tuple[str, ...] = ("cpu",)
    batch_sizes: tuple[int, ...] = (1, 32)
    threads: tuple[int, ...] = Field((0,), description="0: as many as this process may use.")
    seeds: tuple[int, ...] = Field(
        (), description="Replicates: all is trained with each, in place of `seed`."
    )
    recipe: str = Field("", description="A name in RECIPES: what the rest of the file leaves open.")
    train: TrainSpec = TrainSpec()
    fine_tune: FineTuneSpec = FineTuneSpec(epochs=2, learning_rate=0.02)
    epochs_by_ratio: tuple[tuple[float, int], ...] = Field(
        (), description="[ratio, epochs]: from this ratio on a step is fine-tuned for that many epochs."
    )
    regularize: RegularizeOptions = RegularizeOptions()
    latency: LatencyOptions = LatencyOptions()

    @model_validator(mode="before")
    @classmethod
    def _with_recipe(cls, content: object) -> object:
        if not isinstance(content, dict) or not isinstance(name := content.get("recipe"), str) or not name:
            return content
        filled = {**find_recipe(name), **content}
        for section in ("train", "fine_tune"):
            if isinstance(content.get(section), dict):
                filled[section] = {**find_recipe(name)[section], **content[section]}
        return filled

    @field_validator("model", "dataset", "method", "backends", "devices", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return parse_names(value)

    @field_validator("devices")
    @classmethod
    def _devices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        first = {item.removesuffix(":0"): item for item in reversed(value)}  # cuda and cuda:0 are one
        for item in value:
            if (other := first[item.removesuffix(":0")]) != item:
                raise ValueError(f"{shown(other)} and {shown(item)} are one device; name it once")
        return value

    @field_validator("ratios", mode="before")
    @classmethod
    def _ratios(cls, value: object) -> object:
        return parse_ratios(value)

    @field_validator("batch_sizes", mode="before")
    @classmethod
    def _batch_sizes(cls, value: object) -> object:
        return parse_batch_sizes(value)

    @field_validator("threads", mode="before")
    @classmethod
    def _threads(cls, value: object) -> object:
        return parse_threads(value)

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: object) -> object:
        return parse_seeds(value)

    @field_validator("epochs_by_ratio", mode="before")
    @classmethod
    def _epochs_from(cls, value: object) -> object:
        return parse_epochs_by_ratio(value)

    @field_validator("backends")
    @classmethod
    def _backends(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known: dict[tuple[str, str], str] = {}
        for item in value:
            other = known.setdefault(parse_backend(item), item)
            if other is not item:
                raise ValueError(f"{shown(other)} and {shown(item)} are one backend; name it once")
        return value

    @model_validator(mode="after")
    def _ratios_are_allowed(self) -> Self:
        check_ratios(self.max_ratio, () if self.targets else self.ratios)
        return self

    @model_validator(mode="after")
    def _weights(self) -> Self:
        check_weights_keys(self.weights, self.strip_prefix, self.new_head, self.train.epochs)
        return self

    def weights_of(self, model: str) -> WeightsChoice | None:
        """Return where the weights of a network are; None: it is trained from its seed."""
        return choose_weights(self.weights, model, self.strip_prefix, self.new_head)

    @property
    def data(self) -> tuple[str, ...]:
        """Names of what is learnt from: datasets, or a task of the user's own."""
        return self.dataset if self.task == CLASSIFICATION else (self.task,)

    def ratios_for(self, model: str, data: str, method: str) -> tuple[float, ...]:
        """Return the ratios of one network by one method; all have the same, unless targets decide."""
        return self.ratios

    def of_seed(self, seed: int | None) -> Self:
        """Return the grid of one of its seeds; as it is where there is none."""
        if seed is None:
            return self
        sections = {"train": self.train, "fine_tune": self.fine_tune}
        update = {name: section.model_copy(update={"seed": seed}) for name, section in sections.items()}
        return self.model_copy(update=update)

    def fine_tune_at(self, ratio: float) -> FineTuneSpec:
        """Return how the step to `ratio` is fine-tuned."""
        epochs = [epochs for start, epochs in self.epochs_by_ratio if start <= ratio]
        return self.fine_tune.model_copy(update={"epochs": epochs[-1]}) if epochs else self.fine_tune

    def method_spec(self, name: str) -> MethodSpec:
        """Return the spec of method `name` with what this grid says of all methods."""
        shared = ("schedule", "scope", "round_to", "protect", "ratio_of", "max_ratio")
        try:
            return MethodSpec.model_validate({"name": name, **{key: getattr(self, key) for key in shared}})
        except ValidationError as error:
            raise option_error(error) from None


TWO_SOURCES = "task and dataset: a task of your own brings its data; leave dataset out"


def read_grid(path: Path, options: Mapping[str, Any] | None = None) -> Grid:
    """Read a grid file and lay the command line's options over it.

    Args:
        path: A TOML file with the fields of `Grid`.
        options: Field name → value from the command line, `latency.target_error` for a field of a section;
            None values are left out.

    Raises:
        OptionError: If the file is not there, is not valid TOML, or has an invalid value; the message
            names file and line.
    """
    file = read_toml(path, "grid file")
    try:
        Grid.model_validate(file.content)
    except ValidationError as error:
        raise OptionError(_explain_with_lines(error, file)) from None
    if {"task", "dataset"} <= file.content.keys() and file.content["task"] != CLASSIFICATION:
        raise OptionError(f"{TWO_SOURCES}{file.where('dataset')}")
    given = {k: v for k, v in (options or {}).items() if v is not None}
    return make_grid({**without_replaced(file.content, given), **given})


def make_grid(content: Mapping[str, Any]) -> Grid:
    """Build a grid from plain values, for example those of the command line.

    Args:
        content: Field name → value; `latency.target_error` for a field of a section.

    Raises:
        OptionError: One line for each field with an invalid value.
    """
    fields = dict(content)
    for name in [name for name in fields if "." in name]:
        section, _, field = name.partition(".")
        value, inner = fields.pop(name), fields.get(section, {})
        if isinstance(inner, Mapping):  # else it is refused below
            fields[section] = {**inner, field: value}
    try:
        return Grid.model_validate(fields)
    except ValidationError as error:
        raise OptionError(lines_of(error, lambda item: option_line(item, Grid))) from None


def _explain_with_lines(error: ValidationError, file: TomlFile) -> str:
    return lines_of(error, lambda item: f"{option_line(item, Grid)}{file.where(*item['loc'])}")
