"""Why a layer is not as much faster as its multiply-adds promise: one word, tested before it is said.

Numbers in, words out: nothing is measured here. In which order the words are tried, and on which evidence
each limit was chosen: `explain/README.md`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

FINE = "fine"
MISALIGNED = "misaligned width"
MEMORY = "memory-bound"
TOO_SMALL = "too small to fill the cores"
LAUNCH = "launch-bound"
CONVERSION = "layout conversion"
WHOLE = "kept whole"
OTHER = "not this layer"
REASONS = (FINE, MISALIGNED, MEMORY, TOO_SMALL, LAUNCH, CONVERSION, WHOLE, OTHER)
"""The whole list; a layer that none of them explains has none."""

FIXED_SHARE = 0.25
"""A layer is launch-bound where an empty node takes at least this fraction of its time."""

CONVERSION_SHARE = 0.2
"""Conversions before a layer are its reason from this fraction of both together."""

MIN_GAIN = 0.03
"""A wider layer must be quicker by at least this fraction, its interval included."""

FREE_MACS = 1.2
"""A wider layer that does so many times the work in the same time shows that channels are padded."""

MIN_ROOFLINE_SHARE = 0.1
"""A layer is memory-bound where moving its bytes takes longer than its arithmetic, by the roofline of this
machine, and at least this fraction of its time: no runtime comes near a roofline everywhere."""

THREADS_GAIN = 1.2
"""A layer is too small where all threads together make it at most so many times as fast as one."""

FINE_FROM = 0.7
"""Fraction of the speed-up that the multiply-adds promise (in logarithms), from which on it is reached."""

DISPROPORTION = 2.0
"""A layer whose share of the time is so many times its share of the multiply-adds is looked at, too."""

MIN_SHARE = 0.01
"""Of the time of the pruned network: below it a layer explains nothing."""


@dataclass(frozen=True)
class PairedRatio:
    """Another time ÷ the time now, from pairs, with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LayerFacts:
    """What was measured of one layer."""

    ms: float  # now, pruned
    dense_ms: float
    macs: int
    dense_macs: int
    time_share: float  # of the whole call, pruned
    mac_share: float  # of all layers, pruned
    kept_whole: str = ""  # why its group keeps its width
    fixed_ms: float = 0.0  # of an empty node
    launch_bound: bool = False  # the device waits for the host
    conversion_ms: float = 0.0  # before it
    wider: Mapping[int, PairedRatio] = field(default_factory=dict)  # multiple → time rounded up ÷ time now
    wider_macs: Mapping[int, int] = field(default_factory=dict)  # multiple → multiply-adds there
    memory_ms: float = 0.0  # least time for its bytes …
    compute_ms: float = 0.0  # … and for its multiply-adds; 0 where no roofline is known
    one_thread: PairedRatio | None = None  # time on one thread ÷ time now; None: there is only one


@dataclass(frozen=True)
class Reason:
    """A word of `REASONS`, or none; and the test behind it."""

    word: str
    evidence: str


def reason_of(facts: LayerFacts) -> Reason:
    """Return the first reason whose test holds.

    Args:
        facts: Of one layer.
    """
    if facts.ms <= 0 or facts.time_share < MIN_SHARE:
        small = Reason(FINE, f"under {100 * MIN_SHARE:g} % of the time")
        return _whole(facts) if facts.kept_whole else small
    for test in (_whole, _launch, _conversion, _misaligned):
        found = test(facts)
        if found.word:
            return found
    if _gets_what_macs_promise(facts):
        return Reason(FINE, "")
    for test in (_memory, _too_small, _padded):
        found = test(facts)
        if found.word:
            return found
    return Reason("", "slower than its multiply-adds promise; no test here explains it")


def speedup_reached(facts: LayerFacts) -> float | None:
    """Return ln(speed-up) ÷ ln(speed-up that the multiply-adds promise); None where none went."""
    if facts.ms <= 0 or facts.dense_ms <= 0 or facts.macs <= 0 or facts.macs >= facts.dense_macs:
        return None
    return math.log(facts.dense_ms / facts.ms) / math.log(facts.dense_macs / facts.macs)


def saved_quotient(facts: LayerFacts) -> float | None:
    """Return time saved ÷ multiply-adds saved, each as a fraction of the dense layer; None: none saved."""
    if facts.dense_ms <= 0 or facts.macs >= facts.dense_macs:
        return None
    return (1 - facts.ms / facts.dense_ms) / (1 - facts.macs / facts.dense_macs)


def _gets_what_macs_promise(facts: LayerFacts) -> bool:
    reached = speedup_reached(facts)
    if reached is not None and reached < FINE_FROM:
        return False
    return facts.time_share <= DISPROPORTION * facts.mac_share or facts.mac_share >= 1 / DISPROPORTION


def _whole(facts: LayerFacts) -> Reason:
    return Reason(WHOLE, facts.kept_whole) if facts.kept_whole else Reason("", "")


def _launch(facts: LayerFacts) -> Reason:
    if facts.launch_bound:
        return Reason(LAUNCH, "the device waits for the host")
    if facts.fixed_ms >= FIXED_SHARE * facts.ms:
        return Reason(
            LAUNCH, f"an empty node takes {1e3 * facts.fixed_ms:.1f} µs of its {1e3 * facts.ms:.1f} µs"
        )
    return Reason("", "")


def _conversion(facts: LayerFacts) -> Reason:
    both = facts.ms + facts.conversion_ms
    if facts.conversion_ms < CONVERSION_SHARE * both:
        return Reason("", "")
    return Reason(CONVERSION, f"conversions before it take {100 * facts.conversion_ms / both:.0f} % of both")


def _misaligned(facts: LayerFacts) -> Reason:
    best = min(facts.wider.items(), key=lambda item: item[1].high, default=None)
    if best is None or best[1].high > 1 - MIN_GAIN:
        return Reason("", "")
    multiple, ratio = best
    text = f"rounded up to multiples of {multiple} it takes {ratio.value:.2f} of the time"
    return Reason(MISALIGNED, f"{text} [{ratio.low:.2f}–{ratio.high:.2f}]")


def _padded(facts: LayerFacts) -> Reason:
    free = [
        (facts.wider_macs[multiple] / facts.macs, multiple)
        for multiple, ratio in facts.wider.items()
        if ratio.high <= 1 + MIN_GAIN and facts.wider_macs.get(multiple, 0) >= FREE_MACS * facts.macs
    ]
    if not free:
        return Reason("", "")
    times, multiple = max(free)
    return Reason(
        MISALIGNED, f"rounded up to multiples of {multiple} it does {times:.2g}× the MACs in the same time"
    )


def _memory(facts: LayerFacts) -> Reason:
    if facts.memory_ms <= facts.compute_ms or facts.memory_ms < MIN_ROOFLINE_SHARE * facts.ms:
        return Reason("", "")
    return Reason(
        MEMORY,
        f"by the roofline its bytes take {facts.memory_ms:.2g} ms, its arithmetic {facts.compute_ms:.2g}; "
        f"it takes {facts.ms:.3g}",
    )


def _too_small(facts: LayerFacts) -> Reason:
    ratio = facts.one_thread
    if ratio is None or ratio.high > THREADS_GAIN:
        return Reason("", "")
    return Reason(
        TOO_SMALL, f"one thread takes {ratio.value:.2f} of the time of all [{ratio.low:.2f}–{ratio.high:.2f}]"
    )
