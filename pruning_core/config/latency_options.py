"""The section `[latency]` of a grid file."""

from typing import Self

from pydantic import Field, model_validator

from pruning_core.config.validation import StrictModel


class LatencyOptions(StrictModel):
    """How long and how closely latency is measured."""

    min_rounds: int = Field(10, ge=5, le=1000, description="A B B A rounds before the first look.")
    max_rounds: int = Field(
        40, ge=5, le=1000, description="Rounds double from look to look, up to this; not below min_rounds."
    )
    target_error: float = Field(
        0.02, gt=0, lt=1, description="A cell is done when its interval is narrower than ± this."
    )
    budget_s: float = Field(
        60.0,
        gt=0,
        le=86_400,
        description="No more rounds than fit into this for a cell, into four times this for a control.",
    )
    warmup_ms: float = Field(500.0, ge=0, le=600_000, description="Shortest warm-up of each of the pair.")
    sample_ms: float = Field(20.0, gt=0, le=60_000, description="A sample is enough calls to last this long.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the interval of a speed-up.")
    control_tolerance: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="An A/A control clearly farther than this from 1 contaminates the times.",
    )

    @model_validator(mode="after")
    def _rounds(self) -> Self:
        if self.max_rounds < self.min_rounds and "max_rounds" in self.model_fields_set:
            raise ValueError(f"max_rounds, {self.max_rounds}, is below min_rounds, {self.min_rounds}")
        return self

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of rounds after which the intervals are looked at: each twice the one before."""
        looks = [self.min_rounds]
        while 2 * looks[-1] <= self.max_rounds:
            looks.append(2 * looks[-1])
        return tuple(looks)
