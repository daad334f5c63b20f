"""Which functions of a user's module build networks: those called as f(classes, channels).

A module of networks has other functions too: blocks, heads, layers. They are told apart by their arguments:
two that must be given, the first called after classes, the second after channels.
"""

import functools
import inspect
from typing import Any

from torch import nn

from pruning_core.user_code.functions import UserModule


def find_builders(module: UserModule) -> tuple[list[str], list[str]]:
    """Return the names of what builds networks in a module, and of its other functions and classes.

    Args:
        module: Its public names are looked at, in its order; what it imports from a library is neither.
    """
    builders: list[str] = []
    others: list[str] = []
    for name, value in vars(module.module).items():
        if not name.startswith("_") and callable(value) and _is_theirs(value, module):
            (builders if _builds(value) else others).append(name)
    return builders, others


def _is_theirs(value: Any, module: UserModule) -> bool:
    if isinstance(value, nn.Module):  # it is a network, and builds none
        return False
    while isinstance(value, functools.partial):
        value = value.func
    return getattr(value, "__module__", None) in {module.name, *module.sources}


def _builds(value: Any) -> bool:
    """Tell by its arguments whether something is called as f(classes, channels)."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):  # it is written in C, say
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [p for p in parameters if p.default is p.empty and p.kind not in optional]
    if len(required) != 2 or any(p.kind not in positional for p in required):
        return False
    first, second = (p.name.lower() for p in required)
    return "class" in first and "chan" in second
