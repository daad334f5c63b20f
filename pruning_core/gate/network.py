"""Whether a cell is still of the network of the baseline: fewer MACs of another one are no gain by itself."""

from pruning_core.console.shown import shortened
from pruning_core.records.fields import Record
from pruning_core.records.mac_counts import counted_alike, counts_of

MAX_NAMED = 3
"""Layers that are named; the others are counted."""


def network_difference(baseline: Record, new: Record) -> str | None:
    """Return in which way the network of a cell is another one; None if nothing shows that it is.

    Args:
        baseline: The cost record before.
        new: The cost record now, of the same model and the same ratio.
    """
    for field, of in (("dense_widths", " of the dense model"), ("widths", "")):
        before, now = baseline.get(field), new.get(field)
        if before is not None and now is not None and before != now:
            return _differing_layers(before, now, of)
    changed = [
        words
        for name, words in (("macs", "MACs"), ("params", "parameters"))
        if name in baseline and name in new and _differs(name, baseline, new)
    ]
    if not changed:
        return None
    if baseline.get("widths") is None or new.get("widths") is None:
        return f"other {' and '.join(changed)} at the same ratio"
    return f"equal widths, other {' and '.join(changed)}: a layer, a kernel or an activation is another"


def _differs(name: str, baseline: Record, new: Record) -> bool:
    if name != "macs":
        return bool(baseline[name] != new[name])
    before, now = counted_alike(counts_of(baseline), counts_of(new))
    return before != now


def _differing_layers(before: dict[str, int], now: dict[str, int], of: str) -> str:
    words = []
    for layer in [*before, *(layer for layer in now if layer not in before)]:
        was, is_now, name = before.get(layer), now.get(layer), shortened(layer, 40)
        if was is None:
            words.append(f"{name} is new")
        elif is_now is None:
            words.append(f"{name} is gone")
        elif was != is_now:
            words.append(f"{name} has {was} → {is_now} channels")
    more = f", and {len(words) - MAX_NAMED} more layers" if len(words) > MAX_NAMED else ""
    return f"of its layers{of}, {', '.join(words[:MAX_NAMED])}{more}"
