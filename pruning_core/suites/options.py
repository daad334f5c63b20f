"""The options that the suites add to pytest, and one clear line where a project has one of the same name."""

import argparse
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pruning_core.config.scopes import SCOPES
from pruning_core.config.target_kinds import KINDS

# Option → the field of the grid it replaces.
AXES = {
    "model": "networks, separated by commas",
    "dataset": "datasets, separated by commas",
    "method": "pruning methods, separated by commas",
    "ratios": "0.25,0.5, start:stop:step (the stop included), linear:0.9:6 or exponential:0.9:6",
    "backends": "name or name:precision, separated by commas",
    "devices": "cpu, cuda:0, …, separated by commas",
    "batch_sizes": "whole numbers, separated by commas",
    "threads": "numbers of CPU threads, separated by commas; 0: all usable",
    "seeds": "whole numbers, separated by commas: all is trained with each, and reported together",
}

PICTURE_OPTIONS = ("image_size", "normalize", "test_share", "skip_broken")

SINGLE_OPTIONS = (
    *("task", "weights", "strip_prefix", "new_head"),
    *("optimize_for", "optimize_batch_size"),
    *("scope", "protect", "ratio_of", "max_ratio", *PICTURE_OPTIONS, "target_error", "seed"),
    *KINDS,
    *("on", "batch_size"),
)
"""Options of one value that replace a field of the grid (see `opening.py`), beside its axes."""

OPTIONS: dict[str, dict[str, Any]] = {
    "--grid": {"metavar": "NAME|FILE", "help": "grid file, or its name in bench/grids (default: quick)"},
    **{f"--{name.replace('_', '-')}": {"metavar": "LIST", "help": text} for name, text in AXES.items()},
    "--task": {
        "metavar": "MODULE:CLASS",
        "help": "what is learnt and scored, where it is no classification; brings its data (tasks/README.md)",
    },
    "--weights": {
        "metavar": "FILE|LIST",
        "help": "trained weights: a file, torchvision:ENUM or timm; of several networks: NAME=FILE,…",
    },
    "--strip-prefix": {"metavar": "TEXT", "help": "before the names that count in a file of weights"},
    "--new-head": {
        "action": "store_const",
        "const": True,
        "help": "make a new last layer, and train the network from its weights on",
    },
    "--optimize-for": {
        "metavar": "BACKEND",
        "help": "where method latency-aware is to be fast: openvino:int8, say; its widths are timed there",
    },
    "--optimize-batch-size": {
        "type": int,
        "metavar": "N",
        "help": "on how many images at once (default: 1)",
    },
    "--scope": {
        "metavar": "|".join(SCOPES),
        "help": "rank channels within each layer, over all together, or over layers of one structure",
    },
    "--protect": {"metavar": "LIST", "help": "layers that stay whole: names or patterns, layer1.*,head"},
    "--ratio-of": {"metavar": "LIST", "help": "layers with a ratio of their own: layer4.*=0.8,head=0.2"},
    "--max-ratio": {
        "type": float,
        "metavar": "FRACTION",
        "help": "no layer loses more than this share of its dense width",
    },
    **{
        f"--{key.replace('_', '-')}": {"metavar": "LIST", "help": f"in place of ratios: {kind.allowed}"}
        for key, kind in KINDS.items()
    },
    "--on": {"metavar": "BACKEND", "help": "where speed-ups and latencies of targets are met: openvino:int8"},
    "--batch-size": {"type": int, "metavar": "N", "help": "and on how many examples in a call (default: 1)"},
    "--search-again": {
        "action": "store_true",
        "help": "look for the ratios of targets again, whatever was found before",
    },
    "--image-size": {
        "metavar": "N|HxW",
        "help": "pictures of a folder are resized and cropped to this, as torchvision's references do",
    },
    "--normalize": {
        "metavar": "HOW",
        "help": "by the mean and deviation of the dataset (default), of imagenet, or to [-1,1]",
    },
    "--test-share": {
        "type": float,
        "metavar": "FRACTION",
        "help": "test on this share of one folder of classes, divided by content",
    },
    "--skip-broken": {
        "type": int,
        "metavar": "N",
        "help": "leave out up to N pictures that cannot be read (default: 0)",
    },
    "--target-error": {
        "type": float,
        "metavar": "FRACTION",
        "help": "a latency cell is done when its speed-up is known within ± this (default: 0.02)",
    },
    "--seed": {
        "type": int,
        "metavar": "N",
        "help": "of training and fine-tuning (default: what the grid says)",
    },
    "--store": {"metavar": "DIR", "help": "where checkpoints are kept (default: the user's cache folder)"},
    "--data-root": {"metavar": "DIR", "help": "where torchvision's datasets lie"},
    "--download": {"action": "store_true", "help": "let a dataset or published weights be downloaded"},
    "--thresholds": {
        "metavar": "FILE",
        "help": "accuracy limits (default: thresholds.toml beside the suite)",
    },
}
"""Option → what argparse is told of it. Each lies under a name of ours (`pruning_…`) once it is parsed."""


