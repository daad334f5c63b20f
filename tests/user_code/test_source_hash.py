"""What the hash of a user's `module:function` covers, and that what was hashed is what runs."""

import hashlib
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.helpers.user_modules import BUILD, find, hash_of, refusal, write


def test_the_hash_of_one_file_is_that_of_its_bytes(folder):
    """A file that imports nothing of the user's has the hash of its bytes, whatever lies beside it."""
    write(folder, {"nets.py": "import json, os.path\n" + BUILD, "other.py": "x = 1\n"})
    assert hash_of(folder) == hashlib.sha256((folder / "nets.py").read_bytes()).hexdigest()


LAYOUTS = {
    "import": ("nets:build", {"nets.py": "import blocks\n"}, "blocks.py"),
    "from": ("nets:build", {"nets.py": "from blocks import x\n"}, "blocks.py"),
    "in a try": (
        "nets:build",
        {"nets.py": "try:\n    import blocks\nexcept ImportError:\n    pass\n"},
        "blocks.py",
    ),
    "in a function": ("nets:build", {"nets.py": "def f():\n    from blocks import x\n"}, "blocks.py"),
    "two steps away": (
        "nets:build",
        {"nets.py": "import a\n", "a.py": "import b\n", "b.py": "import c\n"},
        "c.py",
    ),
    "relative": (
        "zoo.nets:build",
        {"zoo/__init__.py": "", "zoo/nets.py": "from .blocks import x\n"},
        "zoo/blocks.py",
    ),
    "from a dot": (
        "zoo.nets:build",
        {"zoo/__init__.py": "", "zoo/nets.py": "from . import blocks\n"},
        "zoo/blocks.py",
    ),
    "two dots": (
        "zoo.a.nets:build",
        {"zoo/__init__.py": "", "zoo/a/__init__.py": "", "zoo/a/nets.py": "from ..b import x\n"},
        "zoo/b.py",
    ),
    "its package": ("zoo.nets:build", {"zoo/__init__.py": "x = 2\n", "zoo/nets.py": ""}, "zoo/__init__.py"),
    "a package": (
        "nets:build",
        {"nets.py": "import zoo\n", "zoo/__init__.py": "from .b import x\n"},
        "zoo/b.py",
    ),
    "dotted": (
        "nets:build",
        {"nets.py": "import zoo.b.c\n", "zoo/__init__.py": "", "zoo/b/__init__.py": ""},
        "zoo/b/c.py",
    ),
    "no __init__": ("nets:build", {"nets.py": "from zoo.b import c\n"}, "zoo/b/c.py"),
    "no __init__, named": ("zoo.nets:build", {"zoo/nets.py": "from zoo import b\n"}, "zoo/b.py"),
    "by a literal": (
        "nets:build",
        {"nets.py": "import importlib\ndef f():\n    importlib.import_module('b')\n"},
        "b.py",
    ),
    "by a name": (
        "nets:build",
        {"nets.py": "import importlib\nfor n in ['b']:\n    importlib.import_module(n)\n"},
        "b.py",
    ),
    "while it builds": (
        "nets:make",
        {"nets.py": "import importlib\ndef make(c, i):\n    importlib.import_module(''.join('b'))\n"},
        "b.py",
    ),
    "by a star": (
        "nets:build",
        {"nets.py": "from zoo import *\n", "zoo/__init__.py": "__all__ = ['b']\n"},
        "zoo/b.py",
    ),
    "where it is made": ("nets:made", {"nets.py": "from b import made\n"}, "b.py"),
    "src": ("nets:build", {"src/nets.py": "import blocks\n"}, "src/blocks.py"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_module_imports_decides_its_hash(folder, layout):
    """However a file of the user's is imported, changing it changes the hash; a file that is not does not."""
    name, files, changed = LAYOUTS[layout]
    made = "def made(classes, channels):\n    return 1\n"
    write(
        folder,
        {
            changed: "x = 1\n" + made,
            **{path: text + BUILD for path, text in files.items()},
            "no.py": "x = 1\n",
        },
    )
    before = hash_of(folder, name)
    assert hash_of(folder, name) == before
    write(folder, {"no.py": "x = 2\n"})
    assert hash_of(folder, name) == before
    write(folder, {changed: "x = 3\n" + made + ("" if changed not in files else BUILD)})
    assert hash_of(folder, name) != before


def test_two_machines_agree(folder, monkeypatch):
    """The same files in another folder have the same hash."""
    files = {"zoo/__init__.py": "x = 1\n", "zoo/nets.py": "from .b import x\n" + BUILD, "zoo/b.py": "x = 1\n"}
    hashes = []
    for name in ("one", "two"):
        write(folder / name, files)
        monkeypatch.chdir(folder / name)
        sys.path[:] = [entry for entry in sys.path if not Path(entry).is_relative_to(folder)]
        hashes.append(hash_of(folder, "zoo.nets:build"))
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("decorator", ["own.keep", "functools.wraps(print)"])
def test_the_named_file_counts_whatever_decorates_its_function(folder, decorator):
    """A decorator that was written elsewhere does not hide the file of the function."""
    keep = "def keep(f):\n    def g(*a):\n        return f(*a)\n    return g\n"
    text = f"import functools\nimport own\n@{decorator}\n{BUILD}"
    write(folder, {"own.py": keep, "nets.py": text})
    before = hash_of(folder)
    write(folder, {"nets.py": text + "# changed\n"})
    assert hash_of(folder) != before


def test_what_was_hashed_is_what_runs(folder):
    """A file of the same size and time as before is read again, not from what Python compiled before."""
    write(
        folder, {"nets.py": "import blocks\ndef build(c, i):\n    return blocks.x\n", "blocks.py": "x = 1\n"}
    )
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}"}
    find = "from pruning_core.user_code.functions import find_function as find"
    code = f"{find}; print(find('nets:build', ValueError)[0](1, 1))"

    def run():
        subprocess.run([sys.executable, "-c", "import nets"], check=True)  # compiles
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        return done.stdout

    assert run() == "1\n"
    times = (folder / "blocks.py").stat()
    (folder / "blocks.py").write_text("x = 2\n")
    os.utime(folder / "blocks.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run() == "2\n"


def test_a_file_changed_after_it_was_hashed_does_not_run(folder):
    """A module that is imported late runs as it was when it was hashed."""
    write(
        folder,
        {"nets.py": "def build(c, i):\n    import blocks\n    return blocks.x\n", "blocks.py": "x = 1\n"},
    )
    function, _ = find("nets:build")
    write(folder, {"blocks.py": "x = 22\n"})
    assert function(1, 1) == 1


def test_a_compiled_neighbour_counts(folder):
    """A module that is not written in Python's language decides the hash by its bytes."""
    suffix = EXTENSION_SUFFIXES[0]
    write(folder, {"nets.py": f"def late():\n    import fast\n{BUILD}", f"fast{suffix}": "no machine code"})
    before = hash_of(folder)
    write(folder, {f"fast{suffix}": "other machine code"})
    assert hash_of(folder) != before


@pytest.mark.parametrize("late", [False, True])
def test_a_neighbour_called_as_a_library_is_said(folder, late):
    """A library goes before a file of the user's; where that breaks the user's code, the line says so."""
    indent = "    " if late else ""
    head = "def build(c, i):\n" if late else BUILD
    write(folder, {"nets.py": f"{head}{indent}from blocks import Block\n", "blocks.py": "Block = 1\n"})
    write(folder, {"lib/site-packages/blocks.py": "x = 1\n"})
    sys.path.append(str(folder / "lib" / "site-packages"))
    if late:
        function, module = find("nets:build")
        with pytest.raises(ImportError) as caught:
            function(1, 1)
        text = module.explain(caught.value)
    else:
        text = refusal("nets:build")
    assert "cannot import name 'Block'" in text
    assert text.endswith(
        "'blocks' is the installed library "
        f"{folder / 'lib/site-packages/blocks.py'} here, not your own file: give yours another name"
    )


def test_what_pip_has_put_into_any_folder_is_a_library(folder):
    """`pip install --target libs`: its files do not count, as in `site-packages`; one beside them does."""
    write(
        folder,
        {
            "nets.py": "import big, single\n" + BUILD,
            "libs/big/__init__.py": "import json\n",
            "libs/single.py": "",
            "libs/big-1.0.dist-info/RECORD": "big/__init__.py,sha256=x,14\nbig-1.0.dist-info/RECORD,,\n",
            "libs/single-2.0.dist-info/RECORD": "single.py,sha256=x,0\n",
        },
    )
    sys.path.append(str(folder / "libs"))
    alone = hashlib.sha256((folder / "nets.py").read_bytes()).hexdigest()
    assert hash_of(folder) == alone
    write(folder, {"libs/big/__init__.py": "import json, csv\n"})
    assert hash_of(folder) == alone
    write(folder, {"nets.py": "import big, single, mine\n" + BUILD, "libs/mine.py": "x = 1\n"})
    before = hash_of(folder)
    write(folder, {"libs/mine.py": "x = 2\n"})
    assert hash_of(folder) != before
