"""Pruning methods by name. A new one is a class in a file of its own and a line in METHODS."""

from pruning_core.errors import UnknownNameError
from pruning_core.pruning.activation import Activation
from pruning_core.pruning.base import Method
from pruning_core.pruning.bn_scale import BatchNormScale
from pruning_core.pruning.fpgm import GeometricMedian
from pruning_core.pruning.hessian import Hessian
from pruning_core.pruning.lamp import Lamp
from pruning_core.pruning.latency_aware import LatencyAware
from pruning_core.pruning.ln_structured import LnStructured
from pruning_core.pruning.magnitude import Magnitude
from pruning_core.pruning.magnitude_l1 import MagnitudeL1
from pruning_core.pruning.obdc import Obdc
from pruning_core.pruning.random import Random
from pruning_core.pruning.taylor import Taylor
from pruning_core.pruning.unstructured_l1 import UnstructuredL1
from pruning_core.pruning.unstructured_random import UnstructuredRandom

__all__ = ["METHODS", "find_method"]

METHODS: dict[str, Method] = {
    "magnitude": Magnitude(),
    "magnitude-l1": MagnitudeL1(),
    "lamp": Lamp(),
    "latency-aware": LatencyAware(),
    "bn-scale": BatchNormScale(),
    "fpgm": GeometricMedian(),
    "taylor": Taylor(),
    "hessian": Hessian(),
    "obdc": Obdc(),
    "activation": Activation(),
    "random": Random(),
    "unstructured-l1": UnstructuredL1(),
    "ln-structured": LnStructured(),
    "unstructured-random": UnstructuredRandom(),
}


def find_method(name: str) -> Method:
    """Return a method by name.

    Raises:
        UnknownNameError: If there is none of that name.
    """
    if name not in METHODS:
        raise UnknownNameError("pruning method", name, METHODS)
    return METHODS[name]
