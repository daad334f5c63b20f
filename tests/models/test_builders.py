"""A pattern over a user's module stands for what builds networks in it, and nothing else."""

import pytest

from pruning_core.errors import ModelError, OptionError
from pruning_core.models import expand_models

MODULE = """
import functools
from functools import partial
from torch import nn
from torch.nn import Linear
from @OTHER@ import imported, helper

def small(classes, channels):
    return nn.Linear(channels, classes)

def wide(num_classes, in_chans, width=8, *, bias=True):
    return nn.Linear(in_chans, num_classes)

class Net(nn.Module):
    def __init__(self, n_classes, in_channels, **options):
        super().__init__()

class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()

def head(width, classes):
    return nn.Linear(width, classes)

def three(classes, channels, depth):
    return None

def by_name(classes, *, channels):
    return None

of_three = partial(three, depth=2)
kept = functools.lru_cache(None)(small)
network = nn.Linear(2, 2)
size = 3

def _private(classes, channels):
    return None
"""

OTHER = "def imported(classes, channels):\n    return None\n\ndef helper(x):\n    return x\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Stand in a folder with a module that imports another; return its name, which is this test's alone."""
    name = f"builders_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE.replace("@OTHER@", f"other_{tmp_path.name}"))
    (tmp_path / f"other_{tmp_path.name}.py").write_text(OTHER)
    monkeypatch.chdir(tmp_path)
    return name


def test_what_is_called_as_a_builder_is_one(module):
    """All that is called as f(classes, channels) matches; what is left out is said."""
    said = []
    names = expand_models([f"{module}:*"], said.append)
    builders = ("imported", "small", "wide", "Net", "of_three", "kept")
    assert names == [f"{module}:{name}" for name in builders]
    left_out = "helper, Block, head, three, by_name"
    assert said == [f"{module}: left out, not called as f(classes, channels): {left_out}"]


def test_part_of_a_module(module):
    """A narrower pattern says nothing of what it does not match."""
    said = []
    assert expand_models([f"{module}:s*", f"{module}:[ks]*"], said.append) == [
        f"{module}:small",
        f"{module}:kept",
    ]
    assert said == []


def test_nothing_matches(module):
    """A module that is not there, and a pattern of none of its builders, are errors in a line."""
    with pytest.raises(OptionError, match=rf"no model's name matches '{module}:hea\*'.*{module}:\*"):
        expand_models([f"{module}:hea*"])
    with pytest.raises(ModelError, match=r"model no_such_module:\*: cannot import"):
        expand_models(["no_such_module:*"])
