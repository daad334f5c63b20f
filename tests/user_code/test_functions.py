"""A user's `module:function`: where it is looked for, what is run of it, and what its hash covers."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from pruning_core.user_code import project
from pruning_core.user_code.functions import one_line
from tests.helpers.user_modules import BUILD, find, refusal, write


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
