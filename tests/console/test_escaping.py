"""Text from outside acts in no output: not on a terminal, nor as markup, formula or the end of a file."""

import csv
import io
import json
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruning_core.console.escaping import (
    for_csv,
    for_html,
    for_json,
    for_markdown,
    for_script,
    for_terminal,
    for_xml,
    printable,
)
from pruning_core.errors import DatasetError, UnknownNameError
from pruning_core.progress import ProgressDisplay

HOSTILE = "a\x1b[31m\r\n\t\x00\x9b2J\u202eb\u2066c\u200bd\u2028e\ufeff\udcff\ud800\ufffe"

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
BUSY = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
"""However busy the machine, the same texts."""


@BUSY
@given(TEXTS)
def test_every_text_comes_out_in_one_line_that_can_be_seen(text: str) -> None:
    """Control, format and half characters are gone from the text for a terminal; it is one line of UTF-8."""
    shown = printable(text)
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


def test_what_cannot_be_seen_is_shown_by_number() -> None:
    """A reader can tell which characters there were; a byte that is not UTF-8 is shown as that byte."""
    expected = r"a\x1b[31m\r\n\t\x00\x9b2J\u202eb\u2066c\u200bd\u2028e\ufeff\xff\ud800\ufffe"
    assert printable(HOSTILE) == expected
    assert printable("\U000e0041") == r"\U000e0041"
    assert printable("größe 中文 😀 ±") == "größe 中文 😀 ±"


def test_our_own_further_lines_stay_lines() -> None:
    """An error's list of known names stands in a line of its own; a line end within a name does not."""
    assert for_terminal("no x\n  known: a, b") == "no x\n  known: a, b"
    assert for_terminal("no x\ny\x1b") == r"no x\ny\x1b"


@BUSY
@given(TEXTS)
def test_xml_is_well_formed_whatever_stands_in_it(text: str) -> None:
    """XML 1.0 forbids most control characters, half characters and U+FFFE, even as numbers."""
    element = ElementTree.Element("a", b=for_xml(text))
    element.text = for_xml(text)
    assert ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8")).tag == "a"


@BUSY
@given(TEXTS)
def test_json_holds_the_text_and_can_be_seen(text: str) -> None:
    """JSON decodes to the same text, half characters apart, and holds nothing that acts on a terminal."""
    content = for_json({"name": [text]})
    assert all(c.isprintable() or c.isspace() for c in content)
    content.encode("utf-8")
    (read,) = json.loads(content)["name"]
    whole = "".join(printable(c) if "\ud800" <= c <= "\udfff" else c for c in text)
    assert read == whole


@BUSY
@given(TEXTS)
def test_a_script_element_holds_only_what_can_be_shown(text: str) -> None:
    """Nothing in the data of a page ends its script element, and its texts can be shown as they are."""
    content = for_script([text, {text: 1}])
    assert "<" not in content
    assert json.loads(content)[0] == printable(text)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝", "＠", "x;=", "x; +"])
def test_a_spreadsheet_computes_no_text(start: str) -> None:
    """A text that a spreadsheet would take for a formula is quoted, also after a `;` that may split cells."""
    file = io.StringIO()
    csv.writer(file).writerow([for_csv(f"{start}HYPERLINK(1)"), for_csv([start])])
    for line in file.getvalue().splitlines():
        for cell in next(csv.reader([line])):
            for part in cell.split(";"):
                assert not part.strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")), cell


@pytest.mark.parametrize("value", [-0.5, -3, 1e-9, None, True, "resnet18", "a-b", "x;y", "1e-9"])
def test_numbers_and_names_stay_as_they_are_in_csv(value: object) -> None:
    """A negative number stays a number, a name without a formula stays that name."""
    assert for_csv(value) == ("true" if value is True else value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b `c` *d* _e_ ~f~", r"a\|b \`c\` \*d\* \_e\_ \~f\~"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("[x](y) ![z]", r"\[x\](y) !\[z\]"),
        ("@team", "&#64;team"),
        ("# x", r"\# x"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("1.50", "1.50"),
        ("-0.5", "-0.5"),
        ("a\nb\x1b", r"a b\\x1b"),
    ],
)
def test_markdown_shows_names_as_they_are(text: str, shown: str) -> None:
    """Markup in a name is text: no table cell, list, heading, link, HTML, or call of a person."""
    assert for_markdown(text) == shown


def test_a_page_shows_names_as_they_are() -> None:
    """Markup in a name is text, in an element and in an attribute."""
    assert for_html("<b>\"'&\x1b\u202e") == r"&lt;b&gt;&quot;&#x27;&amp;\x1b\u202e"


def test_an_error_can_be_shown_wherever_it_goes() -> None:
    """The text of an error that repeats a name acts neither on a terminal nor in pytest's summary."""
    error = UnknownNameError("model", "a\x1b[31m\n\u202e", ["b\x1b", "c"])
    first, second = str(error).split("\n")
    assert "\x1b" not in f"{error}"
    assert first.startswith("no model ")
    assert second == r"  known: b\x1b, c"
    assert str(DatasetError("no folder /a\nb\x07")) == r"no folder /a\nb\x07"


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_of_hostile_names(terminal: bool) -> None:
    """A name acts neither as escape sequence nor as markup in a bar, a line, or what is said between."""

    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    display = ProgressDisplay(stream)
    display.say("[/red]\x1b]0;title\x07")
    with display.work("[/red]\x1b]0;title\x07") as advance:
        advance(1, 2)
    text = stream.getvalue()
    assert "\x1b]" not in text
    assert "\x07" not in text
    assert text.count("[/red]\\x1b]0;title") >= 2
