"""Pruning methods by name. A new one is a class in a file of its own and a line in METHODS."""

from pruning_core.errors import UnknownNameError
from pruning_core.pruning.base import Method, PruningStep
from pruning_core.pruning.magnitude import LAMP, MAGNITUDE
from pruning_core.pruning.masks import UNSTRUCTURED_L1, UNSTRUCTURED_RANDOM, LnStructured
from pruning_core.pruning.random import Random

__all__ = ["METHODS", "Method", "PruningStep", "find_method"]

METHODS: dict[str, Method] = {
    "magnitude": MAGNITUDE,
    "lamp": LAMP,
    "random": Random(),
    "unstructured-l1": UNSTRUCTURED_L1,
    "ln-structured": LnStructured(),
    "unstructured-random": UNSTRUCTURED_RANDOM,
}


def find_method(name: str) -> Method:
    """Return a method by name.

    Raises:
        UnknownNameError: If there is none of that name.
    """
    if name not in METHODS:
        raise UnknownNameError("pruning method", name, METHODS)
    return METHODS[name]
