"""What is exported is a network for images so far; another task is refused in one line."""

from pruning_core.config.spec import CheckpointSpec, DatasetSpec
from pruning_core.errors import OptionError


def images_of(spec: CheckpointSpec) -> DatasetSpec:
    """Return the images of a checkpoint's spec.

    Raises:
        OptionError: If it is of another task than classification.
    """
    if isinstance(spec.dataset, DatasetSpec):
        return spec.dataset
    raise OptionError(
        f"export writes networks of classification; {spec.model.name} is of task {spec.dataset.name}. "
        "Load it by pruning_core.api.load, and export it by torch.onnx or torch.export"
    )
