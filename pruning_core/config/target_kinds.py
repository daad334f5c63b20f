"""Targets: what a pruned network is to reach, in place of the ratio that would reach it.

The ratio is found later (`shapes/search.py`), since it depends on the network and often on the machine. What
a text means depends on nothing: `4` of a speed-up is four times, `50M` of MACs is a count, `4x` of MACs is
four times fewer than dense. Light: the options of every pytest run are made of these.
"""

import re
from dataclasses import dataclass

from pruning_core.config.parse import MAX_AXIS_LENGTH
from pruning_core.console.shown import shown

MAX_TARGETS = 50
"""Targets of one kind: each may need shapes of its own to be timed."""

_NUMBER = r"\d{1,15}(?:\.\d{1,9})?(?:e\+?\d{1,2})?"
_POWERS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


@dataclass(frozen=True)
class TargetKind:
    """What can be asked for: how its values are written, and how they are said."""

    key: str  # of a grid; as an option with dashes
    unit: str  # behind an amount; "" for a count
    noun: str  # what a factor divides; "" where none can be given
    timed: bool  # whether it depends on a machine
    allowed: str  # how its values are written

    def words(self, amount: float, factor: bool) -> str:
        """Say an amount, `4x`, `2.5 ms`, `50M MACs`, or a factor of it, `4x fewer MACs`."""
        if factor:
            return f"{amount:g}x fewer {self.noun}"
        return f"{count_text(amount)} {self.noun}" if self.noun else f"{amount:g}{self.unit}"


KINDS: dict[str, TargetKind] = {
    kind.key: kind
    for kind in (
        TargetKind("target_speedup", "x", "", True, "how many times as fast as dense, above 1, as 4 or 4x"),
        TargetKind("target_latency_ms", " ms", "", True, "milliseconds above 0, as 2.5"),
        TargetKind("target_macs", "", "MACs", False, "a count, as 50M, or so many times fewer, as 4x"),
        TargetKind(
            "target_params", "", "parameters", False, "a count, as 2.5M, or so many times fewer, as 4x"
        ),
        TargetKind("target_size_mb", " MB", "", False, "megabytes of weights above 0, as 10"),
    )
}
"""Key of a grid → what its values are."""


@dataclass(frozen=True)
class Target:
    """One thing to reach."""

    key: str  # of KINDS
    amount: float
    factor: bool = False  # so many times fewer than dense

    @property
    def kind(self) -> TargetKind:
        """What is asked for."""
        return KINDS[self.key]

    @property
    def text(self) -> str:
        """The target in words."""
        return self.kind.words(self.amount, self.factor)


def count_text(amount: float) -> str:
    """Return a count as options take it, with three digits that count: `50M`, `1.23G`."""
    for sign, power in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if amount >= power:
            return f"{amount / power:.4g}{sign}"
    return f"{amount:g}"


def parse_targets(key: str, value: object) -> tuple[Target, ...]:
    """Turn a number, a text as `2,4,8`, or a list of them into targets of one kind, easiest first.

    Raises:
        ValueError: If one is no such amount, or stands twice.
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",", MAX_AXIS_LENGTH)]
    items = list(value) if isinstance(value, list | tuple) else [value]
    targets = [_parse_target(KINDS[key], item) for item in items]
    if not targets and value != ():
        raise ValueError(f"needs at least one: {KINDS[key].allowed}")
    if len(targets) > MAX_TARGETS or len(set(targets)) < len(targets):
        raise ValueError(f"each once, and at most {MAX_TARGETS} of them; got {shown(value)}")
    return tuple(targets)


def _parse_target(kind: TargetKind, item: object) -> Target:
    text = item if isinstance(item, str) else repr(item) if type(item) in (int, float) else ""
    match = re.fullmatch(rf"({_NUMBER})\s*([xkmgb×]?)", text.lower()) if len(text) < 40 else None
    if match is not None:
        number, sign = float(match[1]), match[2].replace("×", "x")
        of_dense = sign == "x" and bool(kind.noun)
        signs = {"": True, "x": bool(kind.noun) or kind.unit == "x"}
        least = 1.0 if of_dense or kind.unit == "x" else 0.0
        if signs.get(sign, bool(kind.noun)) and least < number <= 1e15:
            return Target(kind.key, number * (1.0 if sign == "x" else _POWERS[sign]), of_dense)
    raise ValueError(f"{kind.allowed}; got {shown(item)}")
