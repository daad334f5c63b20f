"""Networks that begin with trained weights: what their key says of them, how they are trained, and loading.

The spec holds a hash of the tensors and no path. So where they are is remembered in the workspace, by hash.
"""

from torch import nn

from pruning_core.config.grid import Grid
from pruning_core.config.spec import DatasetSpec, DenseSpec, ModelSpec, TrainSpec
from pruning_core.config.weights import WeightsChoice
from pruning_core.errors import ModelError
from pruning_core.models.weights import Weights, read_weights
from pruning_core.tasks.base import Task
from pruning_core.workspace import Workspace

MAX_NORMALIZATION_DIFFERENCE = 0.02
"""Of a mean or deviation, of pixels in [0, 1]; each dataset's own rounding is far below."""


def model_with_weights(model: ModelSpec, grid: Grid, task: Task, workspace: Workspace) -> ModelSpec:
    """Return the spec of a model with the hash of its weights, as it is where the grid names none.

    Args:
        model: As `model_spec` gives it.
        grid: Says where the weights are.
        task: What it is for.
        workspace: Remembers what was read; it says what a user should know.

    Raises:
        ModelError: If they are not there, cannot be read, or do not fit.
    """
    choice = grid.weights_of(model.name)
    if choice is None:
        return model
    if choice.new_head and not isinstance(task.spec, DatasetSpec):
        raise ModelError("a new head is made for other classes: without a dataset of images there are none")
    asked = (model, choice, task.spec.fingerprint)
    if asked not in workspace.weights:
        found = _read(model.name, choice, task, workspace)
        for note in (*found.notes, *_normalization_note(found, task)):
            workspace.display.say(note)
        workspace.weights[asked] = found.sha256
    update = {"weights_sha256": workspace.weights[asked], "new_head": choice.new_head}
    return model.model_copy(update=update)


def dense_training(grid: Grid, model: ModelSpec) -> TrainSpec:
    """Return how a dense model is trained: as the grid says; not at all where it comes with its weights."""
    if model.weights_sha256 and not model.new_head:
        return TrainSpec(epochs=0, device=grid.train.device)
    return grid.train


def load_weights(network: nn.Module, spec: DenseSpec, task: Task, workspace: Workspace) -> None:
    """Load the weights that a dense network comes with, in place; nothing where it comes with none.

    Raises:
        ModelError: If they are others by now than when their hash was made.
    """
    model = spec.model
    if not model.weights_sha256:
        return
    before = model.model_copy(update={"weights_sha256": "", "new_head": False})
    choice = next(
        choice
        for (named, choice, fingerprint), sha256 in workspace.weights.items()
        if (named, fingerprint, sha256) == (before, spec.dataset.fingerprint, model.weights_sha256)
    )
    found = _read(model.name, choice, task, workspace)
    if found.sha256 != model.weights_sha256:
        raise ModelError(f"weights {choice.source} have changed since this run began; nothing was stored")
    found.load_into(network)


def _read(model: str, choice: WeightsChoice, task: Task, workspace: Workspace) -> Weights:
    classes = task.spec.classes if isinstance(task.spec, DatasetSpec) else 0
    network, download = task.build(model), workspace.download
    return read_weights(network, model, choice, classes, task.example(), download=download)


def _normalization_note(weights: Weights, task: Task) -> list[str]:
    """Say where a network was trained on images that were normalised otherwise."""
    images = task.spec
    if weights.normalization is None or not isinstance(images, DatasetSpec):
        return []
    here = (*images.mean, *images.std)
    expected = tuple(number for numbers in weights.normalization for number in numbers)
    near = len(here) == len(expected) and all(
        abs(a - b) <= MAX_NORMALIZATION_DIFFERENCE for a, b in zip(here, expected, strict=True)
    )
    if near:
        return []
    mean, std = (", ".join(f"{number:g}" for number in numbers) for numbers in weights.normalization)
    return [
        f"note: these weights were trained on images normalised by mean {mean} and deviation {std}, and here "
        "they are not: the accuracy may be lower than it could be (key normalize of the grid)"
    ]