def add_options(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options of the grid; each replaces what the grid file says.

    Raises:
        pytest.UsageError: If the project, or another plugin, has an option of that name already.
    """
    group = parser.getgroup("pruning-bench", "pruning-bench: what to measure")
    for option, attributes in OPTIONS.items():
        name = f"pruning_{option.removeprefix('--').replace('-', '_')}"
        try:
            if option in _names_in(parser):
                raise ValueError(option)
            group.addoption(option, dest=name, **attributes)
        except (ValueError, argparse.ArgumentError):
            raise pytest.UsageError(_clash(option, _owner_of(option, pluginmanager))) from None


def explain_later_clashes(pluginmanager: pytest.PytestPluginManager) -> None:
    """While tests are collected, turn the traceback of a conftest that adds an option of ours into a line."""

    def before(_hook: str, _implementations: Any, _arguments: Any) -> None:
        pass

    def after(outcome: Any, hook: str, implementations: Any, arguments: Any) -> None:
        if hook == "pytest_addoption":
            error, names = outcome.exception, _names_in(arguments["parser"])
            said = str(error) if isinstance(error, ValueError | argparse.ArgumentError) else ""
            for option in OPTIONS:
                # Up to pytest 8 the second one is taken in silence, and argparse fails later.
                if names.count(option) > 1 or re.search(rf"(?<![\w-]){option}(?![\w-])", said):
                    owner = implementations[0].plugin_name
                    outcome.force_exception(pytest.UsageError(_clash(option, owner)))
        elif hook == "pytest_collection_finish" and not arguments["session"].config.getoption("debug"):
            stop()  # under --debug pytest watches too, and would be stopped with us

    stop = pluginmanager.add_hookcall_monitoring(before, after)


def _names_in(parser: pytest.Parser) -> list[str]:
    """Return the names of all options that were added so far; pytest has no public way to ask."""
    groups = {id(group): group for group in (parser._anonymous, *parser._groups)}.values()
    return [name for group in groups for option in group.options for name in option.names()]


def _clash(option: str, owner: str) -> str:
    return (
        f"two options are called {option}: pruning-bench's, and that of {owner}. Give that one another name, "
        'or take "pruning_core.pytest_plugin" out of the pytest_plugins of conftest.py'
    )


def _owner_of(option: str, pluginmanager: pytest.PytestPluginManager) -> str:
    for name, plugin in pluginmanager.list_name_plugin():
        code = getattr(getattr(plugin, "pytest_addoption", None), "__code__", None)
        if code is not None and code.co_filename != __file__:
            with suppress(OSError, UnicodeDecodeError):
                source = Path(code.co_filename).read_text(encoding="utf-8")
                if re.search(rf"""["']{option}["']""", source):
                    return name
    return "another plugin"
