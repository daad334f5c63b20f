"""A user's `module:function`: where it is looked for, what is run of it, and what its hash covers."""

import hashlib
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

import pytest

from pruning_core.errors import ModelError
from pruning_core.user_code import functions, project
from pruning_core.user_code.functions import find_function, one_line

BUILD = "def build(classes, channels):\n    return classes\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder, with Python's path as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(project, "_project", [])
    yield tmp_path
    forget(tmp_path)


def forget(folder):
    """Forget the modules of a folder, as a new process has never seen them."""
    paths_of = {
        name: [vars(module).get("__file__"), *(vars(module).get("__path__") or ())]
        for name, module in list(sys.modules.items())
    }
    for name, found in paths_of.items():
        if any(Path(path).is_relative_to(folder) for path in found if path):
            del sys.modules[name]
    functions._FINDER.sources.clear()


def write(folder, files):
    """Write files, their folders too."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def find(name):
    """Find a function as a model is found."""
    return find_function(name, lambda text: ModelError(f"model {name}: {text}"))


def hash_of(folder, name="nets:build"):
    """Return the hash of a module as a new process sees it, after calling the function."""
    forget(folder)
    function, module = find(name)
    with module.running():
        function(10, 3)
    return module.source_sha256


def refusal(name):
    """Return the one line with which a name is refused."""
    with pytest.raises(ModelError) as caught:
        find(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


@pytest.mark.parametrize("inside", ["src", "lib", "", "deep/er"])
def test_where_a_module_is_looked_for(folder, monkeypatch, inside):
    """It is found in the project's root, its `src/` and pytest's `pythonpath`, from a folder below."""
    settings = "[tool.pytest.ini_options]\npythonpath = ['lib', 'deep/er']\n"
    write(folder, {"pyproject.toml": settings, f"{inside}/nets.py".strip("/"): BUILD, "bench/x.txt": ""})
    monkeypatch.chdir(folder / "bench")
    assert find("nets:build")[0](7, 3) == 7


@pytest.mark.parametrize(("file", "section"), [("pytest.ini", "pytest"), ("setup.cfg", "tool:pytest")])
def test_pythonpath_is_read_from_pytests_other_files(folder, file, section):
    """pytest's `pythonpath` counts wherever pytest reads it from."""
    write(folder, {file: f"[{section}]\npythonpath = lib\n", "lib/nets.py": BUILD})
    assert find("nets:build")[0](7, 3) == 7


def test_where_pytest_says_that_the_project_lies(folder, monkeypatch):
    """pytest's root and the folder above a suite are looked at, from any folder."""
    write(folder, {"a/src/nets.py": BUILD, "b/nets_b.py": BUILD, "b/bench/test_x.py": "", "c/x": ""})
    monkeypatch.chdir(folder / "c")
    project.set_project(folder / "a", suites=[folder / "b" / "bench" / "test_x.py"])
    assert find("nets:build")[0](7, 3) == 7
    assert find("nets_b:build")[0](7, 3) == 7


def test_what_is_not_there_says_where_it_was_looked_for(folder):
    """The error names every folder."""
    write(folder, {"src/other.py": ""})
    text = refusal("nowhere_at_all:build")
    assert "cannot import 'nowhere_at_all': no such module; looked in" in text
    assert f"{folder}, {folder / 'src'} and on the Python path" in text


def test_a_users_file_never_runs_for_a_library(folder):
    """Files called as libraries beside a user's module are not found in their place, now or later."""
    write(
        folder, {"nets.py": BUILD, "tabulate.py": "raise SystemExit(3)", "sklearn.py": "", "colorsys.py": ""}
    )
    sys.path.insert(0, str(folder))  # as `python -m pytest` does
    find("nets:build")
    for name in ("tabulate", "sklearn", "colorsys"):
        assert not Path(PathFinder.find_spec(name).origin).is_relative_to(folder)


