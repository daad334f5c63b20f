"""What every pruning method is: a name, a scope to rank in, and a function that cuts or masks a network."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec
from pruning_core.models.inputs import Inputs

LOGITS = "it makes the logits"
"""Why the classifier is protected."""

AUXILIARY = "it makes logits in training"
"""Why the last layer of an auxiliary head is."""

PER_HEAD = "it gives one number for each head, and heads stay"
"""Why a layer of an attention is."""


Losses = Callable[[nn.Module, bool], Iterator[Tensor]]
"""Network → the loss of each of some training examples, one by one, from which gradients flow. The flag asks
for labels that are drawn from what the network predicts, in place of the true ones."""


@dataclass(frozen=True)
class PruningStep:
    """One step of pruning, as asked for."""

    spec: MethodSpec
    ratio: float  # relative to the dense widths, whatever was removed before
    dense: nn.Module  # the network as built, unpruned; its widths are what `ratio` is relative to
    example: Inputs  # what the network takes, of one example
    protected: Mapping[str, str]  # layers whose outputs stay → why
    seed: int
    losses: Losses | None = None  # on training examples; None where there are none

    @property
    def sampling_seed(self) -> int:
        """Seed of what a method draws by chance: another one for another seed or ratio."""
        return self.seed * 1_000_003 + round(self.ratio * 10_000)


Kept = Mapping[str, tuple[Tensor, ...]]
"""Tensor name → for each of its dimensions the indices that were kept, int64, rising."""


Plain = bool | int | float | tuple[int, ...]
"""What a module notes of its widths."""

Attributes = Mapping[str, Mapping[str, tuple[Plain, Plain]]]
"""Module → attribute → its value before and after."""


@dataclass(frozen=True)
class KeptWhole:
    """A group of layers that keeps its width, and why."""

    root: str
    layers: tuple[str, ...]
    reason: str


def reasons_of(whole: Iterable[KeptWhole]) -> dict[str, str]:
    """Return the layer that each group is named after → why it keeps its width."""
    return {kept.root: kept.reason for kept in whole}


@dataclass(frozen=True)
class Outcome:
    """What a method did to a network."""

    requested: Mapping[str, int] = field(default_factory=dict)  # layer → outputs asked for, before rounding
    kept: Kept = field(default_factory=dict)  # of the network as it was before
    attributes: Attributes = field(default_factory=dict)
    proof: str = ""  # `exact`, or the statistics that change; empty where nothing was cut
    kept_whole: tuple[KeptWhole, ...] = ()
    groups: int | None = None  # that there are, those kept whole among them; None: a method that masks


class Method(Protocol):
    """A pruning method. `StructuredMethod` and `MaskingMethod` are the two families that there are."""

    name: str

    @property
    def masks(self) -> bool:
        """Whether weights are set to zero and held there, instead of channels removed."""
        ...

    @property
    def uses_data(self) -> bool:
        """Whether it ranks by what the network does on training examples."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """In which it can rank: within each layer (`local`), over all together (`global`), or both."""
        ...

    def library_version(self) -> str:
        """Return name and version of what does the pruning; it enters the key."""
        ...

    def prune(self, network: nn.Module, step: PruningStep) -> Outcome:
        """Cut or mask `network`, in place. What is masked changes no width: its outcome is an empty one."""
        ...
