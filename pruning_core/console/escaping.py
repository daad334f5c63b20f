"""Text from outside, made harmless for where it goes: one function for each kind of output.

Names of files, models and datasets, and texts of failures, may hold anything: escape sequences, line ends,
characters that turn the direction of writing, halves of characters, markup, formulas. `printable` shows what
cannot be seen by its number, as `\\x1b`; the others add what their format needs.
"""

import html
import json
import re
import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
"""Kinds of characters that act or cannot be seen: control, format, surrogate, none, private, line ends."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_FORMULA = re.compile("(^|;)(\\s*[=+\\-@＝＋－＠])")
"""What a spreadsheet would compute: at the start of a cell, or after a `;`, which often ends a cell."""

_MARKDOWN = re.compile(r"[\\`*_~|\[\]$]|^(?=#|[+-](?:[ -]|$))|^(\d+)(?=[.)](?: |$))")
_CONTINUED = "\n  "


def printable(text: str) -> str:
    """Return `text` in one line, with what acts or cannot be seen written as its number."""
    if text.isprintable():  # as nearly every text
        return text
    return "".join(_seen(character) for character in text)


def for_terminal(text: str) -> str:
    """Return a text for a terminal or a log: one line, or further ones that we have indented ourselves."""
    return _CONTINUED.join(map(printable, text.split(_CONTINUED)))


def for_markdown(text: str) -> str:
    """Return a text that is neither Markdown nor HTML, nor calls anybody by `@name`."""
    text = " ".join(printable(" ".join(text.split())).split())
    if text.isalnum():
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return _MARKDOWN.sub(lambda found: f"{found[1] or ''}\\{'' if found[1] else found[0]}", text)


def for_html(text: str) -> str:
    """Return a text for an element or an attribute of a page, or of a picture."""
    return html.escape(printable(text))


def for_xml(text: str) -> str:
    """Return a text that XML 1.0 allows; its writer escapes the markup. Line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def for_csv(value: object) -> object:
    """Return a cell of CSV: a number as it is; a text in one line that no spreadsheet takes for a formula."""
    if value is None or type(value) in (float, int):  # as most cells
        return value
    text = value if isinstance(value, str) else for_json(value)
    if text[:1].isalnum() and ";" not in text:
        return printable(text)
    return _FORMULA.sub(r"\1'\2", printable(text))


def for_json(value: object, indent: int | None = None, compact: bool = False) -> str:
    """Return JSON in which every character can be seen; half characters, which JSON has not, by number.

    Raises:
        ValueError: If a number is not finite.
    """
    separators = (",", ":") if compact else None
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else _seen_in_json(c) for c in text)


def for_script(value: object) -> str:
    """Return JSON for a script element: nothing in it ends the element, and all its texts can be shown."""
    # Inside a script element only `</` could end it; `<!--` could change how it is read.
    return for_json(_shown(value), compact=True).replace("<", "\\u003c")


def _shown(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_shown(name): _shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value


def _seen(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if unicodedata.category(character) not in _UNSEEN:
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def _seen_in_json(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cs":
        return f"\\{_seen(character)}"
    if kind not in _UNSEEN:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
