"""The lines below a table of methods: differences in words, what beats its controls, what is not equal."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pruning_core.records.controls import DENSE_PLUS, THIN, architecture_of, is_control
from pruning_core.records.score import Measure
from pruning_core.report.method_points import Points, base_of
from pruning_core.report.verdict import (
    ONLY,
    RANDOM,
    RANDOM_MASK,
    SAME_SIZE_WITHIN,
    YES,
    Verdict,
    difference_of,
)
from pruning_core.stats.scores import Interval

MAX_SENTENCES = 12
"""Differences that stand below a table in words; the columns hold all."""

Verdicts = Mapping[tuple[str, str], Verdict]
"""What is equal, and a method → what is said of it there."""


def method_notes(
    comparison: Mapping[str, Points], verdicts: Verdicts, first: str, measure: Measure
) -> Iterator[str]:
    """Say what stands below a table of methods.

    Args:
        comparison: What is equal → points of each method.
        verdicts: Of the methods that are judged.
        first: The method that the others are compared with.
        measure: What is scored.
    """
    yield from _differences(comparison, first, measure)
    yield from _beating(verdicts)
    yield from _missing(comparison)
    yield from _no_fair_controls(verdicts)
    for at, points in comparison.items():
        methods = {name: own for name, own in points.items() if not is_control(name)}
        missed = [name for name, own in methods.items() if any(at in point.missed for point in own)]
        if missed:
            yield f"at {at} not all checkpoints of these meet it: {'; '.join(missed)}."
    yield from _epochs(comparison)
    every = [point for points in comparison.values() for own in points.values() for point in own]
    backends = sorted({point.backend for point in every})
    yield f"scores and speed-ups: {' or '.join(backends)}; the smallest batch size that was timed."


def _differences(comparison: Mapping[str, Points], first: str, measure: Measure) -> Iterator[str]:
    sentences: dict[int, list[str]] = {}  # by how many seeds both have
    for at, points in comparison.items():
        for name in points:
            if name == first or is_control(first) or first not in points:
                continue
            difference = difference_of(points[name], points[first])
            if difference is not None:
                both = {point.seed for point in points[name]} & {point.seed for point in points[first]}
                text = f"at {at}: {name} − {first} = {_words(difference, measure)}"
                sentences.setdefault(len(both), []).append(text)
    for seeds, said in sorted(sentences.items(), reverse=True):
        more = f"; and {len(said) - MAX_SENTENCES} more" if len(said) > MAX_SENTENCES else ""
        of = f"{seeds} seeds" if seeds > 1 else "one seed, no interval"
        yield f"{of}: {'; '.join(said[:MAX_SENTENCES])}{more}."


def _words(difference: Interval, measure: Measure) -> str:
    def text(value: float) -> str:
        return f"{100 * value:+.2f}" if measure.is_accuracy else f"{value:+.4g}"

    unit = " points" if measure.is_accuracy else ""
    bounds = "" if math.isinf(difference.low) else f" [{text(difference.low)}, {text(difference.high)}]"
    return f"{text(difference.value)}{unit}{bounds}"


def _beating(verdicts: Verdicts) -> Iterator[str]:
    every = [f"{name} at {at}" for (at, name), verdict in verdicts.items() if verdict.words == YES]
    some = [
        f"{name} at {at} ({verdict.words})"
        for (at, name), verdict in verdicts.items()
        if verdict.words.startswith(ONLY)
    ]
    if every:
        yield f"beyond the spread over seeds, these beat their controls: {', '.join(every)}."
    else:
        yield f"no method beats {'all ' if some else ''}its controls beyond the spread over seeds."
    if some:
        yield f"these beat the fair controls that are there, beyond that spread: {', '.join(some)}."


def _missing(comparison: Mapping[str, Points]) -> Iterator[str]:
    """Name the controls that the methods of a table can have, and have not."""
    points: dict[str, bool] = {}  # method → whether it masks
    from_weights = False
    for name, own in ((name, own) for at in comparison.values() for name, own in at.items()):
        if not is_control(name):
            points[name] = points.get(name, False) or any(point.masks for point in own)
            from_weights |= any(point.from_weights for point in own)
    wanted = [RANDOM, *(() if from_weights else (THIN,))] if not all(points.values()) or not points else []
    wanted += [RANDOM_MASK] if any(points.values()) else []
    names = {name for at in comparison.values() for name in at}
    missing = [name for name in (*wanted, DENSE_PLUS) if name not in map(base_of, names)]
    if RANDOM in wanted and not from_weights and not any(architecture_of(name) for name in names):
        missing.append("scratch:METHOD")
    if missing:
        yield f"controls that are not there: {', '.join(missing)}."


def _no_fair_controls(verdicts: Verdicts) -> Iterator[str]:
    """Say which controls show nothing: of another size, or of new weights beside trained ones."""
    found: dict[str, dict[str, list[str]]] = {}
    for (at, name), verdict in verdicts.items():
        for control in verdict.other_size:
            found.setdefault(at, {}).setdefault(control, []).append(name)
    if found:
        said = (
            f"at {at} {control} of {', '.join(names)}"
            for at, of_control in found.items()
            for control, names in of_control.items()
        )
        yield (
            f"no fair control, since it is over {SAME_SIZE_WITHIN:.0%} smaller, or its size is not known: "
            f"{'; '.join(said)}."
        )
    left_out = dict.fromkeys(name for verdict in verdicts.values() for name in verdict.new_weights)
    if left_out:
        yield (
            "no fair control, since it had new weights and the epochs of fine-tuning alone, where methods "
            f"begin with trained ones: {', '.join(left_out)}."
        )


def _epochs(comparison: Mapping[str, Points]) -> Iterator[str]:
    """Say who was trained for how many epochs in all, where these differ: most are `the others`."""
    said = []
    for at, points in comparison.items():
        epochs = {name: _numbers([point.epochs for point in own]) for name, own in points.items()}
        counts = Counter(epochs.values())
        usual = max(counts, key=counts.__getitem__)
        others: dict[str, list[str]] = {}
        for name, number in epochs.items():
            if number != usual:
                others.setdefault(number, []).append(name)
        if others:
            told = (f"{', '.join(names)} {number}" for number, names in others.items())
            said.append(f"at {at} {', '.join(told)}, the others {usual}")
        elif usual == _UNKNOWN:
            said.append(f"at {at} {usual} of all, so that no control shows anything")
    if said:
        yield f"epochs in all, those of the dense model included: {'; '.join(said)}."


_UNKNOWN = "not known"


def _numbers(epochs: Sequence[int | None]) -> str:
    return " or ".join(sorted({_UNKNOWN if number is None else str(number) for number in epochs}))
