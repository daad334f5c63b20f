"""What else could be asked for, measured in pairs; what brings no gain beyond its interval is not said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from pruning_core.errors import PruningError
from pruning_core.explain.groups import WidthGroup, rounded, with_widths
from pruning_core.explain.reasons import LAUNCH, TOO_SMALL, PairedRatio
from pruning_core.models.inputs import Inputs
from pruning_core.pruning.cost import count_cost
from pruning_core.shapes.timing import Advance, Say, Setting, SettingTimes, ShapeTime, time_shapes

MULTIPLES = (8, 16, 32)
"""Of channels: what vector units and int8 kernels of CPUs and GPUs take at once."""

BATCH_SIZE = 32
"""Tried where a call is too small for the machine."""

MIN_SMALL_SHARE = 0.2
"""Of the time: from here on a larger batch is tried."""

Time = Callable[[nn.Module, Sequence[nn.Module], Inputs, Sequence[Setting]], list[SettingTimes]]
"""Reference, networks, one example, settings → their times."""


@dataclass(frozen=True)
class Advice:
    """An option that is faster, and what it costs."""

    option: str
    before: float  # speed-up over the dense network in the same setting
    after: float
    gain: float  # of time, from pairs where there are any
    gain_low: float
    gain_high: float
    macs: float  # multiply-adds: fraction more or less; 0: the same
    where: str

    @property
    def text(self) -> str:
        """In a line: what to ask for, what it brings, where."""
        change = f", MACs {'+' if self.macs > 0 else '−'}{abs(100 * self.macs):.0f} %" if self.macs else ""
        return (
            f"`{self.option}`: {self.before:.3g}× → {self.after:.3g}× on {self.where}{change} "
            f"(gain {self.gain:.2f} [{self.gain_low:.2f}–{self.gain_high:.2f}])"
        )

    def content(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "text": self.text}


@dataclass(frozen=True)
class Tried:
    """What was measured: what to do, what was tried in vain, and the speed-up as it is."""

    advice: tuple[Advice, ...]
    without_gain: tuple[str, ...]
    speedup: PairedRatio | None  # dense ÷ pruned
    contention: str


def advise(
    dense: nn.Module,
    network: nn.Module,
    groups: Sequence[WidthGroup],
    example: Inputs,
    setting: Setting,
    time_of_reason: Mapping[str, float],
    *,
    say: Say = lambda text: None,
    advance: Advance = lambda done, planned: None,
    time: Time | None = None,
) -> Tried:
    """Time what could be done about it.

    Args:
        dense: Unpruned.
        network: Pruned.
        groups: Of the network.
        example: What both take, of one example.
        setting: In which it is to be faster.
        time_of_reason: Word → share of the time of the layers that it was said of.
        say: Called with what is being made ready.
        advance: Called with the rounds done and planned.
        time: Times networks; by default `time_shapes`.
    """
    time = time or (
        lambda reference, networks, one, settings: time_shapes(
            reference, networks, one, settings, advance=advance, say=say
        )
    )
    tried: list[tuple[int, nn.Module]] = []
    seen = [{group.root: group.kept for group in groups if not group.whole}]
    for multiple in MULTIPLES:
        widths = rounded(groups, multiple, up=False)
        if widths not in seen:
            seen.append(widths)
            try:
                tried.append((multiple, with_widths(dense, groups, widths, example)[0]))
            except PruningError:  # a width that some group cannot have
                continue
    (times,) = time(network, [dense, *(other for _, other in tried)], example, [setting])
    of_dense, *of_tried = times.networks
    if of_dense is None:
        return Tried((), (), None, times.problem)
    speedup = PairedRatio(1 / of_dense.speedup, 1 / of_dense.speedup_high, 1 / of_dense.speedup_low)
    macs = count_cost(network, example).macs
    found, in_vain = [], []
    for (multiple, other), timed in zip(tried, of_tried, strict=True):
        option = f"--round-to {multiple}"
        if timed is None or timed.speedup_low <= 1:
            in_vain.append(f"{option}: {_interval(timed)}")
            continue
        change = count_cost(other, example).macs / macs - 1
        found.append(_advice(option, speedup.value, timed, change, setting.label))
    contention = times.problem
    small = sum(time_of_reason.get(word, 0.0) for word in (LAUNCH, TOO_SMALL))
    if setting.batch_size < BATCH_SIZE and small > MIN_SMALL_SHARE:
        larger = replace(setting, batch_size=BATCH_SIZE)
        (of_larger,) = time(dense, [network], example, [larger])
        timed, contention = of_larger.networks[0], contention or of_larger.problem
        if timed is not None and timed.speedup_low > speedup.high:
            gain = PairedRatio(
                timed.speedup / speedup.value,
                timed.speedup_low / speedup.high,
                timed.speedup_high / speedup.low,
            )
            found.append(
                Advice(
                    f"--batch-sizes {BATCH_SIZE}",
                    speedup.value,
                    timed.speedup,
                    gain.value,
                    gain.low,
                    gain.high,
                    0.0,
                    larger.label,
                )
            )
        else:
            in_vain.append(f"--batch-sizes {BATCH_SIZE}: {_interval(timed)}, dense to pruned")
    ranked = sorted(found, key=lambda item: -item.gain)
    return Tried(tuple(ranked), tuple(in_vain), speedup, contention)


def _advice(option: str, before: float, timed: ShapeTime, macs: float, where: str) -> Advice:
    after = before * timed.speedup
    return Advice(option, before, after, timed.speedup, timed.speedup_low, timed.speedup_high, macs, where)


def _interval(timed: ShapeTime | None) -> str:
    if timed is None:
        return "it cannot run"
    return f"{timed.speedup:.2f} [{timed.speedup_low:.2f}–{timed.speedup_high:.2f}]"
