"""What every pruning method is: a name, a scope to rank in, and a function that cuts or masks a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from pruning_core.config.spec import MethodSpec


@dataclass(frozen=True)
class PruningStep:
    """One step of pruning, as asked for."""

    spec: MethodSpec
    ratio: float  # relative to the dense widths, whatever was removed before
    dense: nn.Module  # the network as built, unpruned; its widths are what `ratio` is relative to
    example: Tensor  # (1, C, H, W)
    protected: tuple[str, ...]  # names of layers whose outputs stay: the classifier
    seed: int

    @property
    def sampling_seed(self) -> int:
        """Seed of what a method draws by chance: another one for another seed or ratio."""
        return self.seed * 1_000_003 + round(self.ratio * 10_000)


class Method(Protocol):
    """A pruning method. `StructuredMethod` and `MaskingMethod` are the two families that there are."""

    name: str

    @property
    def masks(self) -> bool:
        """Whether weights are set to zero and held there, instead of channels removed."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """In which it can rank: within each layer (`local`), over all together (`global`), or both."""
        ...

    def library_version(self) -> str:
        """Return name and version of what does the pruning; it enters the key."""
        ...

    def prune(self, network: nn.Module, step: PruningStep) -> Mapping[str, int]:
        """Cut or mask `network`, in place; return layer name → output width asked for, before rounding.

        A method that masks changes no width and returns nothing of that.
        """
        ...
