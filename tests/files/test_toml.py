"""The one reader of TOML files: what they say, on which line, and what is refused."""

from pathlib import Path

import pytest

from pruning_core.errors import OptionError
from pruning_core.files.toml import read_toml

TEXT = """# a comment
top = 1
"quoted" = 2
a.b = 3

[table]
key = 4
[table.inner]
deep = 5

[[entries]]
name = "first"
[[entries]]

  name = "second"
  values = [
    1,
  ]
"""


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("top",), 2),
        (("quoted",), 3),
        (("a", "b"), 4),
        (("table",), 6),
        (("table", "key"), 7),
        (("table", "inner", "deep"), 9),
        (("entries",), 11),
        (("entries", 0, "name"), 12),
        (("entries", 1), 13),
        (("entries", 1, "name"), 15),
        (("entries", 1, "values", 0), 16),
        (("table", "none"), 6),
        (("entries", 1, "none"), 13),
        (("none",), None),
        ((), None),
    ],
)
def test_every_key_has_a_line(tmp_path: Path, location: tuple[str | int, ...], line: int | None) -> None:
    """A key is found wherever it stands; one without a line of its own is found by what is around it."""
    path = tmp_path / "my.toml"
    path.write_text(TEXT)
    file = read_toml(path, "grid file")
    assert file.line_of(*location) == line
    assert file.where(*location) == f"   (in grid {path}{f', line {line}' if line else ''})"
    assert file.content["table"] == {"key": 4, "inner": {"deep": 5}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "cannot read grid file"),
        (b"a = \nb = 1", r"grid file .*my\.toml is not valid TOML: .*line 1"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 30 + b"1" + b"]" * 30, "nested more than 20 deep"),
        (b".".join([b"a"] * 60) + b" = 1", "more than 50 parts between dots"),
        (b"#" * 200_001, "larger than 0.2 MB"),
    ],
    ids=["no text", "not TOML", "too deep to parse", "too deep", "too many parts", "too large"],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not TOML, or that would take long to read, is refused with its name."""
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=words) as caught:
        read_toml(path, "grid file")
    assert "\n" not in str(caught.value)
