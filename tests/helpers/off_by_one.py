"""A test double of torch-pruning: for one kind of layer it cuts the next channel."""

from dataclasses import dataclass

from pruning_core.torchvision_compat import torch_pruning as tp


@dataclass(frozen=True)
class OffByOne:
    """Which function of torch-pruning is wrong."""

    kind: str  # of layer, as torch-pruning calls its pruners
    direction: str  # out, in; or both, where one function is for both
    every: int = 1  # how many calls there are to a wrong one
    how_many: str = "all"  # channels of a call that are wrong: all, or one

    def has(self, dependency):
        """Tell whether a cut is done by the wrong function."""
        pruner = dependency.handler.__self__
        return type(pruner) is getattr(tp.function, f"{self.kind}Pruner") and (
            self.direction == "both" or dependency.handler.__name__ == f"prune_{self.direction}_channels"
        )

    def install(self, monkeypatch):
        """Put it in the place of torch-pruning's own; return the list of its calls, which grows.

        What a group is made of, and how it is ranked, is as before: only the cut is wrong.
        """
        right, calls = tp.dependency.Dependency.__call__, []

        def cut(dependency, idxs):
            if self.has(dependency):
                calls.append(dependency)
                if len(calls) % self.every == 0:
                    idxs = shifted(idxs, width_of(dependency), self.how_many)
            return right(dependency, idxs)

        monkeypatch.setattr(tp.dependency.Dependency, "__call__", cut)
        return calls


def width_of(dependency):
    """Return how many channels there are to cut; None of an operation that has none of its own."""
    pruner = dependency.handler.__self__
    pruner.pruning_dim = dependency.target.pruning_dim  # as torch-pruning does it
    return getattr(pruner, dependency.handler.__name__.replace("prune", "get"))(dependency.target.module)


def shifted(idxs, width, how_many="all"):
    """Return the next channels in the place of all, or of the first that has one beside it that stays."""
    if how_many == "all":
        return sorted((index + 1) % width for index in idxs)
    for index in sorted(idxs):
        if (index + 1) % width not in idxs:
            return sorted({*idxs, (index + 1) % width} - {index})
    raise AssertionError("all channels would go")
