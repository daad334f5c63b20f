"""The house is kept small and plain: files, pages and docstrings within limits, and no word that is gone."""

import ast
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The first pattern that matches a path below the repository gives the most lines that the file may have.
MAX_LINES = (
    (r"pruning_core/report/page/page\.js", None),  # one script, since the page is one file
    (r"pruning_core/pipeline\.py", 120),
    (r"pruning_core/records/README\.md", 135),  # the table of fields, a row each, is most of it
    (r"(pruning_core/.+|bench)/README\.md", 80),
    (r"pruning_core/.+", 250),
    (r"README\.md", 130),
    (r"CHANGELOG\.md", 80),
    (r"results/README\.md|results/.+/README\.md|results/notes/.+\.md", 60),
)
WRITTEN = {".py", ".md", ".toml", ".yml", ".js", ".css", ".html"}
"""Endings of the files that people write."""


def files_in(*folders):
    """Walk over the files that people wrote in these folders of the repository."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in WRITTEN and path.name != "report.md":
                yield path


def below_root(path):
    """Return a path as it stands below the repository."""
    return path.relative_to(ROOT).as_posix()


def max_lines(name):
    """Return the most lines that a file of this name may have, None where there is no limit."""
    return next((limit for pattern, limit in MAX_LINES if re.fullmatch(pattern, name)), None)


def test_files_and_pages_are_short():
    """No file of the package and no page has more lines than its kind may have."""
    paths = [*files_in("pruning_core", "bench", "results"), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    lengths = {below_root(path): len(path.read_text().splitlines()) for path in paths}
    limits = {name: max_lines(name) for name in lengths}
    assert {n: k for n, k in lengths.items() if limits[n] is not None and k > limits[n]} == {}


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("pruning_core/pipeline.py", 120),
        ("pruning_core/gate/compare.py", 250),
        ("pruning_core/report/page/page.css", 250),
        ("pruning_core/report/page/page.js", None),
        ("pruning_core/gate/README.md", 80),
        ("bench/README.md", 80),
        ("README.md", 130),
        ("results/README.md", 60),
        ("results/quick/README.md", 60),
        ("results/notes/cpu-roofline.md", 60),
        ("bench/test_cost.py", None),
    ],
)
def test_each_kind_of_file_has_its_limit(name, limit):
    """A file's limit follows from where it lies."""
    assert max_lines(name) == limit


# What holds digits and is no number, in the order in which it is taken out of a docstring.
NO_NUMBERS = (
    r"``.*?``|`[^`]*`",  # code
    r"(?m)^Sources?: (.+\n?)+",  # papers and pages
    r"\((\w+, ?)+\w*\)|[\[(][−-]?[\d.]+, ?[\d.]+[\])]",  # shapes: (N, 3, 32, 32); ranges: [−1, 1], (0.5, 1)
    r"\d+(×\d+)+",  # sizes such as 3×3
    r"\b(v|version|schema|opset|[Tt]orch|torchvision|torch-pruning|numpy|pytest|Python) ?\d[\w.]*( and \d+)?",
    r"\d+\.\d+\.\d+\S*",  # versions without a name
    r"[Ee]xit codes? .*",  # to the end of the line
    r"\b\w*[A-Za-z_]-?\d\w*",  # names such as fp32, ResNet-18, float32
    r"\d+-?[Dd]\b|\bA B B A\b",
)
NUMBER = r"(?![01](?![\d.,_]*\d))\d[\d,._]*(?: ?%)?"
"""A number is what begins with a digit; 0 and 1 alone are none: they say nothing, all, absent, once."""


def numbers_in(docstring):
    """Return the numbers that a docstring tells; an indented block after an empty line is code."""
    text = inspect.cleandoc(docstring)
    text = re.sub(r"(?m)(?:\A|(?<=\n\n))(?: {4}.*\n?|\n)+", "\n", text)
    for pattern in NO_NUMBERS:
        text = re.sub(pattern, " ", text)
    return [number.rstrip(",._") for number in re.findall(NUMBER, text)]


def docstrings(source):
    """Walk over the docstrings of a source text, those of constants and fields included: line, text."""
    for node in ast.walk(ast.parse(source)):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield node.lineno, value.value


def test_a_docstring_tells_one_number_at_most():
    """Measurements stand in a README, with machine, n and spread; a docstring says what and why."""
    found = {
        f"{below_root(path)}:{line}": numbers
        for path in files_in("pruning_core", "bench")
        if path.suffix == ".py"
        for line, text in docstrings(path.read_text())
        if len(numbers := numbers_in(text)) > 1
    }
    assert found == {}


@pytest.mark.parametrize(
    ("docstring", "numbers"),
    [
        ("On an AMD EPYC 12 of 30 rounds took 4.5 % longer.", ["12", "30", "4.5 %"]),
        ("Two rounds take 20 ms.", ["20"]),
        ("Images (N, 3, 32, 32) in [0, 1], a kernel of 3×3, `x[0:4]` and ``y = 5``.", []),
        ("torch-pruning 1.6.1 and schema 2, for ResNet-18 in fp32 and int8, with exit codes 0, 1 or 2.", []),
        ("What it does.\n\nSource: Li et al., ICLR 2017.", []),
        ("A file:\n\n    slowdown = 0.05\n    drop = 0.01\n\nand no more than 3.", ["3"]),
        ("Args:\n    n: From 2 to 5, 1.5 at best; 0: none.\n", ["2", "5", "1.5"]),
    ],
)
def test_numbers_are_told_from_names(docstring, numbers):
    """Code, shapes, versions, papers, names and exit codes are no numbers; all else with a digit is."""
    assert numbers_in(docstring) == numbers