@pytest.mark.parametrize("name", ["colorsys", "tabulate", "math", "os"])
def test_a_file_called_as_a_library_is_refused(folder, name):
    """A named file that a library goes before is refused: it would not be what runs."""
    write(folder, {f"{name}.py": BUILD})
    text = refusal(f"{name}:build")
    assert f"{name!r} is a library's name" in text
    assert text.endswith("give your file another name")


def test_two_files_of_one_name_are_refused(folder, monkeypatch):
    """A file on Python's path of the same name is another one: neither runs."""
    write(folder, {"here/nets.py": BUILD, "elsewhere/nets.py": BUILD})
    monkeypatch.chdir(folder / "here")
    sys.path.insert(0, str(folder / "elsewhere"))
    assert (
        f"is {folder / 'elsewhere/nets.py'} on Python's path and {folder / 'here/nets.py'} here"
        in refusal("nets:build")
    )


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


def test_neighbours_are_found(folder):
    """A module imports what lies beside it, from wherever the command is run."""
    write(
        folder,
        {"src/nets.py": "import blocks\ndef build(c, i):\n    return blocks.x\n", "src/blocks.py": "x = 5"},
    )
    assert find("nets:build")[0](1, 1) == 5


CALLABLES = {
    "partial": "import functools\nbuild = functools.partial(lambda c, i, k: (c, i, k), k=2)\n",
    "cached": "import functools\n@functools.cache\ndef build(c, i):\n    return (c, i, 2)\n",
    "object": "class B:\n    def __call__(self, c, i):\n        return (c, i, 2)\nbuild = B()\n",
    "lambda": "build = lambda c, i: (c, i, 2)\n",
    "builtin": "build = lambda *a: (*a, 2)\nbuild = build.__call__\n",
    "lazy": "def f(c, i):\n    return (c, i, 2)\ndef __getattr__(name):\n    return {'build': f}[name]\n",
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_anything_that_can_be_called_is_a_function(folder, kind):
    """A partial, a function that remembers, an object, and a function made on demand work as others do."""
    write(folder, {"nets.py": CALLABLES[kind]})
    function, module = find("nets:build")
    assert function(10, 3) == (10, 3, 2)
    assert len(module.source_sha256) == 64


def test_a_function_that_remembers_is_called_again(folder):
    """Of `functools.cache` the function inside is called, so that each call makes a new object."""
    write(
        folder,
        {"nets.py": "import functools\n@functools.lru_cache(None)\ndef build(c, i):\n    return [c]\n"},
    )
    function, _ = find("nets:build")
    assert function(1, 1) is not function(1, 1)


@pytest.mark.parametrize("name", ["math:sqrt", "sys:exit", "builtins:print", "os:getcwd"])
def test_what_has_no_source_is_refused(folder, name):
    """A function that no file of Python's language holds is one line."""
    assert "has no Python file, so no key can be made of what it does" in refusal(name)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import sys\nsys.exit(0)\n", "it ends the program, by sys.exit(0)"),
        ("raise SystemExit\n", "it ends the program, by sys.exit()"),
        ("class Stop(BaseException):\n    pass\nraise Stop('first\\nsecond')\n", "Stop: first second"),
        ("raise GeneratorExit\n", "GeneratorExit"),
        ("def f(:\n", "SyntaxError"),
        ("import no_such_library\n", "No module named 'no_such_library'"),
        ("x = 1\n", "nets has no function 'build'; it has: none"),
        ("build = 3\ndef other():\n    pass\n", "nets has no function 'build'; it has: other"),
        ("def __getattr__(name):\n    raise SystemExit(0)\n", "sys.exit(0)"),
    ],
)
def test_whatever_a_module_raises_is_one_line(folder, body, said):
    """A module that raises, ends the program, or cannot be read is refused in one line."""
    write(folder, {"nets.py": body})
    assert said in refusal("nets:build")


def test_ctrl_c_stays_ctrl_c(folder):
    """An interruption by the user is none of the module's errors."""
    write(folder, {"nets.py": "raise KeyboardInterrupt\n"})
    with pytest.raises(KeyboardInterrupt):
        find("nets:build")


def test_one_line_of_an_error():
    """An error's text is put into one line; one without a text gives its name."""
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(ValueError()) == "ValueError"
