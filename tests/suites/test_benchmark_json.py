"""What leaves the machine in a benchmark file, and in the files that we publish: names only."""

import re
from pathlib import Path

import pytest

from pruning_core.config.cells import Cell, Variant
from pruning_core.suites.benchmark_json import hide_paths, keep_names_only
from tests.helpers.results import RESULTS

VARIANT = Variant("resnet18", "folder:/home/alice/parts", "magnitude", 0.5)
ABSOLUTE = re.compile(r"(?<![\w.])/(home|root|work|tmp|Users|opt|mnt|var)/|\b[A-Za-z]:\\+\w|UNSERIALIZABLE")
NODE = re.compile(r'"node": "(.+?)"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read /home/alice/nets/a.onnx: no such file", "cannot read a.onnx: no such file"),
        ("folder:/home/alice/parts/ is empty", "folder:parts is empty"),
        (f"{Path.home()} and {Path.home()}/my nets/a.pt", "~ and my nets/a.pt"),
        (f"{Path.cwd()}/bench/a.py:3", "./bench/a.py:3"),
        ("--store=/opt/n/store", "--store=store"),
        ("../../alice/a.py", "a.py"),
        (r"at C:\Users\Bob Lee\a.pt, line 3", "at a.pt, line 3"),
        (r"'\\box\share\a.pt'", "'a.pt'"),
        ("see https://github.com/a/b, 12 images/s, 3 / 4, and/or, a/b.py", None),
        ("answers of eager fp32, below 0.9000", None),
    ],
)
def test_of_a_path_the_last_name_is_left(text: str, expected: str | None) -> None:
    """Folders of a machine are cut off; addresses, units and paths within the project stay."""
    assert hide_paths(text) == (text if expected is None else expected)


def test_a_file_holds_ids_for_objects() -> None:
    """Of cells and variants their ids are written, of a suite elsewhere its name."""
    cell = Cell(VARIANT, "eager", "fp32", "cpu", 1)
    params = {"latency_cell": cell, "threads": 2}
    content = {
        "machine_info": {"node": "alices-laptop"},
        "commit_info": {"id": "unknown", "error": "fatal: in /home/alice/nets"},
        "benchmarks": [
            {
                "params": params,
                "fullname": "../alice/bench/test_a.py::test_a[x]",
                "extra_info": {},
                "cprofile": [{"function_name": "/home/alice/a.py:3(build)", "cumtime": 1.0}],
            },
            {
                "params": None,
                "fullname": "bench/test_b.py::test_b",
                "extra_info": {"failure": "in /home/alice/b"},
            },
        ],
    }
    keep_names_only(content)
    assert content == {
        "machine_info": {"node": ""},
        "commit_info": {"id": "unknown"},
        "benchmarks": [
            {
                "params": {"latency_cell": cell.id, "threads": 2},
                "fullname": "test_a.py::test_a[x]",
                "extra_info": {},
                "cprofile": [{"function_name": "a.py:3(build)", "cumtime": 1.0}],
            },
            {"params": None, "fullname": "bench/test_b.py::test_b", "extra_info": {"failure": "in b"}},
        ],
    }
    assert params["latency_cell"] is cell


@pytest.mark.parametrize(
    "path",
    sorted(path for path in RESULTS.rglob("*") if path.suffix in (".json", ".md", ".svg", ".csv", ".txt")),
    ids=lambda path: path.name,
)
def test_published_files_hold_names_only(path: Path) -> None:
    """No absolute path, host name or printed object stands in a file that we publish."""
    text = path.read_text(encoding="utf-8")
    assert [match.group() for match in ABSOLUTE.finditer(text)] == []
    assert NODE.findall(text) == []


def test_what_must_not_be_published_is_found() -> None:
    """The patterns above find what earlier files held, and no address."""
    for text in ("'folder:/work/cifar'", '"--store=/opt/n/store"', "folder:/tmp/data", r"C:\\Users"):
        assert ABSOLUTE.search(text), text
    assert not ABSOLUTE.search("https://host.org/home/page, folder:/data, results/tmp/x")
    assert NODE.search('"node": "vm"')
