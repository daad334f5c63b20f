"""The part of the page that shows a stored explanation (`pruning-bench explain --format json`)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pruning_core.console.escaping import for_html
from pruning_core.console.shown import shown
from pruning_core.errors import RecordError
from pruning_core.files.input import decode_json, read_bytes, why_unreadable

WHAT, SCHEMA = "pruning-bench explain", 1
"""What the file says of itself."""

MAX_BYTES = 32_000_000
"""Of a file; the layers of a deep network take some hundred kB."""


def read_explanation(path: Path) -> str:
    """Read an explanation, and return its section of the page.

    Args:
        path: What `pruning-bench explain --format json -o FILE` wrote.

    Raises:
        RecordError: If it is no such file, or not whole.
    """
    try:
        content = decode_json(read_bytes(path, MAX_BYTES), finite=True)
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot read {shown(str(path))}: {why_unreadable(error)}") from None
    if not isinstance(content, dict) or content.get("what") != WHAT:
        raise RecordError(
            f"{path} is no explanation: write one with `pruning-bench explain … --format json -o FILE`"
        )
    if content.get("schema") != SCHEMA:
        raise RecordError(
            f"{path} is an explanation of schema {content.get('schema')}; this version reads {SCHEMA}: "
            "make it again"
        )
    try:
        return _section(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RecordError(f"{path} is not a whole explanation ({type(error).__name__}: {error})") from error


def _section(content: Mapping[str, Any]) -> str:
    rows = "".join(_rows(content))
    heads = (
        *(("group, layer", "text"), ("dense", ""), ("kept", ""), ("MACs %, dense", ""), ("MACs %", "")),
        *(("time %, dense", ""), ("time %", ""), ("saved", ""), ("reason", "text"), ("test", "text")),
    )
    header = "".join(f'<th scope="col" class="{side}">{for_html(head)}</th>' for head, side in heads)
    notes = "".join(f"<p>{for_html(line)}</p>" for line in _notes(content))
    return (
        f"<section><h2>Why it is not faster</h2>"
        f"<p><strong>{for_html(content['subject'])}</strong> on {for_html(content['setting'])}: "
        f"{for_html(_summary(content))}</p>"
        f'<div class="wide"><table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<div class="notes">{notes}</div></section>'
    )


def _summary(content: Mapping[str, Any]) -> str:
    saved = content["dense_macs"] / max(content["macs"], 1)
    text = f"{saved:.3g}× fewer MACs"
    if content["speedup"] is not None:
        low, high = content["speedup_low"], content["speedup_high"]
        text += f", {content['speedup']:.3g}× faster [{low:.3g}–{high:.3g}]"
    return f"{text}; nodes add up to {100 * content['covered']['pruned']:.0f} % of the call"


def _rows(content: Mapping[str, Any]) -> Iterator[str]:
    for group in content["groups"]:
        layers = group["layers"]
        if len(layers) > 1:
            yield _row(f"{layers[0]['layer']} and {len(layers) - 1} more", group, "")
        for layer in layers:
            yield _row(layer["layer"], layer, layer["evidence"])
    for part in content["not_layers"]:
        yield _row(part["what"], part, "")


def _row(name: str, row: Mapping[str, Any], evidence: str) -> str:
    numbers = [
        *(str(row.get(key, "")) for key in ("dense", "kept")),
        *(_percent(row.get(key)) for key in ("dense_mac_share", "mac_share")),
        *(_percent(row.get(key)) for key in ("dense_time_share", "time_share")),
        "" if row.get("saved_quotient") is None else f"{row['saved_quotient']:.2f}",
    ]
    cells = "".join(f"<td>{for_html(number)}</td>" for number in numbers)
    texts = "".join(f'<td class="text">{for_html(text)}</td>' for text in (row["reason"], evidence))
    return f'<tr><td class="text">{for_html(name)}</td>{cells}{texts}</tr>'


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _notes(content: Mapping[str, Any]) -> Iterator[str]:
    for advice in content["advice"]:
        yield advice["text"]
    if not content["advice"]:
        yield "No option that was tried is faster beyond its interval."
    if content["without_gain"]:
        yield f"Tried without gain: {'; '.join(content['without_gain'])}"
    for which, gap in content["gaps"].items():
        if gap:
            yield f"{which}: {gap}"
    if content["contention"]:
        yield f"~ while timing: {content['contention']}"
    yield "Saved: time saved ÷ MACs saved. Where there is no reason, no test explains it."
