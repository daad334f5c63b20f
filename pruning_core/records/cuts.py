"""What is known of cuts, in words: what the proof found, and which groups kept their width, with the reason.

`plan`, `prepare`, records and reports say it alike. Must not import torch.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from pruning_core.console.shown import shortened

EXACT = "exact"
_STATISTICS = "statistics change: "

Whole = Mapping[str, str]
"""Layer that a group is named after → why the group kept its width."""

MAX_RECORDED = 40
"""Groups that a record names; it has their number too."""

MAX_NAMED = 5
"""Groups that are named for one reason, and reasons that are given in one line."""

_MAX_NAME, _MAX_REASON = 150, 400
"""Characters."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def describe_proof(proof: str) -> str:
    """Return the sentence for the result of a proof; empty where nothing was cut."""
    if proof.startswith(_STATISTICS):
        return f"proved but for statistics over channels that change: {proof.removeprefix(_STATISTICS)}"
    return f"proved: {proof}" if proof else ""


def recorded(whole: Whole) -> dict[str, str]:
    """Return the first groups, as a record holds them: in one line each, and short."""
    first = list(whole.items())[:MAX_RECORDED]
    return {shortened(root, _MAX_NAME): shortened(reason, _MAX_REASON) for root, reason in first}


def count_words(number: int, groups: int | None) -> str:
    """Return how many groups kept their width, of how many where that is known: `3 of 41 groups`."""
    return f"{number} of {_plural(groups, 'group')}" if groups else _plural(number, "group")


def explain_whole(whole: Whole) -> list[str]:
    """Return a text for each reason: the groups that have it, then the reason."""
    named: dict[str, list[str]] = {}
    for root, reason in whole.items():
        named.setdefault(reason, []).append(root)
    return [f"{_joined(roots)}: {reason}" for reason, roots in named.items()]


def explain_whole_in_line(whole: Whole, number: int | None = None) -> str:
    """Return all reasons in one line, at most `MAX_NAMED`.

    Args:
        whole: Groups, some of them where there are many.
        number: How many there are.
    """
    reasons = explain_whole(whole)
    lacking = (number or 0) - len(whole)
    more = f"; and {_plural(len(reasons) - MAX_NAMED, 'more reason')}" if len(reasons) > MAX_NAMED else ""
    more += f"; and {_plural(lacking, 'more group')}" if lacking > 0 else ""
    return "; ".join(reasons[:MAX_NAMED]) + more


def alike(found: Iterable[tuple[float, str]]) -> list[tuple[list[float], str]]:
    """Return each text with the ratios that have it; empty ones are left out."""
    ratios: dict[str, list[float]] = {}
    for ratio, text in found:
        if text:
            ratios.setdefault(text, []).append(ratio)
    return [(some, text) for text, some in ratios.items()]


def whole_alike(found: Iterable[tuple[float, Whole]]) -> list[tuple[list[float], Whole]]:
    """Return sets of groups with the ratios that have them; empty ones are left out.

    The same groups with reasons that differ in numbers alone (by how much an answer is off, a shape that does
    not fit) are one set, with … in place of these.
    """
    sets: dict[tuple[tuple[str, str], ...], list[tuple[float, Whole]]] = {}
    for ratio, whole in found:
        if whole:
            like = tuple(sorted((root, _NUMBER.sub("…", reason)) for root, reason in whole.items()))
            sets.setdefault(like, []).append((ratio, whole))
    return [([ratio for ratio, _ in some], _merged([whole for _, whole in some])) for some in sets.values()]


def ratio_words(ratios: Sequence[float]) -> str:
    """Return ratios as they are written in tables: `0.25, 0.5`."""
    return ", ".join(f"{ratio:g}" for ratio in ratios)


def _merged(wholes: Sequence[Whole]) -> Whole:
    first = wholes[0]
    return {
        root: reason if all(whole[root] == reason for whole in wholes) else _NUMBER.sub("…", reason)
        for root, reason in first.items()
    }


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _joined(roots: Sequence[str]) -> str:
    more = f" and {len(roots) - MAX_NAMED} more" if len(roots) > MAX_NAMED else ""
    return ", ".join(roots[:MAX_NAMED]) + more
