"""A user's modules: written, found as a model is found, hashed and forgotten."""

import sys
from pathlib import Path

import pytest

from pruning_core.errors import ModelError
from pruning_core.user_code import functions
from pruning_core.user_code.functions import find_function

BUILD = "def build(classes, channels):\n    return classes\n"


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
