"""Trained weights of a network: read, checked against it, hashed by content, loaded.

All of a network's tensors are in the file or the error says which are not; nothing is taken by half. The hash
is of the tensors under the network's own names, so that neither path nor format decides a key.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pruning_core.config.weights import WeightsChoice, is_published
from pruning_core.console.shown import shortened
from pruning_core.errors import ModelError, first_line
from pruning_core.files.home import expand_home
from pruning_core.models import build_model
from pruning_core.models.finite import infinite_by_design, is_damaged
from pruning_core.models.inputs import Inputs
from pruning_core.models.inspect import find_heads
from pruning_core.models.weights.difference import Wanted
from pruning_core.models.weights.files import check_weights_file, read_weights_file
from pruning_core.models.weights.names import OtherClassesError, fit_names
from pruning_core.models.weights.published import Color, Published, published_file
from pruning_core.models.weights.timm_weights import find_timm_weights
from pruning_core.models.weights.torchvision_weights import find_torchvision_weights
from pruning_core.models.weights.types import converted
from pruning_core.models.zoo import Image

PUBLISHERS: dict[str, Callable[[str, str], Published]] = {
    "timm": find_timm_weights,
    "torchvision": find_torchvision_weights,
}
"""Library → function of (source, name of the network) that looks its published weights up."""

MAX_NAME_LENGTH = 150
"""Characters of a file's name in a record."""


@dataclass(frozen=True)
class Weights:
    """Trained weights that fit a network."""

    tensors: Mapping[str, Tensor]  # first name in the network → tensor, of the network's type
    sha256: str  # of these
    notes: tuple[str, ...]  # what a user should know of how they were read
    normalization: tuple[Color, Color] | None  # mean and deviation that they expect; None: not known

    def load_into(self, network: nn.Module) -> None:
        """Load them into a network like the one that they fit, in place; a head that they lack stays.

        Raises:
            ModelError: If the network takes others than it is given.
        """
        wanted = Wanted(network)
        content = network.state_dict()  # with the versions of its layers, by which some load
        content.update({n: self.tensors[f] for n, f in wanted.firsts.items() if f in self.tensors})
        try:
            network.load_state_dict(content)
        except Exception as error:  # of hooks of the user's
            raise ModelError(f"the network does not load its weights: {first_line(error)}") from error
        for name, tensor in self.tensors.items():
            if not torch.equal(wanted.tensors[name].detach(), tensor):
                raise ModelError(
                    f"the network changes {name!r} when it loads its weights, and is not as trained"
                )


def check_weights(choice: WeightsChoice, model: str) -> None:
    """Find out before any work whether weights can be had, without reading them.

    Raises:
        ModelError: If a file is not there.
        OptionError: If no library has published such weights.
    """
    if is_published(choice.source):
        _published(choice.source, model)
    else:
        check_weights_file(_path_and_key(choice.source)[0])


def describe_file(choice: WeightsChoice, model: str, download: bool) -> str:
    """Return the name and the hash of the very file that holds weights, without reading tensors.

    Args:
        choice: Where they are.
        model: Name of the network.
        download: Whether published weights may be downloaded, now.

    Raises:
        ModelError: If it is not there.
        OptionError: If no library has published such weights.
    """
    check_weights(choice, model)
    path = _path_and_key(choice.source)[0]
    if is_published(choice.source):
        path = published_file(_published(choice.source, model), download)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    options = [f"without {choice.strip_prefix}"] * bool(choice.strip_prefix) + ["new head"] * choice.new_head
    return ", ".join([f"{weights_name(choice, model)} {digest[:32]}", *options])


