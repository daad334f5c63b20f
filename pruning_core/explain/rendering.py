"""An explanation for a terminal of 80 columns: groups and layers, what is no layer's, advice."""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from pruning_core.console.escaping import printable

WIDTH = 80
NAME_WIDTH = 22
REASON_WIDTH = 17
MIN_SHOWN = 0.005
"""Share of the time, dense or pruned, below which a group is summed up with others."""

HEADS = f"{'group, layer':<{NAME_WIDTH}} {'width':>9}  {'MACs %':>9}  {'time %':>9}  {'saved':>5}  reason"


def render(content: Mapping[str, Any]) -> str:
    """Return the text of an explanation.

    Args:
        content: What `explain` returned, or a JSON file holds.
    """
    return "\n".join(line.rstrip() for line in _lines(content))


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    yield from _folded(f"{content['subject']} on {content['setting']}")
    yield from _folded(_summary(content))
    for which, gap in content["gaps"].items():
        if gap:
            yield from _folded(f"{which}: {gap}")
    if content["contention"]:
        yield from _folded(f"~ while timing: {content['contention']}; let it be alone and measure again")
    yield from ("", HEADS, "-" * WIDTH)
    small = []
    for group in content["groups"]:
        if max(group["time_share"], group["dense_time_share"]) < MIN_SHOWN:
            small.append(group)
            continue
        layers = group["layers"]
        name = layers[0]["layer"] if len(layers) == 1 else f"{layers[0]['layer']} +{len(layers) - 1}"
        yield from _row(name, group)
        for layer in layers if len(layers) > 1 else ():
            yield from _row(f"  {layer['layer']}", layer)
    if small:
        names = ("mac_share", "dense_mac_share", "time_share", "dense_time_share")
        sums = {name: sum(group[name] for group in small) for name in names}
        yield from _row(f"{len(small)} smaller groups", {**sums, "saved_quotient": None, "reason": ""})
    yield "-" * WIDTH
    for part in content["not_layers"]:
        yield from _row(part["what"], part)
    yield ""
    yield from _folded(
        "MACs and time: shares in %, dense → pruned; saved: time saved ÷ MACs saved. "
        "An empty reason: no test explains it."
    )
    yield from _evidence(content)
    yield from _advice(content)


def _summary(content: Mapping[str, Any]) -> str:
    saved = content["dense_macs"] / max(content["macs"], 1)
    if content["speedup"] is None:
        return f"{saved:.3g}× fewer MACs"
    low, high = content["speedup_low"], content["speedup_high"]
    return (
        f"{saved:.3g}× fewer MACs, {content['speedup']:.3g}× faster [{low:.3g}–{high:.3g}]: "
        f"{content['dense_ms']:.3g} → {content['pruned_ms']:.3g} ms; layers and other nodes add up to "
        f"{100 * content['covered']['pruned']:.0f} % of the call"
    )


def _row(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    width = f"{row['dense']}→{row['kept']}" if "kept" in row else ""
    macs = f"{_percent(row['dense_mac_share'])}→{_percent(row['mac_share'])}" if "mac_share" in row else ""
    time = f"{_percent(row['dense_time_share'])}→{_percent(row['time_share'])}"
    quotient = row.get("saved_quotient")
    saved = "" if quotient is None else _quotient(quotient)
    numbers = f"{width:>9}  {macs:>9}  {time:>9}  {saved:>5}"
    head = f"{_short(printable(name)):<{NAME_WIDTH}} {numbers}"
    for reason in wrap(row["reason"], REASON_WIDTH) or [""]:
        yield f"{head}  {reason}"
        head = " " * len(head)


def _quotient(value: float) -> str:
    """Return a quotient in five characters: of hardly any saving it may be large."""
    exact = f"{value:.2f}"
    if len(exact) <= 5:
        return exact
    return f"{value:.0f}" if abs(value) < 999 else f"{'<-' if value < 0 else '>'}999"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share < 0.0995 else f"{100 * share:.0f}"


def _short(name: str) -> str:
    """Shorten a name at its beginning, which names of one network share."""
    return name if len(name) <= NAME_WIDTH else f"…{name[1 - NAME_WIDTH :]}"


def _evidence(content: Mapping[str, Any]) -> Iterator[str]:
    """Say each reason once, with the layers that it is said of and the test of the slowest of them."""
    by_word: dict[str, list[Mapping[str, Any]]] = {}
    for group in content["groups"]:
        for layer in group["layers"]:
            if layer["reason"] not in ("", "fine"):
                by_word.setdefault(layer["reason"], []).append(layer)
    if by_word:
        yield ""
    for word, layers in sorted(by_word.items(), key=lambda item: -sum(one["ms"] for one in item[1])):
        slowest = max(layers, key=lambda one: float(one["ms"]))
        share = sum(one["time_share"] for one in layers)
        count = f"{len(layers)} layer{'s' if len(layers) > 1 else ''}"
        text = f"{word}: {count}, {100 * share:.0f} % of the time. {slowest['layer']}: {slowest['evidence']}"
        yield from _folded(text)


def _advice(content: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    for advice in content["advice"]:
        yield from _folded(advice["text"])
    if not content["advice"]:
        yield "no option that was tried is faster beyond its interval"
    if content["without_gain"]:
        yield from _folded(f"tried without gain: {'; '.join(content['without_gain'])}")


def _folded(text: str) -> list[str]:
    return wrap(printable(text), WIDTH, subsequent_indent="  ")
