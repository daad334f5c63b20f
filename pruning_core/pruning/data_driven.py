"""Methods that rank by what the network does on training examples: each gives every weight a score.

Gradients are taken for one example at a time, of a copy of the network, in evaluation mode but for what only
a training has, such as auxiliary heads. The scores of a channel's weights are added up, and averaged over the
layers of its group, as those of `magnitude` are. Over all layers they are ranked relative to their group's
mean, as torch-pruning's are.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from pruning_core.errors import PruningError, first_line
from pruning_core.pruning.base import Losses, PruningStep
from pruning_core.pruning.stand_in_weights import score_with
from pruning_core.pruning.structured import Importance, StructuredMethod
from pruning_core.torchvision_compat import torch_pruning as tp

Scores = Mapping[nn.Parameter, Tensor]
"""Parameter → a score of each of its numbers, at least 0; those that are missing have no part in the loss."""


class DataDrivenMethod(StructuredMethod):
    """A structured method that needs training examples; how many is `score_examples` of its spec."""

    uses_data = True

    @abstractmethod
    def scores(self, network: nn.Module, losses: Losses) -> Scores:
        """Return what each weight is worth.

        Args:
            network: All its parameters require gradients.
            losses: On training examples.
        """

    def importance(self) -> Importance:
        """Return how scores of weights become those of channels: by their sum, averaged over layers."""
        score: Importance = tp.importance.MagnitudeImportance(p=1)
        return score

    def importance_of(self, network: nn.Module, step: PruningStep) -> Importance:
        """Return the score of channels that the scores of weights give.

        Raises:
            PruningError: If there are no training examples, or the loss on one is no finite number.
        """
        scores = self.scores(network, losses_of(self.name, step))
        if any(not bool(score.isfinite().all()) for score in scores.values()):
            raise PruningError(
                f"{self.name}: the loss on training examples is no finite number, so nothing ranks"
            )
        return score_with(self.importance(), lambda weight: scores.get(weight, torch.zeros_like(weight)))


def losses_of(name: str, step: PruningStep) -> Losses:
    """Return the losses of a step.

    Raises:
        PruningError: If it has none.
    """
    if step.losses is None:
        raise PruningError(
            f"{name} ranks channels by training examples, which `prepare` and the suites have, and this has "
            "not; in local scope the widths are those of magnitude"
        )
    return step.losses


def gradients(network: nn.Module, losses: Iterator[Tensor]) -> Iterator[dict[nn.Parameter, Tensor]]:
    """Walk over the gradients of losses, one by one; what a loss does not depend on is left out.

    Args:
        network: Its parameters require gradients.
        losses: Each a number.

    Raises:
        PruningError: If a loss has no gradients.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for loss in losses:
        try:
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
        except RuntimeError as error:  # a forward that detaches, or changes in place what it needs again
            raise PruningError(
                f"the loss of a training example has no gradients: {first_line(error)}"
            ) from error
        yield {p: g for p, g in zip(parameters, found, strict=True) if g is not None}


def mean_of(found: Iterator[Mapping[nn.Parameter, Tensor]]) -> dict[nn.Parameter, Tensor]:
    """Return the mean of each parameter's tensors; where one is missing it counts as zero."""
    total: dict[nn.Parameter, Tensor] = {}
    n = 0
    for each in found:
        n += 1
        for parameter, value in each.items():
            total[parameter] = total[parameter] + value if parameter in total else value.clone()
    return {parameter: value / n for parameter, value in total.items()}