def read_weights(
    network: nn.Module,
    model: str,
    choice: WeightsChoice,
    classes: int,
    example: Inputs,
    *,
    download: bool = False,
) -> Weights:
    """Read the weights of a network.

    Args:
        network: As `build_model` gives it, on the CPU; it stays as it is.
        model: Its name.
        choice: Where its weights are.
        classes: Width of the last layer; 0 where it makes no logits of classes.
        example: What it takes.
        download: Whether published weights may be downloaded.

    Raises:
        OtherClassesError: If they are of another number of classes, and no new head is asked for.
        ModelError: If they are not there, cannot be read, do not fit, or hold what is no finite number.
    """
    normalization: tuple[Color, Color] | None = None
    if is_published(choice.source):
        published = _published(choice.source, model)
        found = read_weights_file(published_file(published, download))
        given, name = published.adapt(found.tensors), published.name
        normalization = published.mean, published.std
    else:
        found = read_weights_file(*_path_and_key(choice.source))
        given, name = found.tensors, choice.source
    refused = f"weights {name} do not fit {model}"
    fitted = fit_names(
        network,
        given,
        refused,
        heads=find_heads(network, example),
        classes=classes,
        strip_prefix=choice.strip_prefix,
        new_head=choice.new_head,
    )
    by_design = infinite_by_design(network)
    wanted, notes = Wanted(network), [f"weights {name}: {note}" for note in found.notes]
    others: dict[str, int] = {}
    tensors: dict[str, Tensor] = {}
    for own, tensor in fitted.items():
        if tensor.dtype is not wanted.tensors[own].dtype:
            others[str(tensor.dtype)] = others.get(str(tensor.dtype), 0) + 1
        tensors[own] = converted(tensor.detach(), wanted.tensors[own], f"{refused}: {own}")
        if is_damaged(own, tensors[own], by_design):
            raise ModelError(f"weights {name}: {own} holds what is no finite number (NaN, or infinite)")
    for kind, count in others.items():
        kind = kind.removeprefix("torch.")
        notes.append(
            f"weights {name}: {count} tensor{'s' * (count > 1)} of {kind} turned into the network's type"
        )
    return Weights(tensors, _hash_of(tensors), tuple(notes), normalization)


def build_with_weights(model: str, weights: WeightsChoice | None, classes: int, image: Image) -> nn.Module:
    """Build a network, untrained or with weights that are on this machine (see `build_model`)."""
    network = build_model(model, classes, image)
    if weights is not None:
        read_weights(network, model, weights, classes, torch.zeros(1, *image)).load_into(network)
    return network


def classes_for(
    model: str,
    weights: WeightsChoice,
    classes: int | None,
    usual: int,
    image: tuple[int, int, int],
    download: bool,
) -> int:
    """Return how many classes a network with weights has: those asked for, else those that the weights know.

    Args:
        model: Its name.
        weights: Where they are.
        classes: Asked for; None: whatever fits.
        usual: Tried first.
        image: Channels, height, width.
        download: Whether published weights may be downloaded, now.

    Raises:
        ModelError: If they cannot be read, or do not fit whatever the number is.
    """
    network = build_model(model, classes or usual, image)
    try:
        read_weights(network, model, weights, classes or usual, torch.zeros(1, *image), download=download)
    except OtherClassesError as error:
        if classes is not None:
            raise
        return error.classes
    return classes or usual


def weights_name(choice: WeightsChoice, model: str) -> str:
    """Return what records call weights: a file's name without its folders, or the library's name for them."""
    if is_published(choice.source):
        return _published(choice.source, model).name
    path, key = _path_and_key(choice.source)
    return shortened(f"{path.name}{f'#{key}' if key else ''}", MAX_NAME_LENGTH)


def _published(source: str, model: str) -> Published:
    return PUBLISHERS[source.partition(":")[0]](source, model)


def _path_and_key(source: str) -> tuple[Path, str]:
    """Split `FILE#KEY`; a file of that very name goes before."""
    path = expand_home(Path(source), "weights", ModelError)
    stem, sign, key = source.rpartition("#")
    if sign and stem and key and not path.exists():
        return expand_home(Path(stem), "weights", ModelError), key
    return path, ""


def _hash_of(tensors: Mapping[str, Tensor]) -> str:
    content = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        content.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        content.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()
