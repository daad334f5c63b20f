"""The keys of a grid that say what a pruned network is to reach, in place of ratios."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from pruning_core.config.parse import MAX_IMAGES, parse_backend
from pruning_core.config.pictures import PictureOptions
from pruning_core.config.target_kinds import KINDS, Target, parse_targets
from pruning_core.console.shown import shown


def _parsed(key: str) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_targets(key, value))


Targets = tuple[Target, ...]


class TargetKeys(PictureOptions):
    """The keys of a grid that say what its networks are to reach, in place of `ratios`."""

    target_speedup: Annotated[Targets, _parsed("target_speedup")] = ()
    target_latency_ms: Annotated[Targets, _parsed("target_latency_ms")] = ()
    target_macs: Annotated[Targets, _parsed("target_macs")] = ()
    target_params: Annotated[Targets, _parsed("target_params")] = ()
    target_size_mb: Annotated[Targets, _parsed("target_size_mb")] = ()
    target_on: str = Field("", max_length=200, description="Backend and precision of times to reach.")
    target_batch_size: int | None = Field(
        None, ge=1, le=MAX_IMAGES, description="Examples in a call of theirs; not given: 1."
    )

    @property
    def targets(self) -> Targets:
        """All that is to be reached."""
        return tuple(target for key in KINDS for target in getattr(self, key))

    @model_validator(mode="after")
    def _is_one_question(self) -> Self:
        """Refuse targets beside ratios, and a setting that says nothing, or too little."""
        asked = [key for key in KINDS if getattr(self, key)]
        timed = [key for key in asked if KINDS[key].timed]
        given = [name for name in ("target_on", "target_batch_size") if getattr(self, name)]
        if asked and "ratios" in self.model_fields_set:
            raise ValueError(f"ratios and {asked[0]}: give one of them; a target finds the ratio itself")
        if timed and not self.target_on:
            raise ValueError(
                f"{timed[0]}: on which backend? Name it, --on openvino:int8 (in a grid: target_on)"
            )
        if given and not timed:
            raise ValueError(
                f"{given[0]}: says where times are to be reached; give target_speedup or target_latency_ms "
                "with it"
            )
        if "," in self.target_on:
            raise ValueError(
                f"target_on: one backend, since a ratio that meets a target on one may miss it on another; "
                f"got {shown(self.target_on)}"
            )
        if self.target_on:
            parse_backend(self.target_on)
        return self


def without_replaced(content: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a grid file without what options replace under another name: ratios by targets, and back.

    Args:
        content: Of the file.
        given: Options by the names of their fields.
    """
    targets = [key for key in KINDS if key in given]
    gone = {*KINDS, "ratios"} if targets else {*KINDS}
    if not any(KINDS[key].timed for key in targets):
        gone |= {"target_on", "target_batch_size"}
    return {k: v for k, v in content.items() if k not in gone} if targets or "ratios" in given else content
