"""Whether a method beats its controls: on the same seeds, by more than the spread over seeds.

It does where the interval of the mean of the paired differences lies above zero for each control. A control
proves something only where it was not helped or held back: a win counts over one that had as many epochs and
is as large, a defeat by one that had no more and is no larger. No method is called the best otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pruning_core.records.controls import DENSE_PLUS, THIN, architecture_of, is_control
from pruning_core.records.score import Measure
from pruning_core.report.method_points import Points, base_of
from pruning_core.report.point import SCOPE, Point
from pruning_core.stats.paired import mean_difference
from pruning_core.stats.scores import Interval

RANDOM, RANDOM_MASK, SCRATCH = "random", "unstructured-random", "scratch"
CONTROLS = (RANDOM, THIN, RANDOM_MASK, DENSE_PLUS)
"""Those that have a column of their own."""

YES, NO, UNKNOWN, ONLY = "yes", "no", "not shown", "only "

SAME_SIZE_WITHIN = 0.05
"""Share of MACs, of parameters and of weights that no mask removed: less apart, two networks are as large."""

BEATS = (
    "whether the mean of the paired differences from each control (random, thin, scratch; for masks "
    "unstructured-random) is above zero, each by its 95 % interval over seeds; for a yes a control must have "
    "had as many epochs and, at a ratio, be as large; for a no it had no more and is no larger, within 5 %; "
    "only …: above these, and others are missing or no fair controls; not shown: an interval holds zero, a "
    "control had other epochs, or there is one seed or no control"
)


@dataclass(frozen=True)
class Verdict:
    """What is said of a method at what is equal, and which controls say nothing of it."""

    words: str = ""
    other_size: tuple[str, ...] = ()  # controls that are of another size
    new_weights: tuple[str, ...] = ()  # controls from new weights, where the method had trained ones


def is_judged(name: str) -> bool:
    """Tell whether a method is held against controls: it is none itself."""
    return not is_control(name) and base_of(name) not in (RANDOM, RANDOM_MASK)


def judge(name: str, points: Points, measure: Measure, at: str) -> Verdict:
    """Say whether a method beats all its controls by more than the spread over seeds.

    Args:
        name: Of the method.
        points: Of all methods, at what is equal.
        measure: Says which scores are the better ones.
        at: What is equal: a target, at which networks may be of any size, or the ratio.
    """
    is_target = any(at in point.targets for own in points.values() for point in own)
    controls = dict(_controls_of(name, points))
    new_weights = _of_new_weights(name, points, controls)
    beaten, unbeaten, other_size, lost = [], False, [], False
    for kind, control in controls.items():
        pairs = [] if control is None or control in new_weights else _pairs(points[name], points[control])
        if control is None or not pairs:
            continue
        gain = _gain(_difference(pairs), measure)
        proves_win, proves_defeat = map(all, zip(*(_proves(pair, is_target) for pair in pairs), strict=True))
        if proves_defeat and gain.high < 0:
            lost = True
        elif proves_win and gain.low > 0:
            beaten.append(kind)
        elif is_target or all(_is_as_large(theirs, mine) for mine, theirs in pairs):
            unbeaten = True
        else:
            other_size.append(control)
    words = UNKNOWN if unbeaten or not beaten else f"{ONLY}{', '.join(beaten)}"
    words = YES if beaten == list(controls) else words
    return Verdict(NO if lost else words, tuple(other_size), tuple(new_weights))


def control_of(name: str, control: str, points: Points) -> str | None:
    """Return the control of a method that is there: in the method's scope, else in the local one."""
    scope = name.partition(SCOPE)[2]
    names = (f"{control}{SCOPE}{scope}", control) if scope else (control,)
    return next((named for named in names if named in points), None)


def scratch_of(name: str, points: Points) -> str | None:
    """Return the control that is a method's networks with new weights: its own, or one of the same shape.

    Of several of that shape it is one that had as many epochs, where there is one.
    """
    if is_control(name):
        return None

    def distance(control: str) -> tuple[bool, bool, bool]:
        of = architecture_of(control) or ""
        # a method that is made fast on a backend says on which: `latency-aware (eager)`
        another = of != name.partition(" (")[0]
        return of != name, another, _of(points[control], "epochs") != _of(points[name], "epochs")

    shape = _of(points[name], "macs", "params")
    for control in sorted(filter(architecture_of, points), key=distance):
        same_shape = _of(points[control], "macs", "params") == shape and (None, None) not in shape
        if architecture_of(control) == name or same_shape:
            return control
    return None


def difference_of(own: Sequence[Point], others: Sequence[Point]) -> Interval | None:
    """Return the mean of own − other on the same seeds; None where there is none."""
    pairs = _pairs(own, others)
    return _difference(pairs) if pairs else None


def _controls_of(name: str, points: Points) -> Iterator[tuple[str, str | None]]:
    """Walk over the controls that a method can have, each with what is there of it."""
    if any(point.masks for point in points[name]):
        scope = name.partition(SCOPE)[1:]
        own = "".join((RANDOM_MASK, *scope))
        yield RANDOM_MASK, own if own in points else None
    else:
        yield RANDOM, control_of(name, RANDOM, points)
        yield THIN, control_of(name, THIN, points)
        yield SCRATCH, scratch_of(name, points)


def _of_new_weights(name: str, points: Points, controls: dict[str, str | None]) -> list[str]:
    """Return the controls of new weights, which have the epochs of fine-tuning alone, beside trained ones."""
    if not any(point.from_weights for point in points[name]):
        return []
    return [control for kind in (THIN, SCRATCH) if (control := controls.get(kind)) is not None]


def _proves(pair: tuple[Point, Point], is_target: bool) -> tuple[bool, bool]:
    """Tell whether a win over a control shows something, and whether a defeat does."""
    mine, theirs = pair
    if mine.epochs is None or theirs.epochs is None:
        return False, False
    return (
        theirs.epochs >= mine.epochs and (is_target or _is_as_large(theirs, mine)),
        theirs.epochs <= mine.epochs and (is_target or _is_as_large(mine, theirs)),
    )


def _is_as_large(one: Point, other: Point) -> bool:
    """Tell whether one network is as large as another, or larger; not where its size is not known."""
    if one.macs is None or one.params is None or other.macs is None or other.params is None:
        return False
    sizes = ((one.macs, other.macs), (one.params, other.params), (one.kept, other.kept))
    return all(size >= (1 - SAME_SIZE_WITHIN) * least for size, least in sizes)


def _pairs(own: Sequence[Point], others: Sequence[Point]) -> list[tuple[Point, Point]]:
    by_seed = {point.seed: point for point in others}
    return [(point, by_seed[point.seed]) for point in own if point.seed in by_seed]


def _difference(pairs: Sequence[tuple[Point, Point]]) -> Interval:
    differences = [mine.score - theirs.score for mine, theirs in pairs]
    resolution = max(point.resolution for pair in pairs for point in pair)
    return mean_difference(differences, resolution=resolution)


def _gain(difference: Interval, measure: Measure) -> Interval:
    return difference.turned if measure.lower_is_better else difference


def _of(points: Sequence[Point], *names: str) -> set[tuple[object, ...]]:
    return {tuple(getattr(point, name) for name in names) for point in points}