def test_docstrings_of_constants_are_read():
    """The text below a constant and below a field is a docstring like that of a function."""
    source = "'a'\nX = 1\n'b'\nclass C:\n    'c'\n    y: int\n    'd'\n    def f(self):\n        'e'\n"
    assert sorted(text for _, text in docstrings(source)) == ["a", "b", "c", "d", "e"]


# Word that is gone → what is said. A word ends where letters end: `_company_of` holds company.
GONE = {
    r"tours?": "session",
    r"company": "cells timed together",
    r"moods?": "fork–join state",
    r"hand-?overs?|hand(s|ed)? (work|it|them) over": "fork–join latency",
    r"planted|planting|plants?": "injected",
    r"taken anew|anew": "again, recalibrated",
    r"renew(s|ed|ing)?": "recalibrate",
    r"spoil(s|ed|t|ing)?": "contaminate, untrusted",
    r"rightly|right answers?": "accuracy, correct predictions",
    r"plain loop|PlainStep|plain_loop": "baseline loop",
    r"taken together|take_together": "merged",
    r"(?<=; )came(?= (?!from))|(?<=[,:] )came(?= [-{'\d])|_?came(?=\()|came as": "got",
    r"Workplace": "Workspace",
    r"(?<!in )(?<!its )(?<!the )places?(?=\.\w| = |\]|\)|, \w+\)|\[|: [A-Z\[])": "workspace, index, line",
    r"place_copy|_Places|Place(?= =|[\],(])": "copy_to, target, line",
    r"at rest|to rest|rest(?=\()|rest: Call|(?<=self\._)rest|others_run": "idle",
    r"judge_parts|gate_part": "finding",
    r"doubts?|doubtful": "counter-evidence, inconclusive",
    r"(least|most|longest|largest|shortest)_\w+": "min_, max_",
    r"(LEAST|MOST|LONGEST|LARGEST|SHORTEST)_\w+|\w+_AT_MOST": "MIN_, MAX_",
    r"is no TOML|says something that cannot be|names each thing once": "not valid TOML, invalid, duplicates",
    r"as if by chance": "at chance level",
    r"holds no slow-?down|speaks? against|clearly off|cannot be had|to be had": "plain words",
    r"of one's own": "custom, of your own",
    r"ceilings?": "roofline",
    r"in[ _]turns": "interleaved",
}
IGNORE_CASE = {word for word in GONE if word.islower()}


def former_names():
    """Return the texts in the package's tables `OLD_…`: what files that were written before may hold."""
    found = set()
    for path in files_in("pruning_core"):
        for node in ast.parse(path.read_text()).body if path.suffix == ".py" else ():
            target = getattr(node, "target", None) or next(iter(getattr(node, "targets", ())), None)
            if isinstance(target, ast.Name) and target.id.startswith("OLD_"):
                constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                found |= {text for text in constants if isinstance(text, str)}
    return found


FORMER_NAMES = "|".join(f'"{re.escape(name)}"' for name in sorted(former_names()))


def gone_words(text):
    """Return the lines of a text that hold a word that is gone: line, word, what is said instead.

    A former name in quotes is none: a reader has to know it.
    """
    found = []
    for number, line in enumerate(re.sub(FORMER_NAMES, '""', text).splitlines(), start=1):
        for word, better in GONE.items():
            flags = re.IGNORECASE if word in IGNORE_CASE else re.NOFLAG
            if match := re.search(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", line, flags):
                found.append((number, match[0], better))
    return found


def test_no_word_that_is_gone():
    """Package, suites, tests and pages speak in the field's terms."""
    paths = [*files_in("pruning_core", "bench", "tests", "results", ".github"), *sorted(ROOT.glob("*.md"))]
    paths += [ROOT / "conftest.py", *(path for path in (ROOT / ".ci").iterdir() if path.is_file())]
    found = [
        f"{below_root(path)}:{number}: {word} → {better}"
        for path in paths
        if path != Path(__file__)
        for number, word, better in gone_words(path.read_text())
    ]
    assert found == [], f"{len(found)} lines:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "class Tours:",
        "def _company_of(cell): ...",
        '"""A mood of the machine."""',
        "handover_us = 3.6",
        "the cores hand work over, they handed it over",
        "A planted slow-down",
        "norms are renewed; statistics taken anew",
        "the control spoils the times",
        "images answered rightly",
        "a plain loop",
        "must be positive; came -1",
        "def open(place: Path)",
        "self._rounds[place]",
        "until the process is at rest",
        "LEAST_CELLS = 6",
        "min_rounds < least_rounds",
        "casts doubt on it",
        "the machine's ceiling",
    ],
)
def test_a_word_that_is_gone_is_found(line):
    """Each of these words is told, in a name as in a sentence."""
    assert gone_words(line) != []


@pytest.mark.parametrize(
    "line",
    [
        "the rest of the file",
        "in place, in the place of the others",
        "a part of the network, and its parts",
        "network.relu_(inplace=True)",
        "at least two, at most three",
        "the file accompanies it, contours, moody",
        "what became of it came from there",
        "the wait, once shorter, came to nothing",
        "explanted",
        'OLD_NAMES = {"handover_us": "fork_join_us"}',
    ],
)
def test_other_meanings_of_a_word_may_stay(line):
    """A word with an honest meaning of its own is no offence, nor is a longer word that holds one."""
    assert gone_words(line) == []
