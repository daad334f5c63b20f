"""What a network returns in training: logits, alone or with those of auxiliary heads; and the loss of them.

A head of its own on an early layer (GoogLeNet, Inception, deep supervision) adds gradient there while the
network is trained, and is not run afterwards. Which of several answers is the main one is found by trying: it
is the one that the network gives in evaluation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.errors import TrainingError
from pruning_core.models.copying import copy_network
from pruning_core.models.inspect import take_training_paths
from pruning_core.models.user import seeded

ONE_AUXILIARY_WEIGHT = 0.4
"""Of one auxiliary head. Source: PyTorch's tutorial "Finetuning Torchvision Models", for inception_v3."""

AUXILIARY_WEIGHT = 0.3
"""Of each of several. Source: Szegedy et al., "Going Deeper with Convolutions" (GoogLeNet), 2014."""

_MAIN_NAMES = ("logits", "out", "output", "outputs", "pred", "main")
_TRIED_IMAGES = 2


class Outputs:
    """Finds the logits in what one network returns in training mode."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        """Hold the network; it is tried only if it returns anything but logits.

        Args:
            network: As it is trained, where it is trained.
            classes: Width of its logits.
        """
        self._network, self._classes = network, classes
        self._main: str | None = None  # name of the main answer, once it is known

    def split(self, output: object, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits of the main head and those of the auxiliary ones, (N, classes) each.

        Args:
            output: What the network returned, in training mode.
            images: What it returned that for, (N, C, H, W).

        Raises:
            TrainingError: If there are no logits in it.
        """
        if isinstance(output, Tensor) and output.shape == (len(images), self._classes):
            return output, []
        answers = self._answers(output, len(images))
        if self._main is None:
            self._main = self._find_main(list(answers), images)
        if self._main is None or self._main not in answers:
            self._refuse(output, len(images))
        main = answers[self._main]
        return main, [answer for answer in answers.values() if answer is not main]

    def loss(self, output: object, images: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        """Return the cross-entropy of the main head, plus its share of that of each auxiliary one.

        Args:
            output: What the network returned, in training mode.
            images: What it returned that for, (N, C, H, W).
            labels: int64 (N,).
            label_smoothing: Of each cross-entropy.
        """
        main, auxiliary = self.split(output, images)
        loss = F.cross_entropy(main.float(), labels, label_smoothing=label_smoothing)
        weight = ONE_AUXILIARY_WEIGHT if len(auxiliary) == 1 else AUXILIARY_WEIGHT
        for answer in auxiliary:
            loss = loss + weight * F.cross_entropy(answer.float(), labels, label_smoothing=label_smoothing)
        return loss

    def _answers(self, output: object, n: int) -> dict[str, Tensor]:
        """Return all tensors in an output that may be logits, each once, by name."""
        found: dict[str, Tensor] = {}
        for name, tensor in _named_tensors(output, ""):
            known = any(tensor is other for other in found.values())
            if tensor.shape == (n, self._classes) and tensor.is_floating_point() and not known:
                found[name] = tensor
        return found

    def _find_main(self, names: list[str], images: Tensor) -> str | None:
        """Return the name of the main answer: the one given in evaluation; else by name, or the first."""
        if len(names) < 2:
            return next(iter(names), None)
        few = images[:_TRIED_IMAGES]
        tried = copy_network(self._network)
        with seeded(0, images.device), torch.no_grad():
            expected: Tensor = tried.eval()(few)
            take_training_paths(tried)
            answers = self._answers(tried(few), len(few))
        equal = [
            n for n, answer in answers.items() if n in names and torch.allclose(answer, expected, 1e-3, 1e-4)
        ]
        named = [n for n in names if n.rpartition(".")[2] in _MAIN_NAMES]
        return next(iter([*equal, *named, *names]))

    def _refuse(self, output: object, n: int) -> NoReturn:
        shapes = [f"{name} {_text(tensor)}".strip() for name, tensor in _named_tensors(output, "")]
        got = f"{type(output).__name__} of {', '.join(shapes) or 'no tensor'}"
        raise TrainingError(
            f"in training mode the network must return logits of {n}×{self._classes}, alone or among others "
            f"in a tuple, list or dict; got {_text(output) if isinstance(output, Tensor) else got}"
        )


def _named_tensors(output: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in what a network returned, by names such as `logits`, `1` or `aux.0`."""
    if isinstance(output, Tensor):
        yield name, output
        return
    items: Mapping[str, object] = {}
    if isinstance(output, Mapping):
        items = {str(key): value for key, value in output.items()}
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        items = dict(zip(output._fields, output, strict=True))
    elif isinstance(output, tuple | list):
        items = {str(i): value for i, value in enumerate(output)}
    elif is_dataclass(output):
        items = {field.name: getattr(output, field.name) for field in fields(output)}
    for key, value in items.items():
        yield from _named_tensors(value, f"{name}.{key}" if name else key)


def _text(value: object) -> str:
    return "×".join(map(str, value.shape)) or "a number" if isinstance(value, Tensor) else ""
