"""A grid whose ratios were found for its targets: each network and method has ratios of its own."""

from dataclasses import dataclass

from pruning_core.config.grid import Grid
from pruning_core.config.parse import parse_backend
from pruning_core.config.target_kinds import Target
from pruning_core.records.controls import DENSE_PLUS, architecture_of, is_control


@dataclass(frozen=True)
class FoundRatio:
    """What was found for one target of one network by one method."""

    target: Target
    setting: str  # in which it was timed, `openvino:int8, batch 1`; empty: it was counted
    reached: bool
    ratio: float  # that reaches it, 0 where dense does; else the ratio that comes nearest
    value: float  # reached there, in the target's unit: a speed-up, milliseconds, a count, megabytes
    low: float  # 95 % bounds of it; of a count they are the value
    high: float
    contention: str = ""  # what else ran on the machine while it was timed; empty: nothing

    @property
    def wanted(self) -> str:
        """The target in words, with where it is to be reached."""
        return f"{self.target.text} on {self.setting}" if self.setting else self.target.text

    @property
    def got(self) -> str:
        """What the ratio gives in words, with its interval."""
        words = self.target.kind.words
        if not self.setting:
            return words(
                float(f"{self.value:.4g}" if self.target.factor else f"{self.value:.6g}"), self.target.factor
            )
        shown = words(float(f"{self.value:.3g}"), self.target.factor)
        return f"{shown} [{self.low:.3g}, {self.high:.3g}]"

    @property
    def how(self) -> str:
        """The ratio in words: `ratio 0.62`, or `dense`."""
        return f"ratio {self.ratio:g}" if self.ratio else "dense, unpruned,"


class SearchedGrid(Grid):
    """A grid whose targets have become ratios: all that follows sees ratios alone."""

    found: tuple[tuple[tuple[str, str, str], FoundRatio], ...] = ()
    """(network, dataset or task, method), and what was found for one of its targets."""

    @classmethod
    def of(cls, grid: Grid, found: tuple[tuple[tuple[str, str, str], FoundRatio], ...]) -> "SearchedGrid":
        """Return a grid with the ratios that were found; what it asks for besides is as it was."""
        fields = {name: getattr(grid, name) for name in type(grid).model_fields}
        fields["ratios"] = tuple(sorted({item.ratio for _, item in found if item.reached and item.ratio}))
        if grid.target_on:  # what a target is about is measured too, whatever else is
            if parse_backend(grid.target_on) not in map(parse_backend, grid.backends):
                fields["backends"] = (*grid.backends, grid.target_on)
            sizes = {*grid.batch_sizes, grid.target_batch_size or 1}
            fields["batch_sizes"] = tuple(sorted(sizes)) if sizes - {*grid.batch_sizes} else grid.batch_sizes
        return cls.model_construct(**{**fields, "found": found})

    def found_for(self, model: str, data: str, method: str) -> list[FoundRatio]:
        """Return what was found for one network by one method; `scratch:METHOD` has what its method has."""
        wanted = (model, data, architecture_of(method) or method)
        return [item for key, item in self.found if key == wanted]

    def ratios_for(self, model: str, data: str, method: str) -> tuple[float, ...]:
        """Return the ratios that were found for one network by one method, rising.

        `dense+` goes as many steps as the first method has ratios, or the first control that prunes.
        """
        if method == DENSE_PLUS:
            others = [name for name in self.method if name != DENSE_PLUS]
            method = min(others, key=is_control, default=method)
        found = self.found_for(model, data, method)
        return tuple(sorted({item.ratio for item in found if item.reached and item.ratio}))
