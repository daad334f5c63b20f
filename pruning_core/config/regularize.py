"""How the dense network is trained on before the cut, for methods that prepare it: section `[regularize]`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from pruning_core.config.parse import MAX_EPOCHS
from pruning_core.config.spec import TrainSpec
from pruning_core.config.validation import StrictModel
from pruning_core.console.shown import shown

ALL = ""
"""Stands for a method's name where one strength is given for all."""

MAX_STRENGTH = 1000.0


def parse_strengths(value: object) -> tuple[tuple[str, float], ...]:
    """Turn one number for all methods, a table of method → strength, or pairs of them into sorted pairs.

    Raises:
        ValueError: If it is none of them, or a strength is no number from 0 to `MAX_STRENGTH`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = {ALL: value}
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if not isinstance(value, list | tuple) or not all(map(_is_pair, value)):
        raise ValueError(f"needs a number, or a table of them, as slimming = 0.001; got {shown(value)}")
    for name, strength in value:
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        if not number or not 0 <= strength <= MAX_STRENGTH:
            of = f" for {shown(name)}" if name else ""
            raise ValueError(
                f"the strength of a penalty is from 0 to {MAX_STRENGTH:g}; got {shown(strength)}{of}"
            )
    return tuple(sorted((name, float(strength)) for name, strength in value))


def _is_pair(item: object) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str)


class RegularizeOptions(StrictModel):
    """What a grid says of the training that prepares; all else is as in `[train]`."""

    epochs: int = Field(10, ge=1, le=MAX_EPOCHS)
    learning_rate: float = Field(0.05, gt=0, description="Peak of the schedule.")
    weight_decay: float = Field(0.0, ge=0, description="Beside the penalty, which takes its place.")
    strength: Annotated[tuple[tuple[str, float], ...], BeforeValidator(parse_strengths)] = Field(
        (), description="(method, strength), sorted; a method that is not there has its own default."
    )
    growth: float = Field(
        10.0, ge=0, le=1e6, description="Strengths that growing-reg adds to a penalty in an epoch, at most."
    )

    def strength_of(self, method: str, default: float) -> float:
        """Return the strength of a method's penalty: its own, else the one for all, else the default."""
        given = dict(self.strength)
        return given.get(method, given.get(ALL, default))

    def train_spec(self, train: TrainSpec) -> TrainSpec:
        """Return how a dense network is trained on: by SGD, since Muon keeps the norm of a weight.

        Args:
            train: How dense networks are trained.
        """
        own = {"epochs": self.epochs, "learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        sgd = {name: TrainSpec.model_fields[name].default for name in ("optimizer", "muon_rate")}
        return train.model_copy(update={**own, **sgd})
