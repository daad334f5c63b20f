"""How training images are augmented: part of what a dataset is."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from pruning_core.config.validation import StrictModel


class AugmentSpec(StrictModel):
    """How training images are augmented; a property of the dataset: a mirrored digit is not a digit."""

    flip: bool = Field(description="Mirror left-right half of the time.")
    crop_padding: int = Field(ge=0, le=16, description="Pixels of reflected border to crop from at random.")
    resized_crop: bool = Field(
        False, description="Cut out a random part of 8 to 100 % of the area, and resize it; no border then."
    )

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not done: keys older than this field do not change."""
        fields: dict[str, Any] = serialise(self)
        if not fields.get("resized_crop"):
            fields.pop("resized_crop", None)
        return fields
